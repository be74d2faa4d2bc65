"""What the doctor says of a database that was broken on purpose, and that its mend mends it."""

import pytest

from infra.doctor import Deployment
from infra.doctor.database import fact_findings
from infra.doctor.facts import Facts
from infra.doctor.findings import Finding, Level
from infra.doctor.policies import policy_findings
from infra.doctor.trigger import trigger_findings
from infra.local.home import ROOT
from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from tests.integration.sql.conftest import MIGRATIONS, Database, call, own_database

pytestmark = pytest.mark.long

_APPLY = "apply the migrations"
_RECORD = "supabase_migrations.schema_migrations"
_POLICIES = (ROOT / "supabase" / "hosted" / "policies.sql").read_text()
_AWAY = _POLICIES.partition("-- Away with it")[2].partition("\n\n")[0].partition("\n")[2].replace("--", "")
"""What the head of that file says."""


def _facts(database: Database, salt: str | None = None) -> Facts:
    [row] = call(database.session(), "doctor_v1", salt=salt)
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
            "functions",
            Level.WRONG,
            "functions are missing, or take other arguments: public.recalls_v1(int4)",
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
            "update pg_extension set extversion = '0.7.4' where extname = 'vector'",
            "update pg_extension set extversion = '0.8.5' where extname = 'vector'",
            "pgvector",
            Level.WRONG,
            "0.7.4 is too old",
        ),
        (
            f"revoke select on {_RECORD} from postgres",
            f"grant select on {_RECORD} to postgres",
            "record",
            Level.WARNING,
            "cannot be read (SQLSTATE 42501)",
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

    assert "public.daily_calls_v1(int4)" in faults["database.functions"].what
    assert "20261127161000_recall.sql, line " in (faults["database.functions"].mend or "")


def test_a_migration_of_functions_that_is_not_on_record_is_to_be_applied(database: Database) -> None:
    _run(database, f"delete from {_RECORD} where version = '20261127161000'")
    _run(database, "alter function public.recalls_v1(integer) rename to gone")

    [fault] = _faults(database)

    assert fault.check == "database.migrations"
    assert "not applied, or not whole: 20261127161000_recall" in fault.what
    assert fault.mend == _APPLY


def test_a_changed_policy_is_told_with_the_statement_that_makes_it(database: Database) -> None:
    _run(database, "alter policy buckets_read_public on pixseek.buckets using (true)")

    [fault] = _faults(database)

    assert 'drop policy "buckets_read_public" on pixseek.buckets;' in (fault.mend or "")
    assert "20261125100000_schema.sql, line 156" in (fault.mend or "")


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
create table vault.secrets (name text, secret text);
create view vault.decrypted_secrets as
  select name, convert_from(decode(secret, 'base64'), 'UTF8') as decrypted_secret from vault.secrets;
create table net._http_response (
  id bigint, status_code integer, content_type text, headers jsonb, content text, timed_out boolean,
  error_msg text,
  created timestamptz not null default now()
);
grant usage on schema net, vault to postgres;
grant select on vault.decrypted_secrets, net._http_response to postgres;
"""
_KEEP = "insert into vault.secrets values ('{}', encode('{}', 'base64'))"
_URL, _SECRET, _SALT = (
    "https://function.example/webhooks/supabase",
    "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "5a17",
)
_STAGE = Deployment({"WEBHOOK_URL": _URL, "WEBHOOK_SECRET": _SECRET}, "prod")


@pytest.fixture
def hosted(database: Database) -> Database:
    """With stand-ins for pg_net and Vault, and the webhook as it is deployed."""
    database.superuser().execute(_HOSTED)
    database.owner().execute((ROOT / "supabase" / "hosted" / "webhook.sql").read_bytes())
    _run(
        database,
        f"{_KEEP.format('pixseek_index_url', _URL)}; {_KEEP.format('pixseek_webhook_secret', _SECRET)}",
    )
    return database


def _webhook_faults(database: Database) -> dict[str, str]:
    """What is said, by the name of the check."""
    found = trigger_findings(_facts(database, _STAGE.salt).webhook, _STAGE)
    return {finding.check: finding.what for finding in found if finding.level is not Level.OK}


def test_a_hosted_project_is_told_step_by_step_what_its_webhook_lacks(database: Database) -> None:
    at_first = _webhook_faults(database)
    database.superuser().execute(_HOSTED)
    with_extensions = _webhook_faults(database)
    database.owner().execute((ROOT / "supabase" / "hosted" / "webhook.sql").read_bytes())
    with_trigger = _webhook_faults(database)
    _run(database, _KEEP.format("pixseek_index_url", _URL))
    with_address = _webhook_faults(database)
    _run(database, _KEEP.format("pixseek_webhook_secret", _SECRET))
    at_last = _webhook_faults(database)

    assert at_first.keys() == {"webhook.trigger", "webhook.pg_net", "webhook.vault"}
    assert with_extensions.keys() == {"webhook.trigger", "webhook.vault"}
    assert "pixseek_index_url and pixseek_webhook_secret" in with_trigger["webhook.vault"]
    assert "lacks pixseek_webhook_secret" in with_address["webhook.vault"]
    assert at_last == {}


@pytest.mark.parametrize(
    ("broken", "mended", "check", "said"),
    [
        (
            "alter table storage.objects disable trigger pixseek_post_webhook",
            "alter table storage.objects enable trigger pixseek_post_webhook",
            "trigger",
            "is disabled",
        ),
        (
            "create function public.theirs() returns trigger language plpgsql as 'begin return null; end';"
            "create or replace trigger pixseek_post_webhook after insert on storage.objects "
            "for each row execute function public.theirs()",
            "create or replace trigger pixseek_post_webhook "
            "after insert or update or delete on storage.objects "
            "for each row execute function pixseek.post_webhook()",
            "function",
            "runs public.theirs",
        ),
        (
            "update vault.secrets set secret = '***' where name = 'pixseek_webhook_secret'",
            f"update vault.secrets set secret = encode('{_SECRET}', 'base64') where secret = '***'",
            "vault",
            "cannot be read (SQLSTATE 22023)",
        ),
        (
            "update vault.secrets set secret = encode('https://b.example', 'base64') "
            "where name = 'pixseek_index_url'",
            f"update vault.secrets set secret = encode('{_URL}', 'base64') where name = 'pixseek_index_url'",
            "vault_url",
            "another than WEBHOOK_URL",
        ),
        (
            "update vault.secrets set secret = encode('another', 'base64') "
            "where name = 'pixseek_webhook_secret'",
            f"update vault.secrets set secret = encode('{_SECRET}', 'base64') "
            "where name = 'pixseek_webhook_secret'",
            "vault_secret",
            "another than WEBHOOK_SECRET",
        ),
        (
            "insert into net._http_response (id, status_code) values (1, 401), (2, null)",
            "update net._http_response set created = now() - interval '2 hours'",
            "posts",
            "1 without an answer, 1 with status 401, of 2",
        ),
        (
            "revoke select on net._http_response from postgres",
            "grant select on net._http_response to postgres",
            "posts",
            "cannot be told (SQLSTATE 42501)",
        ),
    ],
)
def test_a_broken_webhook_of_a_hosted_project_is_found_until_it_is_mended(
    broken: str, mended: str, check: str, said: str, hosted: Database
) -> None:
    hosted.superuser().execute(broken.encode())

    found = _webhook_faults(hosted)
    hosted.superuser().execute(mended.encode())
    left = _webhook_faults(hosted)

    assert found.keys() == {f"webhook.{check}"}
    assert said in found[f"webhook.{check}"]
    assert left == {}


def test_a_fault_in_vault_hides_nothing_else(hosted: Database) -> None:
    _run(hosted, "update vault.secrets set secret = '***'")

    faults = _faults(hosted)

    assert faults == []


@pytest.mark.parametrize("salt", [None, "", _SALT])
def test_the_answer_holds_no_secret_of_vault(salt: str | None, hosted: Database) -> None:
    [row] = call(hosted.session(), "doctor_v1", salt=salt)

    assert row["doctor_v1"]["webhook"]["vault"]["secrets"].keys() == {
        "pixseek_index_url",
        "pixseek_webhook_secret",
    }
    assert _SECRET not in str(row)
    assert _URL not in str(row)


def test_without_a_salt_there_are_no_digests(hosted: Database) -> None:
    vault = _facts(hosted).webhook.vault

    assert vault.secrets == {"pixseek_index_url": None, "pixseek_webhook_secret": None}


def _policy_faults(database: Database) -> list[Finding]:
    found = policy_findings(_facts(database).storage, "make it")
    return [finding for finding in found if finding.level is not Level.OK]


def test_policies_in_storage_are_missed_when_a_bucket_is_under_them(database: Database) -> None:
    call(database.session(), "put_bucket_v1", bucket_name="photos")
    unmanaged = _policy_faults(database)
    _run(database, "update pixseek.buckets set has_policies = true")
    [lacking] = _policy_faults(database)
    database.superuser().execute(_POLICIES.encode())
    mended = _policy_faults(database)

    assert unmanaged == []
    assert lacking.check == "buckets.policies"
    assert "pixseek_delete, pixseek_overwrite, pixseek_read and 1 more" in lacking.what
    assert mended == []


def test_policies_that_were_taken_away_as_their_file_says_are_not_missed(database: Database) -> None:
    call(database.session(), "put_bucket_v1", bucket_name="photos")
    _run(database, "update pixseek.buckets set has_policies = true")
    database.superuser().execute(_POLICIES.encode())

    database.superuser().execute(_AWAY.encode())

    assert _policy_faults(database) == []
    assert _facts(database).storage.policies == []


@pytest.mark.parametrize(
    ("broken", "check", "level"),
    [
        (
            'create policy "all mine" on storage.objects for select to anon using (true)',
            "open_policy",
            Level.WARNING,
        ),
        (
            "create policy uploads on storage.objects for insert with check (true)",
            "open_policy",
            Level.WARNING,
        ),
    ],
)
def test_a_policy_that_lets_everybody_at_every_object_is_found_and_its_mend_mends_it(
    broken: str, check: str, level: Level, database: Database
) -> None:
    _run(database, broken)

    [fault] = _policy_faults(database)
    _run(database, (fault.mend or "").partition(";")[0])
    left = _policy_faults(database)

    assert (fault.check, fault.level) == (f"buckets.{check}", level)
    assert left == []


def test_a_storage_without_row_security_is_found(database: Database) -> None:
    _run(database, "alter table storage.objects disable row level security")

    [fault] = _policy_faults(database)

    assert (fault.check, fault.level) == ("buckets.row_security", Level.WRONG)


def test_policies_for_some_rows_or_for_the_service_are_nobodys_concern(database: Database) -> None:
    _run(
        database,
        "create policy own on storage.objects for select to authenticated using (owner_id = 'me');"
        "create policy service on storage.objects to service_role using (true);"
        "create policy narrowing on storage.objects as restrictive to anon using (true)",
    )

    assert _policy_faults(database) == []
