"""A stack of the offline embedder, to be filled past its functions."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from benchmarks import report
from infra.local.home import Home
from infra.local.postgres import SUPERUSER
from infra.local.stack import Stack
from tests.ports import free_base_port

_INDEXES: Final = """
select indexrelid::regclass::text, pg_get_indexdef(indexrelid)
from pg_index i
where indrelid = any (%s::regclass[]) and not exists (select from pg_constraint where conindid = i.indexrelid)
"""
_VECTOR_INDEX: Final = """
select schemaname || '.' || indexname, indexdef from pg_indexes
where schemaname = 'pixseek' and indexdef like '%USING hnsw%'
"""


class Offline(NamedTuple):
    """What is up."""

    stack: Stack
    home: Home

    @contextmanager
    def owner(self) -> Iterator[psycopg.Connection]:
        """A session of the role that the tables belong to."""
        with psycopg.connect(self.stack.dsn("postgres"), autocommit=True) as session:
            yield session

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        """A session whose writes no trigger sees."""
        with psycopg.connect(self.stack.dsn(SUPERUSER), autocommit=True) as session:
            session.execute("set session_replication_role = replica")
            yield session


@contextmanager
def offline() -> Iterator[Offline]:
    """Up until the end of the block."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=report.FOLDER) as folder:
        home = Home(Path(folder) / "stack")
        with Stack(home.path, free_base_port(), environment={}) as stack:
            yield Offline(stack, home)


@contextmanager
def without_indexes(session: psycopg.Connection, *tables: str) -> Iterator[None]:
    """Tables are filled sooner when their indexes are made afterwards; keys stay."""
    definitions = session.execute(_INDEXES, (list(tables),)).fetchall()
    for name, _ in definitions:
        drop_index(session, name)
    yield
    session.execute("set maintenance_work_mem = '512MB'")
    for _, definition in definitions:
        session.execute(definition.encode())
    session.execute("reset maintenance_work_mem")


def vector_index(session: psycopg.Connection) -> tuple[str, str]:
    """The name, with its schema, and the definition of the model's."""
    [(name, definition)] = session.execute(_VECTOR_INDEX).fetchall()
    return name, definition


def drop_index(session: psycopg.Connection, name: str) -> None:
    """By a name with its schema."""
    session.execute(sql.SQL("drop index {}").format(sql.Identifier(*name.split("."))))
