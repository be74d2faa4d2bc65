"""pixseek's database: migrated, loaded, and indexed after the load."""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psycopg
from psycopg import sql

from benchmarks.search_parts import binary, server
from benchmarks.search_parts.attributes import OWNER, Attributes
from benchmarks.search_parts.data import CHUNK, DataSet, Floats
from benchmarks.search_parts.timing import Search, literals
from infra.local.migrations import migrate
from infra.local.postgres import Postgres

_MIGRATIONS: Final = Path(__file__).parents[2] / "supabase" / "migrations"
_INDEX: Final = re.compile(
    r"USING hnsw \((?P<column>.+) (?P<operators>\w+_ops)\)(?: WITH \((?P<options>.*)\))?"
)
_OPERATORS: Final = {"ip": "<#>", "cosine": "<=>", "l2": "<->"}


@dataclass(frozen=True, slots=True)
class Index:
    """The HNSW index of the model's partition, as the migrations define it."""

    name: str
    table: str
    definition: str

    def order(self) -> str:
        """The expression by which a query must be ordered to use it."""
        kind, measure, _ = self._part("operators").split("_")
        return f"{self._part('column')} {_OPERATORS[measure]} %s::{kind}"

    @property
    def m(self) -> int:
        """Neighbours a vector."""
        return self._option("m", 16)

    @property
    def ef_construction(self) -> int:
        """Candidates looked at for them."""
        return self._option("ef_construction", 64)

    def _part(self, group: str) -> str:
        match = _INDEX.search(self.definition)
        if match is None:
            raise ValueError(f"not understood: {self.definition}")
        return match[group] or ""

    def _option(self, name: str, default: int) -> int:
        match = re.search(rf"\b{name}='?(\d+)", self._part("options"))
        return int(match[1]) if match else default


@dataclass(frozen=True, slots=True)
class Ours:
    """The loaded database."""

    postgres: Postgres
    database: str
    index: Index
    build_s: float
    index_bytes: int

    def connect(self) -> psycopg.Connection:
        """A session of the role that owns the schema; row-level security does not hold for it."""
        return server.connect(self.postgres, "postgres", self.database)

    def connect_as_owner(self) -> psycopg.Connection:
        """A session of a signed-in user, who may see what he owns."""
        connection = self.connect()
        claims = json.dumps({"sub": OWNER, "role": "authenticated"})
        connection.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
        connection.execute("set role authenticated")
        return connection


def prepare(postgres: Postgres, data: DataSet, attributes: Attributes) -> Ours:
    """Load first, index after: row by row into the index would take four times as long."""
    database = f"ours_{data.name}"
    server.create_database(postgres, database, template="postgres")
    migrate(postgres.dsn("postgres", database), _MIGRATIONS)
    with server.connect(postgres, "postgres", database) as connection:
        connection.execute("select create_model_v1('bench', 512, -1, '{en}')")
        index = _find_index(connection)
        connection.execute(sql.SQL("drop index pixseek.{}").format(sql.Identifier(index.name)))
        connection.execute("insert into pixseek.buckets (name) values ('tenant'), ('others'), ('copies')")
        insert(connection, 1, data.vectors, map(attributes.row, range(len(data.vectors))))
        started = time.perf_counter()
        connection.execute(index.definition.encode())
        build_s = time.perf_counter() - started
        connection.execute("vacuum analyze pixseek.buckets, pixseek.images, pixseek.vectors")
        index_bytes = single(connection, "select pg_relation_size(%s)", f"pixseek.{index.name}")
        return Ours(postgres, database, index, build_s, index_bytes)


def insert(
    connection: psycopg.Connection, first_id: int, vectors: Floats, images: Iterable[tuple[object, ...]]
) -> None:
    """Pictures, as `Attributes.row` has them, with consecutive ids and their vectors in the same order."""
    columns = "id, bucket, name, owner, content_type, created_at, taken_at, ordering_key, state"
    with connection.cursor().copy(f"copy pixseek.images ({columns}) from stdin") as target:
        for image in images:
            target.write_row((*image, "", "indexed"))
    model_id = single(connection, "select id from pixseek.models")
    numbers = np.arange(first_id, first_id + len(vectors))
    binary.copy(
        connection,
        "pixseek.vectors (image_id, model_id, embedding)",
        (
            (
                binary.integers(numbers[start : start + CHUNK]),
                np.full(len(numbers[start : start + CHUNK]), model_id, ">i4"),
                binary.vectors(vectors[start : start + CHUNK], ">f2"),
            )
            for start in range(0, len(numbers), CHUNK)
        ),
    )


def single(connection: psycopg.Connection, statement: str, *values: object) -> int:
    """The number that a statement yields."""
    row = connection.execute(statement.encode(), values).fetchone()
    if row is None:
        raise LookupError(f"no row: {statement}")
    return int(row[0])


def _find_index(connection: psycopg.Connection) -> Index:
    rows = connection.execute(
        "select indexname, tablename, indexdef from pg_indexes"
        " where schemaname = 'pixseek' and indexdef like '%USING hnsw%'"
    ).fetchall()
    if len(rows) != 1:
        raise ValueError(f"one model should have one HNSW index, not {len(rows)}")
    return Index(*rows[0])


def raw(connection: psycopg.Connection, index: Index, data: DataSet, ef_search: int) -> Search:
    """The index itself, without the function around it."""
    texts = literals(data.queries)
    connection.execute("select '[1]'::vector")  # loads pgvector, without which its settings are unknown
    connection.execute(f"set hnsw.ef_search = {int(ef_search)}")
    connection.execute("set enable_seqscan = off")
    statement = sql.SQL("select image_id from pixseek.{} order by {} limit 10").format(
        sql.Identifier(index.table), sql.SQL(index.order())
    )

    def search(number: int) -> list[int]:
        return [row[0] for row in connection.execute(statement, (texts[number],)).fetchall()]

    return search
