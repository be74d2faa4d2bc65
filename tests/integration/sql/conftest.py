"""The migrations alone: a Postgres without the rest of the stack, and a database of its own for each test."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from infra.local.home import ROOT
from infra.local.migrations import migrate
from infra.local.postgres import SUPERUSER, Postgres

MIGRATIONS = ROOT / "supabase" / "migrations"
DIMENSIONS = 384

Row: TypeAlias = dict[str, Any]
Session: TypeAlias = psycopg.Connection[tuple[Any, ...]]
_Given = TypeVar("_Given")
_Result = TypeVar("_Result")


class Database:
    """A database of the test's own."""

    def __init__(self, server: Postgres, name: str) -> None:
        self._server = server
        self._name = name
        self._sessions: list[Session] = []

    def session(self, role: str = "service_role", user: str | None = None) -> Session:
        """A new session of a role, for a signed-in user with the claims that Supabase sets."""
        session = self.owner()
        session.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        claims = json.dumps({"role": role, "sub": user})
        session.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
        return session

    def owner(self) -> Session:
        """A new session of `postgres`, who owns the tables and is no superuser."""
        return self._connect("postgres")

    def superuser(self) -> Session:
        return self._connect(SUPERUSER)

    def dsn(self, role: str = "postgres") -> str:
        """Where it is."""
        return self._server.dsn(role, self._name)

    def close(self) -> None:
        """End its sessions."""
        for session in self._sessions:
            session.close()
        self._sessions.clear()

    def _connect(self, role: str) -> Session:
        session = psycopg.connect(self.dsn(role), autocommit=True)
        self._sessions.append(session)
        return session


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Its database `postgres` is as Supabase hands it over, `migrated` has the migrations and a model."""
    with Postgres(tmp_path_factory.mktemp("sql") / "pgdata") as running:
        with psycopg.connect(running.dsn(SUPERUSER, "template1"), autocommit=True) as admin:
            admin.execute("create database migrated template postgres owner postgres")
        migrate(running.dsn("postgres", "migrated"), MIGRATIONS)
        with psycopg.connect(running.dsn("postgres", "migrated"), autocommit=True) as owner:
            call(owner, "create_model_v1", model_name="m", model_dimensions=DIMENSIONS)
        yield running


@pytest.fixture
def database(server: Postgres) -> Iterator[Database]:
    """Migrated, with one active model, `m`, of `DIMENSIONS` dimensions."""
    with own_database(server) as database:
        yield database


@pytest.fixture
def service(database: Database) -> Session:
    """A session of the service role."""
    return database.session()


@contextmanager
def own_database(server: Postgres, template: str = "migrated") -> Iterator[Database]:
    """A new database; it goes at the end."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server.dsn(SUPERUSER, "template1"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} owner postgres".encode())
        database = Database(server, name)
        yield database
        database.close()
        admin.execute(f"drop database {name} with (force)".encode())


def call(session: Session, function: str, **arguments: object) -> list[Row]:
    """Call a function of the API by named arguments; its rows."""
    statement = sql.SQL("select * from public.{}({})").format(
        sql.Identifier(function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
        ),
    )
    values = {name: _argument(value) for name, value in arguments.items()}
    cursor = session.execute(statement, values)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def search(session: Session, query: str | None = None, **arguments: object) -> Row:
    """`search_images_v1`, by a vector unless the arguments say otherwise, without a threshold."""
    [row] = call(session, "search_images_v1", **{"query_embedding": query, "min_similarity": -1, **arguments})
    found: Row = row["search_images_v1"]
    return found


def search_by(session: Session, *parts: Row, **arguments: object) -> Row:
    """`search_images_v2` by the parts of a query, without a threshold."""
    [row] = call(session, "search_images_v2", **{"query": [*parts], "min_similarity": -1, **arguments})
    found: Row = row["search_images_v2"]
    return found


def names(found: Row) -> list[str]:
    """Of the pictures that a search found, in order."""
    return [hit["image"] for hit in found["hits"]]


def vector(*components: float, dimensions: int = DIMENSIONS) -> str:
    """As text; zero where nothing is given."""
    return json.dumps([*components, *[0.0] * (dimensions - len(components))])


def item(name: str, key: str = "1", *, content: str | None = None, **more: object) -> Row:
    """An image of bucket `photos` for `record_images_v1`; its name stands for its bytes unless told."""
    digest = sha256(name if content is None else content)
    return {"bucket": "photos", "name": name, "ordering_key": key, "content_hash": digest, **more}


def as_recorded(image: Row) -> Row:
    """Which image, and which bytes of it, for `release_images_v1`."""
    return {key: image[key] for key in ("bucket", "name", "content_hash")}


def result(image: Row, embedding: str) -> Row:
    """The vector of a recorded image, for `store_vectors_v1`."""
    return {**as_recorded(image), "embedding": json.loads(embedding)}


def index(service: Session, image: Row, embedding: str, model: str | None = None) -> int:
    """Record an image and store its vector; its id."""
    call(service, "record_images_v1", images=[image], model_name=model)
    [row] = call(service, "store_vectors_v1", vectors=[result(image, embedding)], model_name=model)
    assert row["standing"] == "indexed"
    image_id: int = row["image_id"]
    return image_id


def error(act: Callable[[], object]) -> psycopg.Error:
    """The error that a call ends with."""
    with pytest.raises(psycopg.Error) as caught:
        act()
    return caught.value


@contextmanager
def beside(database: Database, session: Session, act: Callable[[], _Result]) -> Iterator[Future[_Result]]:
    """A session's call in a thread: the test goes on as soon as it waits for a lock or is done."""
    session.execute("set statement_timeout = '20s'")
    observer = database.superuser()
    blockers, pid = "select pg_blocking_pids(%s)", session.info.backend_pid
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(act)
        while not called.done() and observer.execute(blockers, (pid,)).fetchone() == ([],):
            time.sleep(0.002)
        yield called


def at_once(act: Callable[[_Given], _Result], given: list[_Given]) -> list[_Result]:
    """Calls that start together, one for each of what is given."""
    barrier = Barrier(len(given))

    def start(one: _Given) -> _Result:
        barrier.wait()
        return act(one)

    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(start, given))


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _argument(value: object) -> object:
    """JSON where the API takes it; lists of plain values are arrays."""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value)):
        return json.dumps(value)
    return value
