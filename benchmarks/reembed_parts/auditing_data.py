"""Fills a stack's bucket and index with pictures that fit together."""

from pathlib import Path
from typing import Final

from benchmarks.reembed_parts.auditing_stack import Offline, drop_index, vector_index, without_indexes

BUCKET: Final = "photos"
_SQL: Final = Path(__file__).with_name("auditing_data.sql")


def load(up: Offline, pictures: int) -> None:
    """Vectors without an index: a million that are equal make no graph, and nobody searches."""
    with up.superuser() as session:
        session.execute("alter system set max_wal_size = '8GB'")
        session.execute("select pg_reload_conf()")
        session.execute("select set_config('bench.pictures', %s, false)", (str(pictures),))
        drop_index(session, vector_index(session)[0])
        with without_indexes(session, "storage.objects", "pixseek.images"):
            session.execute(_SQL.read_bytes())


def settle(up: Offline) -> None:
    """As a database is that has had time: statistics, and nothing that waits to be written."""
    with up.superuser() as session:
        session.execute("vacuum analyze storage.objects, pixseek.images, pixseek.vectors, pixseek.work")
        session.execute("checkpoint")
