"""A project that followed the guide is adopted, and its clients go on working."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from infra.local.home import ROOT
from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from infra.local.processes import StackError

_MIGRATIONS = ROOT / "supabase" / "migrations"
_GUIDE = """
drop extension vector;
create extension vector schema public;
set role postgres;
create table images (id bigserial primary key, image text, embedding vector(512));
create function match_images(query_embedding vector(512), match_threshold float, match_count int)
returns table (id bigint, image text, similarity float) language sql stable as $$
  select images.id, images.image, 1 - (images.embedding <=> query_embedding) as similarity
  from images where 1 - (images.embedding <=> query_embedding) > match_threshold
  order by similarity desc limit match_count;
$$;
create index on images using ivfflat (embedding vector_cosine_ops) with (lists = 100);
insert into images (image, embedding)
select n || '.jpg', (select array_agg(sin(n * d) * 9) from generate_series(1, 512) d)::vector
from generate_series(1, 1000) n;
delete from images where id = 7;
"""
_MATCH = """
select id, image, round(similarity::numeric, 2) from match_images(
  (select array_agg(sin(42 * d)) from generate_series(1, 512) d)::vector, 0.05, 3)
"""
_UNIT = "[1" + ",0" * 511 + "]"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("guide") / "pgdata") as running:
        yield running


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """A database of a project that followed the guide."""
    name = f"guide_{uuid4().hex[:8]}"
    with psycopg.connect(postgres.dsn("supabase_admin"), autocommit=True) as sql:
        sql.execute(f"create database {name} owner postgres template postgres".encode())
        with psycopg.connect(postgres.dsn("supabase_admin", name), autocommit=True) as own:
            own.execute(b"grant all on schema public to postgres")
            own.execute(_GUIDE.encode())
        yield name
        sql.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def sql(postgres: Postgres, database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.dsn("postgres", database), autocommit=True) as connection:
        yield connection


def _rows(sql: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return sql.execute(query.encode()).fetchall()


def test_the_table_is_adopted_with_its_ids_and_vectors(
    postgres: Postgres, database: str, sql: psycopg.Connection
) -> None:
    before = _rows(sql, _MATCH)
    vectors = _rows(sql, "select id, image, l2_normalize(embedding)::halfvec::text from images order by id")

    migrate(postgres.dsn("postgres", database), _MIGRATIONS)

    assert _rows(sql, _MATCH) == before
    adopted = "select id, image, embedding::halfvec::text from images order by id"
    assert _rows(sql, adopted) == vectors
    assert len(vectors) == 999
    assert _rows(sql, "select name, state, is_guides from list_models_v1()") == [
        ("openai/clip-vit-base-patch16", "active", True)
    ]


def test_the_next_insert_gets_an_id_of_its_own(
    postgres: Postgres, database: str, sql: psycopg.Connection
) -> None:
    migrate(postgres.dsn("postgres", database), _MIGRATIONS)

    [(new_id,)] = _rows(
        sql, f"insert into images (image, embedding) values ('new.jpg', '{_UNIT}') returning id"
    )

    assert isinstance(new_id, int)
    assert new_id > 1000


def test_anybody_still_finds_what_anybody_could(
    postgres: Postgres, database: str, sql: psycopg.Connection
) -> None:
    before = _rows(sql, _MATCH)
    migrate(postgres.dsn("postgres", database), _MIGRATIONS)

    sql.execute("set role anon")

    query = _MATCH.replace("(select array_agg", "(select pg_catalog.array_agg")
    assert _rows(sql, query) == before


def test_the_file_may_run_twice(postgres: Postgres, database: str, sql: psycopg.Connection) -> None:
    migrate(postgres.dsn("postgres", database), _MIGRATIONS)
    before = _rows(sql, "select id, image, embedding::text from images order by id")

    [last] = _MIGRATIONS.glob("*_guide.sql")
    with psycopg.connect(postgres.dsn("postgres", database)) as again:
        again.execute(last.read_bytes())

    assert _rows(sql, "select id, image, embedding::text from images order by id") == before


def test_an_error_leaves_the_guides_project_as_it_was(
    postgres: Postgres, database: str, sql: psycopg.Connection
) -> None:
    sql.execute("create view dependent as select * from match_images('[1]', 0, 1)")
    before = _rows(sql, _MATCH)

    with pytest.raises(StackError, match=r"_guide\.sql"):
        migrate(postgres.dsn("postgres", database), _MIGRATIONS)

    assert _rows(sql, _MATCH) == before
    assert _rows(sql, "select count(*) from images") == [(999,)]
    assert _rows(sql, "select count(*) from pixseek.images") == [(0,)]


def test_another_table_of_that_name_is_left_alone(
    postgres: Postgres, database: str, sql: psycopg.Connection
) -> None:
    sql.execute("alter table images rename column embedding to picture")

    with pytest.raises(StackError, match="is not the guide's"):
        migrate(postgres.dsn("postgres", database), _MIGRATIONS)

    assert _rows(sql, "select count(*) from images") == [(999,)]
