"""What the migrations leave behind, read from the catalogue."""

import pytest

from infra.doctor.expected import RECORD, expected_schema, makers, name_of
from infra.doctor.facts import Facts
from infra.doctor.record import recorded
from tests.integration.sql.conftest import MIGRATIONS, Database, Session


@pytest.fixture
def catalogue(database: Database) -> Session:
    """A session that sees all."""
    return database.superuser()


def _rows(session: Session, query: str) -> list[tuple[object, ...]]:
    return session.execute(query.encode()).fetchall()


def test_every_migration_is_recorded_as_the_supabase_cli_does(catalogue: Session) -> None:
    files = sorted(MIGRATIONS.glob("*.sql"))

    recorded = _rows(
        catalogue, "select version, name from supabase_migrations.schema_migrations order by version"
    )

    assert recorded == [tuple(path.stem.split("_", 1)) for path in files]


def test_the_doctor_knows_what_the_migrations_make(catalogue: Session) -> None:
    """Else, after a migration: `python -m infra.doctor.record`."""
    [(answer,)] = _rows(catalogue, "select public.doctor_v1()")

    assert recorded(Facts.model_validate(answer)) == RECORD.read_text()


def test_the_doctor_knows_which_migration_makes_each_function() -> None:
    made = {name_of(signature) for signature in expected_schema().functions}

    assert made <= makers().keys()


def test_every_function_has_a_fixed_search_path(catalogue: Session) -> None:
    loose = _rows(
        catalogue,
        """
        select p.oid::regprocedure::text, p.proconfig from pg_proc p
        where p.pronamespace in ('public'::regnamespace, 'pixseek'::regnamespace)
          and not coalesce(p.proconfig, '{}') && array['search_path=""', 'search_path=pg_catalog, extensions']
        """,
    )

    assert loose == []


def test_every_table_has_row_level_security(catalogue: Session) -> None:
    tables = _rows(
        catalogue,
        """
        select relname, relrowsecurity from pg_class
        where relnamespace = 'pixseek'::regnamespace and relkind in ('r', 'p')
        """,
    )

    assert {"models", "images", "vectors", "vectors_1"} <= {name for name, _ in tables}
    assert [name for name, guarded in tables if not guarded] == []


def test_nothing_of_ours_is_open_to_everybody(catalogue: Session) -> None:
    granted = _rows(
        catalogue,
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
def test_callers_may_search_and_ask_about_one_picture_and_nothing_else(role: str, catalogue: Session) -> None:
    functions = _rows(
        catalogue,
        f"""
        select p.proname from pg_proc p
        where p.pronamespace = 'public'::regnamespace and has_function_privilege('{role}', p.oid, 'execute')
        order by p.proname
        """,
    )

    assert [name for (name,) in functions] == [
        "active_model_v1",
        "cursor_model_v1",
        "image_v1",
        "match_images",
        "model_state_v1",
        "search_images_v1",
        "search_images_v2",
    ]


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_callers_read_what_a_search_needs_and_write_nothing(role: str, catalogue: Session) -> None:
    """Not the partitions: a policy on images guards a vector only where the two are joined."""
    readable = _rows(
        catalogue,
        f"""
        select c.relname from pg_class c
        where c.relnamespace = 'pixseek'::regnamespace and c.relkind in ('r', 'p', 'v')
          and has_table_privilege('{role}', c.oid, 'select')
        order by c.relname
        """,
    )
    writable = _rows(
        catalogue,
        f"""
        select c.relname from pg_class c
        where c.relnamespace = 'pixseek'::regnamespace and c.relkind in ('r', 'p', 'v')
          and has_table_privilege('{role}', c.oid, 'insert, update, delete, truncate')
        """,
    )

    assert [name for (name,) in readable] == ["buckets", "guide", "images", "models", "queries", "vectors"]
    assert writable == []


def test_the_guides_view_takes_inserts_of_signed_in_users_but_not_of_the_bare_anon_key(
    catalogue: Session,
) -> None:
    takers = _rows(
        catalogue,
        """
        select rolname from pg_roles
        where rolname in ('anon', 'authenticated', 'service_role')
          and has_table_privilege(rolname, 'public.images', 'insert')
        order by rolname
        """,
    )

    assert takers == [("authenticated",), ("service_role",)]


def test_the_owner_of_the_tables_is_no_superuser(catalogue: Session) -> None:
    owners = _rows(
        catalogue,
        """
        select distinct r.rolname, r.rolsuper from pg_class c join pg_roles r on r.oid = c.relowner
        where c.relnamespace = 'pixseek'::regnamespace
        """,
    )

    assert owners == [("postgres", False)]
