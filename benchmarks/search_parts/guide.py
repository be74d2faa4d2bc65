"""The guide's own way: its table, its function and its index, as its reader would run them."""

import time
from typing import Final

import numpy as np
import psycopg
from psycopg import sql

from benchmarks.search_parts import binary, ours, server
from benchmarks.search_parts.data import CHUNK, DataSet
from benchmarks.search_parts.ours import Index
from benchmarks.search_parts.timing import Search, literals
from infra.local.postgres import SUPERUSER, Postgres

# Word for word, the index too, which the guide makes before there is a row.
_SCHEMA: Final = """
create extension vector;
create table images (
id bigserial primary key,
image text,
embedding vector(512)
);
create or replace function match_images (
query_embedding vector(512),
match_threshold float,
match_count int
)
returns table (
id bigint,
image text,
similarity float
)
language sql stable
as $$
select
images.id,
images.image,
1 - (images.embedding <=> query_embedding) as similarity
from images
where 1 - (images.embedding <=> query_embedding) > match_threshold
order by similarity desc
limit match_count;
$$;
create index on images using ivfflat (embedding vector_cosine_ops)
with
(lists = 100);
"""


def connect(postgres: Postgres, data: DataSet) -> psycopg.Connection:
    """A session in the guide's database."""
    return server.connect(postgres, SUPERUSER, f"guide_{data.name}")


def prepare(postgres: Postgres, data: DataSet) -> psycopg.Connection:
    """The guide's database with the data in it."""
    server.create_database(postgres, f"guide_{data.name}", template="template0")
    connection = connect(postgres, data)
    connection.execute("set client_min_messages = warning")
    connection.execute(_SCHEMA)
    numbers = np.arange(1, len(data.vectors) + 1)
    binary.copy(
        connection,
        "images (id, image, embedding)",
        (
            (
                binary.integers(numbers[start : start + CHUNK]),
                binary.names("{:08}.jpg", numbers[start : start + CHUNK]),
                binary.vectors(data.vectors[start : start + CHUNK]),
            )
            for start in range(0, len(numbers), CHUNK)
        ),
    )
    connection.execute("vacuum analyze images")
    return connection


def match_images(connection: psycopg.Connection, data: DataSet) -> Search:
    """The call that the guide's client makes. Ours is called by the same line."""
    texts = literals(data.queries)

    def search(number: int) -> list[int]:
        rows = connection.execute("select * from match_images(%s::vector, -1, 10)", (texts[number],))
        return [row[0] for row in rows.fetchall()]

    return search


def mended(connection: psycopg.Connection, data: DataSet, probes: int) -> Search:
    """The guide's index as it would serve if its query were written so that it can use one."""
    texts = literals(data.queries)

    def search(number: int) -> list[int]:
        rows = connection.execute(
            "select id from images order by embedding <=> %s::vector limit 10", (texts[number],)
        )
        return [row[0] for row in rows.fetchall()]

    connection.execute(f"set ivfflat.probes = {int(probes)}")
    connection.execute("set enable_seqscan = off")
    return search


def build_hnsw(connection: psycopg.Connection, index: Index) -> tuple[int, float]:
    """Bytes and seconds of an HNSW index over the guide's column, made like ours; it is dropped again."""
    started = time.perf_counter()
    connection.execute(
        sql.SQL(
            "create index plain_hnsw on images using hnsw (embedding vector_cosine_ops)"
            " with (m = {}, ef_construction = {})"
        ).format(index.m, index.ef_construction)
    )
    build_s = time.perf_counter() - started
    size_bytes = ours.single(connection, "select pg_relation_size('plain_hnsw')")
    connection.execute("drop index plain_hnsw")
    return size_bytes, build_s
