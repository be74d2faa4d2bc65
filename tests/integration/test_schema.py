"""What the migrations leave behind, read from the catalogue."""

from pathlib import Path

import psycopg
import pytest

from infra.local.home import ROOT
from infra.local.migrations import migrate
from infra.local.postgres import Postgres


def _rows(sql: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return sql.execute(query.encode()).fetchall()


def test_every_migration_is_recorded_as_the_supabase_cli_does(sql: psycopg.Connection) -> None:
    files = sorted((ROOT / "supabase" / "migrations").glob("*.sql"))

    recorded = _rows(sql, "select version, name from supabase_migrations.schema_migrations order by version")

    assert recorded == [tuple(path.stem.split("_", 1)) for path in files]


def test_every_function_has_a_fixed_search_path(sql: psycopg.Connection) -> None:
    loose = _rows(
        sql,
        """
        select p.oid::regprocedure::text, p.proconfig from pg_proc p
        where p.pronamespace in ('public'::regnamespace, 'pixseek'::regnamespace)
          and not coalesce(p.proconfig, '{}') && array['search_path=""', 'search_path=pg_catalog, extensions']
        """,
    )

    assert loose == []


def test_every_table_has_row_level_security(sql: psycopg.Connection) -> None:
    tables = _rows(
        sql,
        """
        select relname, relrowsecurity from pg_class
        where relnamespace = 'pixseek'::regnamespace and relkind in ('r', 'p')
        """,
    )

    assert {"models", "images", "vectors", "vectors_1"} <= {name for name, _ in tables}
    assert [name for name, guarded in tables if not guarded] == []


def test_nothing_of_ours_is_open_to_everybody(sql: psycopg.Connection) -> None:
    granted = _rows(
        sql,
        """
        select a.grantee, c.relname from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace in ('public'::regnamespace, 'pixseek'::regnamespace) and a.grantee = 0
        union all
        select 0, p.proname from pg_proc p
        where p.pronamespace in ('public'::regnamespace, 'pixseek'::regnamespace)
          and has_function_privilege('public', p.oid, 'execute')
        """,
    )

    assert granted == []


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_callers_may_search_and_nothing_else(role: str, sql: psycopg.Connection) -> None:
    functions = _rows(
        sql,
        f"""
        select p.proname from pg_proc p
        where p.pronamespace = 'public'::regnamespace and has_function_privilege('{role}', p.oid, 'execute')
        order by p.proname
        """,
    )

    assert functions == [("match_images",), ("search_images_v1",)]


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_callers_read_what_a_search_needs_and_write_nothing(role: str, sql: psycopg.Connection) -> None:
    """Not the partitions: a policy on images guards a vector only where the two are joined."""
    readable = _rows(
        sql,
        f"""
        select c.relname from pg_class c
        where c.relnamespace = 'pixseek'::regnamespace and c.relkind in ('r', 'p', 'v')
          and has_table_privilege('{role}', c.oid, 'select')
        order by c.relname
        """,
    )
    writable = _rows(
        sql,
        f"""
        select c.relname from pg_class c
        where c.relnamespace = 'pixseek'::regnamespace and c.relkind in ('r', 'p', 'v')
          and has_table_privilege('{role}', c.oid, 'insert, update, delete, truncate')
        """,
    )

    assert [name for (name,) in readable] == ["buckets", "guide", "images", "models", "queries", "vectors"]
    assert writable == []


def test_the_guides_view_takes_inserts_of_signed_in_users_but_not_of_the_bare_anon_key(
    sql: psycopg.Connection,
) -> None:
    takers = _rows(
        sql,
        """
        select rolname from pg_roles
        where rolname in ('anon', 'authenticated', 'service_role')
          and has_table_privilege(rolname, 'public.images', 'insert')
        order by rolname
        """,
    )

    assert takers == [("authenticated",), ("service_role",)]


def test_the_owner_of_the_tables_is_no_superuser(sql: psycopg.Connection) -> None:
    owners = _rows(
        sql,
        """
        select distinct r.rolname, r.rolsuper from pg_class c join pg_roles r on r.oid = c.relowner
        where c.relnamespace = 'pixseek'::regnamespace
        """,
    )

    assert owners == [("postgres", False)]


def test_a_search_goes_through_the_index(sql: psycopg.Connection) -> None:
    """On a small table too, once a sequential scan is ruled out: so the query has the index's own form."""
    sql.execute("set enable_seqscan = off")
    sql.execute("set enable_sort = off")
    before = _index_scans(sql)

    sql.execute("select * from match_images(array_fill(1, array[512])::extensions.vector, 0, 5)")

    assert _index_scans(sql) == before + 1


def _index_scans(sql: psycopg.Connection) -> int:
    sql.execute("select pg_stat_force_next_flush()")
    [(scans,)] = sql.execute(
        "select idx_scan from pg_stat_user_indexes where indexrelname = 'vectors_1_embedding_idx'"
    ).fetchall()
    assert isinstance(scans, int)
    return scans


def test_migrations_apply_from_empty_where_pgvector_lies_in_public(tmp_path: Path) -> None:
    with Postgres(tmp_path / "pgdata") as postgres:
        with psycopg.connect(postgres.dsn("supabase_admin"), autocommit=True) as sql:
            sql.execute("alter extension vector set schema public")

        applied = migrate(postgres.dsn("postgres"), ROOT / "supabase" / "migrations")

        with psycopg.connect(postgres.dsn("supabase_admin"), autocommit=True) as sql:
            sql.execute("select public.create_model_v1('m', 512, 0.2)")
            rows = sql.execute(
                "select * from public.match_images(array_fill(1, array[512])::vector, 0, 5)"
            ).fetchall()
    assert len(applied) == 8
    assert rows == []
