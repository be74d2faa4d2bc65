"""Migrations are applied as the Supabase CLI applies them."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from infra.local.processes import StackError


@pytest.fixture
def dsn(postgres: Postgres, sql: psycopg.Connection) -> Iterator[str]:
    """A database of the test's own, which belongs to postgres."""
    name = f"migrations_{uuid4().hex[:8]}"
    sql.execute(f"create database {name} owner postgres".encode())
    yield postgres.dsn("postgres", name)
    sql.execute(f"drop database {name}".encode())


def answer(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def write(folder: Path, **files: str) -> None:
    [(folder / f"2026{name}.sql").write_text(text) for name, text in files.items()]


def test_files_are_applied_in_order_and_recorded(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"02_more": "insert into t values (1); insert into t values (2);"})
    write(tmp_path, **{"01_table": "create table t (n int);"})

    applied = migrate(dsn, tmp_path)

    assert applied == ["202601_table.sql", "202602_more.sql"]
    assert answer(dsn, "select n from t order by n") == [(1,), (2,)]
    assert answer(dsn, "select * from supabase_migrations.schema_migrations order by version") == [
        ("202601", ["create table t (n int);"], "table"),
        ("202602", ["insert into t values (1); insert into t values (2);"], "more"),
    ]


def test_what_is_on_record_is_not_applied_again(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_table": "create table t (n int);"})
    migrate(dsn, tmp_path)
    write(tmp_path, **{"02_row": "insert into t values (1);"})

    again = [migrate(dsn, tmp_path), migrate(dsn, tmp_path)]

    assert again == [["202602_row.sql"], []]


def test_a_database_of_another_version_is_refused_with_what_to_do(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_table": "create table t (n int);"})
    migrate(dsn, tmp_path)
    (tmp_path / "202601_table.sql").rename(tmp_path / "202602_table.sql")

    with pytest.raises(StackError, match=r"202601.*Remove the data of the stack"):
        migrate(dsn, tmp_path)


def test_a_failing_file_is_named_and_leaves_nothing_behind(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_good": "create table good ();"})
    write(tmp_path, **{"02_bad": "create table half ();\n\nselect nonsense;\n"})

    with pytest.raises(StackError, match=r'202602_bad\.sql:3: column "nonsense" does not exist'):
        migrate(dsn, tmp_path)

    assert answer(dsn, "select to_regclass('good') is null, to_regclass('half') is null") == [(False, True)]
    assert answer(dsn, "select version from supabase_migrations.schema_migrations") == [("202601",)]


def test_a_mended_file_is_applied_at_the_next_start(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_bad": "nonsense;"})
    with pytest.raises(StackError):
        migrate(dsn, tmp_path)
    write(tmp_path, **{"01_bad": "create table mended ();"})

    assert migrate(dsn, tmp_path) == ["202601_bad.sql"]


def test_a_file_runs_as_postgres_without_superuser_rights(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_who": "create table who as select current_user::text as name;"})
    write(tmp_path, **{"02_too_much": "alter system set work_mem = '1GB';"})

    with pytest.raises(StackError, match="02_too_much"):
        migrate(dsn, tmp_path)

    assert answer(dsn, "select name from who") == [("postgres",)]


def test_a_setting_does_not_reach_the_next_file(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_sets": "set search_path = 'elsewhere';"})
    write(tmp_path, **{"02_reads": "create table public.p as select current_setting('search_path') as path;"})

    migrate(dsn, tmp_path)

    assert answer(dsn, "select path from p") == [('"$user", public, extensions',)]


def test_text_with_percent_signs_and_dollar_quotes_is_left_alone(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_quotes": "create function f() returns text language sql as $$select '50 %s;'$$;"})

    migrate(dsn, tmp_path)

    assert answer(dsn, "select f()") == [("50 %s;",)]


@pytest.mark.parametrize("name", ["notes.sql", "2026.sql", "x_y.sql"])
def test_a_file_without_a_version_is_refused(dsn: str, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("select 1;")

    with pytest.raises(StackError, match="a migration is named"):
        migrate(dsn, tmp_path)


def test_two_files_of_one_version_are_refused(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, **{"01_one": "select 1;", "01_two": "select 1;"})

    with pytest.raises(StackError, match="the same version"):
        migrate(dsn, tmp_path)
