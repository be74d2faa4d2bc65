"""What the doctor says of a database that was broken on purpose, and that its mend mends it."""

import pytest

from infra.doctor.database import fact_findings
from infra.doctor.facts import Facts
from infra.doctor.findings import Finding, Level
from infra.doctor.webhook import trigger_findings
from infra.local.home import ROOT
from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from tests.integration.sql.conftest import MIGRATIONS, Database, call, own_database

pytestmark = pytest.mark.long

_APPLY = "apply the migrations"
_RECORD = "supabase_migrations.schema_migrations"


def _facts(database: Database) -> Facts:
    [row] = call(database.session(), "doctor_v1")
    return Facts.model_validate(row["doctor_v1"])


def _faults(database: Database) -> list[Finding]:
    found = fact_findings(_facts(database), apply=_APPLY)
    return [finding for finding in found if finding.level is not Level.OK]


def _run(database: Database, statements: str) -> None:
    """One by one: some may not be in a transaction."""
    session = database.superuser()
    session.execute("set search_path = public, extensions")
    for statement in filter(str.strip, statements.split(";")):
        session.execute(statement.encode())


def test_a_migrated_database_is_well(database: Database) -> None:
    faults = _faults(database)

    assert faults == []


@pytest.mark.parametrize(
    ("broken", "check", "said"),
    [
        ("grant execute on function public.list_models_v1 to anon", "grants", "list_models_v1() to anon"),
        ("grant execute on function pixseek.lease to public", "grants", "pixseek.lease(_int8, int4, int4)"),
        ("grant delete on pixseek.images to authenticated", "grants", "delete on pixseek.images"),
        ("grant select on pixseek.vectors_1 to anon", "grants", "pixseek.vectors_1 to anon"),
        ("grant insert on public.images to anon", "grants", "insert on public.images to anon"),
        (
            "revoke execute on function public.search_images_v2 from anon",
            "lost_grants",
            "public.search_images_v2",
        ),
        (
            "revoke execute on function public.claim_images_v2 from service_role",
            "lost_grants",
            "claim_images_v2",
        ),
        ("revoke select on pixseek.images from authenticated", "lost_grants", "select on pixseek.images"),
        ("alter table pixseek.images disable row level security", "row_security", "pixseek.images"),
        ("alter table pixseek.vectors_1 disable row level security", "row_security", "pixseek.vectors_1"),
        ("drop index pixseek.images_owner", "lost_indexes", "images_owner"),
        (
            "update pg_index set indisvalid = false where indexrelid = 'pixseek.images_owner'::regclass",
            "indexes",
            "images_owner",
        ),
        ("drop index pixseek.vectors_1_embedding_idx", "vector_index", "m"),
        (
            "update pg_index set indisvalid = false "
            "where indexrelid = 'pixseek.vectors_1_embedding_idx'::regclass",
            "indexes",
            "vectors_1_embedding_idx",
        ),
        ("drop function pixseek.scan_1", "scan", "m"),
        ("revoke execute on function pixseek.scan_1 from anon", "scan", "m"),
        (
            "create function public.match_images(query text) returns int language sql as 'select 1'",
            "doubles",
            "public.match_images(text)",
        ),
        ("alter role anon set statement_timeout = '500ms'", "timeouts", "anon has 500ms"),
    ],
)
def test_what_was_broken_is_found_and_its_mend_mends_it(
    broken: str, check: str, said: str, database: Database
) -> None:
    _run(database, broken)

    [fault] = _faults(database)
    _run(database, (fault.mend or "").replace("notify pgrst, 'reload config'", ""))
    left = _faults(database)

    assert fault.check == f"database.{check}"
    assert said in fault.what
    assert left == []


@pytest.mark.parametrize(
    ("broken", "mended", "check", "level", "said"),
    [
        (
            "alter function public.recalls_v1(integer) rename to gone",
            "alter function public.gone(integer) rename to recalls_v1",
            "migrations",
            Level.WRONG,
            "migrations are not applied, or not whole: 20261127161000_recall",
        ),
        (
            f"delete from {_RECORD} where version = '20261127162000'",
            f"insert into {_RECORD} (version, name) values ('20261127162000', 'forgetting')",
            "migrations",
            Level.WARNING,
            "are not on record: 20261127162000_forgetting",
        ),
        (
            f"insert into {_RECORD} (version, name) values ('20990101000000', 'later')",
            f"delete from {_RECORD} where version = '20990101000000'",
            "newer",
            Level.WARNING,
            "20990101000000",
        ),
        (
            "alter function public.recalls_v1(integer) stable security definer",
            "alter function public.recalls_v1(integer) security invoker",
            "changed",
            Level.WRONG,
            "public.recalls_v1(int4)",
        ),
        (
            "alter function public.recalls_v1(integer) set search_path = public",
            "alter function public.recalls_v1(integer) set search_path = ''",
            "changed",
            Level.WRONG,
            "public.recalls_v1(int4)",
        ),
        (
            "update pg_extension set extversion = '0.7.4' where extname = 'vector'",
            "update pg_extension set extversion = '0.8.5' where extname = 'vector'",
            "pgvector",
            Level.WRONG,
            "0.7.4 is too old",
        ),
        (
            "create policy mine on pixseek.images for select to anon using (true)",
            "drop policy mine on pixseek.images",
            "policies",
            Level.WRONG,
            "pixseek.images has mine: r to anon, all rows",
        ),
        (
            "alter policy buckets_read_public on pixseek.buckets using (true)",
            "alter policy buckets_read_public on pixseek.buckets using (is_public)",
            "policies",
            Level.WRONG,
            "all rows",
        ),
        (
            "alter table pixseek.images disable trigger turn_edition",
            "alter table pixseek.images enable trigger turn_edition",
            "triggers",
            Level.WRONG,
            "turn_edition on pixseek.images",
        ),
        (
            "alter table pixseek.forgotten rename to lost",
            "alter table pixseek.lost rename to forgotten",
            "tables",
            Level.WRONG,
            "pixseek.forgotten",
        ),
    ],
)
def test_what_was_broken_is_found_until_it_is_mended(
    broken: str, mended: str, check: str, level: Level, said: str, database: Database
) -> None:
    _run(database, broken)

    [fault] = _faults(database)
    _run(database, mended)
    left = _faults(database)

    assert (fault.check, fault.level) == (f"database.{check}", level)
    assert said in fault.what
    assert fault.mend
    assert left == []


def test_a_database_without_pgvector_is_told_so(database: Database) -> None:
    _run(database, "drop extension vector cascade")

    faults = {fault.check: fault for fault in _faults(database)}

    assert "create extension vector" in (faults["database.pgvector"].mend or "")


def test_a_function_with_other_arguments_is_found(database: Database) -> None:
    _run(
        database,
        "drop function public.daily_calls_v1(integer);"
        "create function public.daily_calls_v1(days bigint) returns int language sql as 'select 1'",
    )

    faults = {fault.check: fault for fault in _faults(database)}

    assert "public.daily_calls_v1(int4)" in faults["database.signatures"].what
    assert "20261127161000_recall.sql" in (faults["database.signatures"].mend or "")


def test_pgvector_in_another_schema_is_well_too(server: Postgres) -> None:
    with own_database(server, template="postgres") as database:
        _run(database, "grant all on schema public to postgres; alter extension vector set schema public")
        migrate(database.dsn(), MIGRATIONS)

        faults = _faults(database)

    assert faults == []


_HOSTED = b"""
create schema net;
create function net.http_post(
  url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer
) returns bigint language sql as 'select 1::bigint';
create schema vault;
create table vault.decrypted_secrets (name text, decrypted_secret text);
grant usage on schema net, vault to postgres;
grant select on vault.decrypted_secrets to postgres;
"""
_KEEP = "insert into vault.decrypted_secrets values ('{}', 'something')"


def _webhook_faults(database: Database) -> dict[str, str]:
    """What is said, by the name of the check."""
    found = trigger_findings(_facts(database).webhook)
    return {finding.check: finding.what for finding in found if finding.level is Level.WRONG}


def test_a_hosted_project_is_told_step_by_step_what_its_webhook_lacks(database: Database) -> None:
    at_first = _webhook_faults(database)
    database.superuser().execute(_HOSTED)
    with_extensions = _webhook_faults(database)
    database.owner().execute((ROOT / "supabase" / "hosted" / "webhook.sql").read_bytes())
    with_trigger = _webhook_faults(database)
    _run(database, _KEEP.format("pixseek_index_url"))
    with_address = _webhook_faults(database)
    _run(database, _KEEP.format("pixseek_webhook_secret"))
    at_last = _webhook_faults(database)

    assert at_first.keys() == {"webhook.trigger", "webhook.pg_net", "webhook.vault"}
    assert with_extensions.keys() == {"webhook.trigger", "webhook.vault"}
    assert "pixseek_index_url and pixseek_webhook_secret" in with_trigger["webhook.vault"]
    assert "lacks pixseek_webhook_secret" in with_address["webhook.vault"]
    assert at_last == {}


def test_a_disabled_trigger_of_the_webhook_is_found(database: Database) -> None:
    database.superuser().execute(_HOSTED)
    database.owner().execute((ROOT / "supabase" / "hosted" / "webhook.sql").read_bytes())
    _run(database, f"{_KEEP.format('pixseek_index_url')}; {_KEEP.format('pixseek_webhook_secret')}")
    _run(database, "alter table storage.objects disable trigger pixseek_post_webhook")

    disabled = _webhook_faults(database)
    _run(database, "alter table storage.objects enable trigger pixseek_post_webhook")
    enabled = _webhook_faults(database)

    assert disabled == {"webhook.trigger": "the trigger pixseek_post_webhook is disabled"}
    assert enabled == {}


def test_the_answer_holds_no_secret_of_vault(database: Database) -> None:
    database.superuser().execute(_HOSTED)
    _run(database, "insert into vault.decrypted_secrets values ('pixseek_webhook_secret', 'do-not-tell')")

    [row] = call(database.session(), "doctor_v1")

    assert row["doctor_v1"]["webhook"]["secrets"] == ["pixseek_webhook_secret"]
    assert "do-not-tell" not in str(row)
