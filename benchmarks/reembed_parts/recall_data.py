"""Pictures and remembered queries for the recall check, in a stack's index."""

import hashlib
from typing import Final

import numpy as np
import psycopg

from benchmarks.reembed_parts.auditing_stack import drop_index, vector_index
from benchmarks.search_parts import binary
from benchmarks.search_parts.data import DataSet
from benchmarks.search_parts.timing import literals

_BUCKET: Final = "photos"
_IMAGES: Final = """
insert into pixseek.images (id, bucket, name, ordering_key, state)
overriding system value
select g, %s, lpad(g::text, 8, '0') || '.jpg', '', 'indexed' from generate_series(1, %s) g
"""
_QUERY: Final = """
insert into pixseek.queries (model_id, digest, embedding) values (%s, %s, %s::extensions.halfvec)
"""


def load(session: psycopg.Connection, data: DataSet) -> None:
    """In place of what was there; the vector index is made anew when all is in."""
    session.execute("truncate pixseek.queries, pixseek.images, pixseek.vectors cascade")
    session.execute("insert into pixseek.buckets (name) values (%s) on conflict do nothing", (_BUCKET,))
    session.execute(_IMAGES, (_BUCKET, len(data.vectors)))
    [(model_id,)] = session.execute("select id from pixseek.models where state = 'active'").fetchall()
    name, definition = vector_index(session)
    drop_index(session, name)
    ids = np.arange(1, len(data.vectors) + 1)
    column = np.full(len(ids), model_id, ">i4")
    binary.copy(
        session,
        "pixseek.vectors (image_id, model_id, embedding)",
        [(binary.integers(ids), column, binary.vectors(data.vectors, ">f2"))],
    )
    session.execute(definition.encode())
    queries = [
        (model_id, hashlib.sha256(literal.encode()).digest(), literal) for literal in literals(data.queries)
    ]
    with session.cursor() as cursor:
        cursor.executemany(_QUERY, queries)
    session.execute("vacuum analyze pixseek.images, pixseek.vectors, pixseek.queries")
