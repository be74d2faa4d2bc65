"""Pictures in a running stack's bucket and index, past the functions, which would take long."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from benchmarks.reembed_parts import pictures
from benchmarks.reembed_parts.space import Space
from benchmarks.search_parts import binary
from infra.local.home import Home
from infra.local.postgres import SUPERUSER
from infra.local.stack import Stack
from shared.models import ordering_key

BUCKET: Final = "photos"
TYPE: Final = "image/jpeg"
_CREATED: Final = datetime(2026, 11, 1, tzinfo=UTC)
_INDEX: Final = """
select indexname, indexdef from pg_indexes where schemaname = 'pixseek' and indexdef like '%USING hnsw%'
"""
_OBJECTS: Final = """
copy storage.objects (bucket_id, name, version, metadata, created_at, updated_at) from stdin
"""
_IMAGES: Final = """
copy pixseek.images (
  id, bucket, name, version, ordering_key, content_hash,
  content_type, size_bytes, width, height, created_at, state
) from stdin
"""


@dataclass(frozen=True, slots=True)
class File:
    """A picture's."""

    id: int
    name: str
    content: bytes

    @property
    def version(self) -> str:
        """As the gateway names what it keeps."""
        return str(UUID(bytes=hashlib.sha256(self.content).digest()[:16], version=4))


def load(stack: Stack, home: Home, count: int, space: Space) -> None:
    """Into a stack that knows one model, with the vectors that this model has of the files."""
    files = [
        File(number, f"{number:08}.jpg", content) for number, content in enumerate(pictures.files(count), 1)
    ]
    for file in files:
        (Path(home.files) / file.version).write_bytes(file.content)
    with psycopg.connect(stack.dsn(SUPERUSER), autocommit=True) as session:
        _fill_storage(session, files)
    with psycopg.connect(stack.dsn("postgres"), autocommit=True) as session:
        _fill_index(session, files, space)


def _fill_storage(session: psycopg.Connection, files: Sequence[File]) -> None:
    # Without triggers: there is nothing left to index.
    session.execute("set session_replication_role = replica")
    session.execute("insert into storage.buckets (id, name) values (%s, %s)", (BUCKET, BUCKET))
    with session.cursor().copy(_OBJECTS.encode()) as target:
        for file in files:
            target.write_row((BUCKET, file.name, file.version, _metadata(file), _CREATED, _CREATED))
    session.execute("vacuum analyze storage.buckets, storage.objects")
    session.execute("checkpoint")


def _metadata(file: File) -> Jsonb:
    """As Storage writes it."""
    digest = hashlib.md5(file.content, usedforsecurity=False).hexdigest()
    return Jsonb(
        {
            "eTag": f'"{digest}"',
            "size": len(file.content),
            "mimetype": TYPE,
            "cacheControl": "no-cache",
            "lastModified": _CREATED.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "contentLength": len(file.content),
            "httpStatusCode": 200,
        }
    )


def _fill_index(session: psycopg.Connection, files: Sequence[File], space: Space) -> None:
    """Load first, index after: row by row into the index would take four times as long."""
    [(name, definition)] = session.execute(_INDEX).fetchall()
    session.execute(sql.SQL("drop index pixseek.{}").format(sql.Identifier(name)))
    session.execute("insert into pixseek.buckets (name) values (%s) on conflict do nothing", (BUCKET,))
    with session.cursor().copy(_IMAGES.encode()) as target:
        for row in _images(files):
            target.write_row(row)
    session.execute(
        "select setval(pg_get_serial_sequence('pixseek.images', 'id'), max(id)) from pixseek.images"
    )
    [(model_id,)] = session.execute("select id from pixseek.models").fetchall()
    vectors = np.array([space.picture(file.content) for file in files])
    ids = np.array([file.id for file in files])
    column = np.full(len(files), model_id, ">i4")
    binary.copy(
        session,
        "pixseek.vectors (image_id, model_id, embedding)",
        [(binary.integers(ids), column, binary.vectors(vectors, ">f2"))],
    )
    session.execute(definition.encode())
    session.execute("vacuum analyze pixseek.buckets, pixseek.images, pixseek.vectors")


def _images(files: Sequence[File]) -> Iterator[tuple[object, ...]]:
    for file in files:
        digest = hashlib.sha256(file.content).hexdigest()
        facts = (TYPE, len(file.content), pictures.WIDTH, pictures.HEIGHT, _CREATED, "indexed")
        yield file.id, BUCKET, file.name, file.version, ordering_key(_CREATED), digest, *facts
