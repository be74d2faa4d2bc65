"""Our way: upload side by side; events make the pictures searchable."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import psycopg
from supabase import Client

Session: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_UPLOADS_AT_ONCE = 4
_STALLED_S = 120.0


def ingest(client: Client, session: Session, bucket: str, files: Sequence[bytes]) -> None:
    """Until all of them can be searched."""

    def upload(numbered: tuple[int, bytes]) -> None:
        number, file = numbered
        client.storage.from_(bucket).upload(f"{number}.jpg", file, {"content-type": "image/jpeg"})

    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as threads:
        list(threads.map(upload, enumerate(files)))
    wait_until_searchable(session, bucket, len(files))


def wait_until_searchable(session: Session, bucket: str, count: int) -> None:
    """Raises `TimeoutError` when that takes too long."""
    deadline = time.monotonic() + _STALLED_S
    while searchable(session, bucket) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{searchable(session, bucket)} of {count} pictures are searchable")
        time.sleep(0.05)


def searchable(session: Session, bucket: str) -> int:
    """How many pictures of a bucket can be searched."""
    query = "select count(*) from pixseek.images where bucket = %s and state = 'indexed'"
    row = session.execute(query, (bucket,)).fetchone()
    return int(row[0]) if row else 0
