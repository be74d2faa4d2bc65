"""The data set in a running stack: pictures of one user in one bucket, in the index and in storage."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg import sql

from benchmarks.search_parts import ours
from benchmarks.search_parts.data import DataSet
from infra.local.postgres import SUPERUSER
from infra.local.stack import Stack

BUCKET: Final = "photos"
OWNER: Final = "00000000-0000-4000-8000-000000000014"

_CREATED: Final = datetime(2010, 1, 1, tzinfo=UTC)
_INDEX: Final = """
select indexname, indexdef from pg_indexes where schemaname = 'pixseek' and indexdef like '%USING hnsw%'
"""
# As an upload leaves it, without bytes: nobody follows the links here.
_OBJECTS: Final = """
insert into storage.objects (bucket_id, name, owner, owner_id, version, metadata)
select i.bucket, i.name, i.owner::uuid, i.owner, '1', '{"size": 1, "mimetype": "image/jpeg"}'
from pixseek.images i
"""
# What a project with private pictures has, in the form that Supabase's documentation gives.
_POLICY: Final = """
create policy own_read on storage.objects for select to authenticated
using (owner_id = (select auth.uid())::text)
"""


def load(stack: Stack, data: DataSet) -> None:
    """Past the functions, which would take hours; the same rows."""
    with psycopg.connect(stack.dsn("postgres"), autocommit=True) as session:
        _fill_index(session, data)
    with psycopg.connect(stack.dsn(SUPERUSER), autocommit=True) as session:
        # Without triggers: there is nothing left to index.
        session.execute("set session_replication_role = replica")
        session.execute("insert into storage.buckets (id, name) values (%s, %s)", (BUCKET, BUCKET))
        session.execute(_OBJECTS)
        session.execute(_POLICY)
        session.execute("vacuum analyze storage.buckets, storage.objects")
        session.execute("checkpoint")


def _fill_index(session: psycopg.Connection, data: DataSet) -> None:
    """Load first, index after: row by row into the index would take four times as long."""
    # As in the measurement without HTTP: every search has its ten hits.
    session.execute("update pixseek.models set similarity_floor = -1")
    [(name, definition)] = session.execute(_INDEX).fetchall()
    session.execute(sql.SQL("drop index pixseek.{}").format(sql.Identifier(name)))
    session.execute("insert into pixseek.buckets (name) values (%s)", (BUCKET,))
    ours.insert(session, 1, data.vectors, _images(len(data.vectors)))
    session.execute(definition.encode())
    session.execute("vacuum analyze pixseek.buckets, pixseek.images, pixseek.vectors")


def _images(count: int) -> Iterator[tuple[object, ...]]:
    """As `ours.insert` takes them."""
    for number in range(1, count + 1):
        yield number, BUCKET, f"{number:08}.jpg", OWNER, "image/jpeg", _CREATED, None
