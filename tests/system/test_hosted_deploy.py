"""`make deploy-supabase` against the embedded Postgres and Storage.

Stand-ins take the place of pg_net, of Vault, and of the Management API, which the link asks. None shows what
else a hosted project refuses.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.hosted.deploying import Deployment
from infra.hosted.errors import HostedError
from infra.hosted.plan import read_plan
from infra.hosted.supabase_cli import PINNED, SupabaseCli
from infra.local.home import ROOT
from infra.local.postgres import SUPERUSER, Postgres
from shared.errors import SettingsError
from tests.integration.gateway.conftest import ANON_KEY, SERVICE_KEY, Gateway, make_token
from tests.system import npm

_PASSWORD = "100% correct horse"
_SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_URL = "https://function.example/webhooks/supabase"
_REF = "abcdefghijklmnopqrst"
_TOKEN = "sbp_" + "0" * 40
_ALICE = "00000000-0000-4000-8000-00000000000a"
_BOB = "00000000-0000-4000-8000-00000000000b"
_MIGRATIONS = sorted(path.name for path in (ROOT / "supabase" / "migrations").glob("*.sql"))
# As there: postgres may use them, and Vault takes a name once.
_STAND_INS: LiteralString = """
create schema net;
create table net.posted (url text not null, body jsonb not null, headers jsonb not null);
create function net.http_post(
  url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer
) returns bigint
language sql security definer
set search_path = ''
as $$ insert into net.posted values (url, body, headers) returning 1; $$;
grant usage on schema net to postgres;

create schema vault;
create table vault.secrets (
  id uuid primary key default gen_random_uuid(), name text unique, description text, secret text not null
);
create view vault.decrypted_secrets as
  select id, name, description, convert_from(decode(secret, 'base64'), 'UTF8') as decrypted_secret
  from vault.secrets;
create function vault.create_secret(
  new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
) returns uuid
language sql security definer
set search_path = ''
as $$
  insert into vault.secrets (name, description, secret)
  values (new_name, new_description, encode(convert_to(new_secret, 'UTF8'), 'base64')) returning id;
$$;
create function vault.update_secret(
  secret_id uuid, new_secret text default null, new_name text default null,
  new_description text default null, new_key_id uuid default null
) returns void
language sql security definer
set search_path = ''
as $$
  update vault.secrets set secret = encode(convert_to(new_secret, 'UTF8'), 'base64') where id = secret_id;
$$;
grant usage on schema vault to postgres;
grant select on vault.decrypted_secrets to postgres;
"""


class _Run(NamedTuple):
    """What a deployment reported."""

    lines: list[str]
    left: list[str]

    def of(self, step: str) -> list[str]:
        return [line.removeprefix(f"{step}: ") for line in self.lines if line.startswith(f"{step}: ")]


class _Project:
    """A project that was made a moment ago, and what deploys to it."""

    def __init__(self, postgres: Postgres, gateway: Gateway, folder: Path) -> None:
        self.gateway = gateway
        self._postgres = postgres
        self.arguments = folder / "arguments"
        self._program = folder / "supabase"
        binary = npm.modules(PINNED) / "@supabase" / "cli-linux-x64" / "bin" / "supabase"
        # It notes how it is called.
        self._program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >> "{self.arguments}"\nexec "{binary}" "$@"\n'
        )
        self._program.chmod(0o755)
        parts = conninfo_to_dict(postgres.dsn("postgres"))
        self.stage = {
            "SUPABASE_URL": gateway.url,
            "SUPABASE_ANON_KEY": ANON_KEY,
            "SUPABASE_SERVICE_ROLE_KEY": SERVICE_KEY,
            "SUPABASE_DB_URL": f"host={parts['host']} port={parts['port']} user=postgres dbname=postgres "
            f"sslmode=disable password='{_PASSWORD}'",
            "WEBHOOK_SECRET": _SECRET,
            "BUCKETS": "photos,scans,shared",
            "BUCKET_OWNERS": "scans=first_segment",
            "PUBLIC_BUCKETS": "shared",
        }

    def deploy(
        self, changed: Mapping[str, str] | None = None, *, is_dry_run: bool = False, agrees: bool = True
    ) -> _Run:
        lines: list[str] = []

        def confirm(_migrations: Sequence[str]) -> bool:
            return agrees

        plan = read_plan({**self.stage, **(changed or {})})
        deployment = Deployment(plan, self._program, lines.append, confirm, is_dry_run=is_dry_run)
        return _Run(lines, deployment.run())

    def rows(self, query: LiteralString, *arguments: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._postgres.dsn(SUPERUSER)) as session:
            return session.execute(query, arguments).fetchall()

    def act(self, statement: LiteralString) -> None:
        with psycopg.connect(self._postgres.dsn(SUPERUSER)) as session:
            session.execute(statement)

    def storage(
        self,
        method: str,
        path: str,
        user: str,
        content: bytes | None = None,
        json: object = None,
        content_type: str = "application/json",
    ) -> int:
        """What Storage answers a signed-in user: the status, which it keeps in the body."""
        token = make_token("authenticated", sub=user)
        headers = {"apikey": ANON_KEY, "Authorization": f"Bearer {token}", "Content-Type": content_type}
        url = f"{self.gateway.url}/storage/v1/{path}"
        answer = httpx.request(method, url, headers=headers, content=content, json=json)
        return 200 if answer.is_success else int(answer.json()["statusCode"])

    def upload(self, bucket: str, name: str, user: str, content_type: str = "image/png") -> int:
        return self.storage("POST", f"object/{bucket}/{name}", user, content=b"1", content_type=content_type)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Project]:
    folder = tmp_path_factory.mktemp("hosted")
    with Postgres(folder / "pgdata") as postgres:
        with psycopg.connect(postgres.dsn(SUPERUSER), autocommit=True) as admin:
            admin.execute(f"alter role postgres password '{_PASSWORD}'".encode())
            admin.execute(_STAND_INS)
            access = folder / "pgdata" / "pg_hba.conf"
            access.write_text(f"local all postgres scram-sha-256\n{access.read_text()}")
            admin.execute("select pg_reload_conf()")
        gateway = Gateway(postgres, folder / "files", webhook_port=9)
        gateway.start()
        yield _Project(postgres, gateway, folder)
        gateway.stop()


@pytest.fixture(scope="module")
def rehearsed(project: _Project) -> _Run:
    """A dry run, before anything else; it left nothing behind."""
    run = project.deploy(is_dry_run=True)
    assert project.rows("select to_regnamespace('pixseek'), (select count(*) from storage.buckets)") == [
        (None, 0)
    ]
    assert project.rows("select from vault.secrets") == []
    return run


@pytest.fixture(scope="module")
def half_done(rehearsed: _Run, project: _Project) -> str:
    """The first deployment: with a wrong key for Storage. What it said."""
    assert rehearsed.lines
    with pytest.raises(SettingsError) as caught:
        project.deploy({"SUPABASE_SERVICE_ROLE_KEY": make_token("service_role", secret="wrong" * 10)})
    return str(caught.value)


@pytest.fixture(scope="module")
def deployed(half_done: str, project: _Project) -> _Run:
    """The second: with the right key."""
    assert half_done
    return project.deploy()


def test_a_dry_run_tells_all_that_would_be_done(rehearsed: _Run) -> None:
    assert rehearsed.of("migrations") == [f"would apply {', '.join(_MIGRATIONS)}"]
    assert "would make bucket photos, private" in rehearsed.of("storage")
    assert "would put the webhook's secret into Vault" in rehearsed.of("webhook")


def test_a_half_failed_deployment_says_which_key_is_wrong_and_the_next_goes_on(
    half_done: str, deployed: _Run
) -> None:
    assert "SUPABASE_SERVICE_ROLE_KEY" in half_done
    assert deployed.of("migrations") == ["nothing to change"]
    assert deployed.of("index") == ["nothing to change"]
    assert "make bucket photos, private" in deployed.of("storage")


@pytest.mark.usefixtures("deployed")
def test_storage_takes_what_pixseek_reads_and_no_more(project: _Project) -> None:
    made = project.rows(
        "select id, public, file_size_limit, 'image/heic' = any (allowed_mime_types),"
        " cardinality(allowed_mime_types) from storage.buckets order by id"
    )

    assert made == [
        ("photos", False, 25_000_000, True, 9),
        ("photos-previews", False, 1_000_000, False, 1),
        ("scans", False, 25_000_000, True, 9),
        ("scans-previews", False, 1_000_000, False, 1),
        ("shared", True, 25_000_000, True, 9),
        ("shared-previews", False, 1_000_000, False, 1),
    ]


@pytest.mark.usefixtures("deployed")
def test_the_index_knows_the_buckets_and_their_rules(project: _Project) -> None:
    known = project.rows("select name, provider, is_public, owner_rule from pixseek.buckets order by name")

    assert known == [
        ("photos", "supabase", False, "storage_owner"),
        ("scans", "supabase", False, "first_segment"),
        ("shared", "supabase", True, "storage_owner"),
    ]


def test_a_second_deployment_finds_nothing_to_change(deployed: _Run, project: _Project) -> None:
    assert deployed.lines

    again = project.deploy()

    assert again.of("migrations") == again.of("index") == again.of("storage") == ["nothing to change"]
    assert again.of("webhook") == ["set the trigger that posts changes"]


def test_what_is_next_names_the_webhooks_address_until_the_stage_has_it(
    deployed: _Run, project: _Project
) -> None:
    assert any("WEBHOOK_URL" in line for line in deployed.left)

    told = project.deploy({"WEBHOOK_URL": _URL})

    assert "put the function's address into Vault" in told.of("webhook")
    assert not any("WEBHOOK_URL" in line for line in told.left)


@pytest.mark.usefixtures("deployed")
def test_an_address_that_is_taken_from_the_stage_is_taken_out_of_vault(project: _Project) -> None:
    project.deploy({"WEBHOOK_URL": _URL})

    gone = project.deploy()
    project.upload("photos", f"{_ALICE}/silent.png", _ALICE)

    assert "take the function's address out of Vault" in gone.of("webhook")
    assert (
        project.rows("select from net.posted where body #>> '{record,name}' = %s", f"{_ALICE}/silent.png")
        == []
    )
    assert project.deploy().of("webhook") == ["set the trigger that posts changes"]


@pytest.mark.usefixtures("deployed")
def test_an_upload_is_posted_with_the_secret(project: _Project) -> None:
    project.deploy({"WEBHOOK_URL": _URL})

    status = project.upload("photos", f"{_ALICE}/posted.png", _ALICE)

    assert status == 200
    assert project.rows(
        "select url, headers ->> 'x-webhook-secret' from net.posted where body #>> '{record,name}' = %s",
        f"{_ALICE}/posted.png",
    ) == [(_URL, _SECRET)]


@pytest.mark.usefixtures("deployed")
def test_a_new_secret_takes_the_place_of_the_old_one(project: _Project) -> None:
    new = "f" * 32

    changed = project.deploy({"WEBHOOK_SECRET": new})

    assert "put the webhook's secret into Vault" in changed.of("webhook")
    assert project.rows(
        "select decrypted_secret from vault.decrypted_secrets where name = 'pixseek_webhook_secret'"
    ) == [(new,)]
    project.deploy()


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("bucket", ["photos", "scans", "shared"])
def test_a_user_writes_in_the_own_folder_alone(project: _Project, bucket: str) -> None:
    own = project.upload(bucket, f"{_ALICE}/a.png", _ALICE)
    anothers = project.upload(bucket, f"{_BOB}/b.png", _ALICE)
    nobodys = project.upload(bucket, "c.png", _ALICE)

    assert (own, anothers, nobodys) == (200, 403, 403)


@pytest.mark.usefixtures("deployed")
def test_a_bucket_of_previews_takes_nothing_from_users(project: _Project) -> None:
    assert project.upload("photos-previews", f"{_ALICE}/a.webp", _ALICE, "image/webp") == 403


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("bucket", "user", "status"),
    [
        ("photos", _ALICE, 200),
        ("photos", _BOB, 404),
        ("scans", _ALICE, 200),
        ("scans", _BOB, 404),
        ("shared", _BOB, 200),
    ],
)
def test_a_user_reads_what_is_own_or_public(project: _Project, bucket: str, user: str, status: int) -> None:
    project.upload(bucket, f"{_ALICE}/read.png", _ALICE)

    answered = project.storage("GET", f"object/authenticated/{bucket}/{_ALICE}/read.png", user)

    assert answered == status


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("bucket", ["photos", "scans", "shared"])
@pytest.mark.parametrize(("user", "left"), [(_ALICE, 0), (_BOB, 1)])
def test_a_user_deletes_what_is_own(project: _Project, bucket: str, user: str, left: int) -> None:
    name = f"{_ALICE}/deleted.png"
    project.upload(bucket, name, _ALICE)

    project.storage("DELETE", f"object/{bucket}", user, json={"prefixes": [name]})

    found = project.rows("select from storage.objects where bucket_id = %s and name = %s", bucket, name)
    assert len(found) == left


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("bucket", ["photos", "scans", "shared"])
def test_a_user_overwrites_what_is_own_and_moves_it_to_nobody_else(project: _Project, bucket: str) -> None:
    project.upload(bucket, f"{_ALICE}/moved.png", _ALICE)

    move = {"bucketId": bucket, "sourceKey": f"{_ALICE}/moved.png", "destinationKey": f"{_BOB}/moved.png"}
    given_away = project.storage("POST", "object/move", _ALICE, json=move)
    taken = project.storage("POST", "object/move", _BOB, json=move)
    kept = project.storage(
        "POST", "object/move", _ALICE, json={**move, "destinationKey": f"{_ALICE}/kept-{bucket}.png"}
    )

    assert (given_away, kept) == (403, 200)
    assert taken != 200


@pytest.mark.usefixtures("deployed")
def test_another_rule_says_what_becomes_of_the_owners(project: _Project) -> None:
    changed = project.deploy({"BUCKET_OWNERS": "scans=none"}, is_dry_run=True)

    [text] = changed.of("index")
    assert "owner rule none instead of first_segment" in text
    assert "pixseek audit scans --repair" in text


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("public", "said"),
    [
        (
            "photos,shared",
            "bucket photos is there, and private, not public: take photos out of PUBLIC_BUCKETS",
        ),
        ("", "bucket shared is there, and public, not private: put shared into PUBLIC_BUCKETS"),
    ],
)
def test_a_bucket_with_another_visibility_stays_as_it_is(project: _Project, public: str, said: str) -> None:
    before = project.rows("select id, public from storage.buckets")

    with pytest.raises(HostedError) as caught:
        project.deploy({"PUBLIC_BUCKETS": public})

    assert said in str(caught.value)
    assert project.rows("select id, public from storage.buckets") == before


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SUPABASE_DB_URL", "host=nowhere.invalid user=postgres", "Its host is not known"),
        ("SUPABASE_URL", "http://127.0.0.1:9", "is SUPABASE_URL (http://127.0.0.1:9) right"),
    ],
)
def test_a_wrong_address_is_told(project: _Project, variable: str, value: str, said: str) -> None:
    with pytest.raises(HostedError) as caught:
        project.deploy({variable: value})

    assert said in str(caught.value)


def test_a_wrong_password_is_told_and_not_repeated(project: _Project) -> None:
    wrong = project.stage["SUPABASE_DB_URL"].replace(_PASSWORD, "battery staple")

    with pytest.raises(HostedError, match="Reset database password") as caught:
        project.deploy({"SUPABASE_DB_URL": wrong})

    assert "battery staple" not in str(caught.value)


@pytest.mark.usefixtures("deployed")
def test_migrations_of_somebody_else_stop_it_before_anything_is_changed(project: _Project) -> None:
    project.act("insert into supabase_migrations.schema_migrations (version) values ('20300101000000')")

    with pytest.raises(HostedError, match="migrations that are not here: 20300101000000"):
        project.deploy()

    project.act("delete from supabase_migrations.schema_migrations where version = '20300101000000'")


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(("schema", "extension"), [("net", "pg_net"), ("vault", "supabase_vault")])
def test_an_extension_that_cannot_be_had_is_told(project: _Project, schema: str, extension: str) -> None:
    project.act(f"alter schema {schema} rename to away")

    with pytest.raises(HostedError, match=f"the extension {extension} is not available"):
        project.deploy()

    project.act(f"alter schema away rename to {schema}")


def test_no_secret_is_an_argument_or_reported(deployed: _Run, project: _Project) -> None:
    told = project.arguments.read_text() + "\n".join(deployed.lines + deployed.left)

    assert "push" in told
    assert _PASSWORD not in told
    assert _SECRET not in told
    assert SERVICE_KEY not in told


def test_no_is_an_answer(project: _Project, deployed: _Run) -> None:
    assert deployed.lines
    project.act("delete from supabase_migrations.schema_migrations where version = '20261125100000'")

    with pytest.raises(HostedError, match="nothing was changed"):
        project.deploy(agrees=False)

    project.act("insert into supabase_migrations.schema_migrations (version) values ('20261125100000')")


@pytest.fixture
def management(tmp_path: Path) -> Iterator[Path]:
    """A profile of the CLI that leads to a stand-in of the Management API."""
    host = "aws-0-eu-central-1.pooler.supabase.com"
    pooler = f"postgresql://postgres.{_REF}:[YOUR-PASSWORD]@{host}:6543/postgres"
    answers: dict[str, object] = {
        f"/v1/projects/{_REF}": {
            "id": _REF,
            "ref": _REF,
            "organization_id": "o",
            "organization_slug": "o",
            "name": "pictures",
            "region": "eu-central-1",
            "created_at": "2026-01-01T00:00:00Z",
            "status": "ACTIVE_HEALTHY",
            "database": {
                "host": f"db.{_REF}.supabase.co",
                "version": "17.4.1",
                "postgres_engine": "17",
                "release_channel": "ga",
            },
        },
        f"/v1/projects/{_REF}/api-keys": [{"name": "anon", "api_key": "a", "type": "legacy", "id": "anon"}],
        f"/v1/projects/{_REF}/config/database/pooler": [
            {
                "identifier": _REF,
                "database_type": "PRIMARY",
                "is_using_scram_auth": True,
                "db_user": f"postgres.{_REF}",
                "db_host": host,
                "db_port": 6543,
                "db_name": "postgres",
                "connection_string": pooler,
                "connectionString": pooler,
                "default_pool_size": 15,
                "max_client_conn": 200,
                "pool_mode": "transaction",
            }
        ],
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.headers["Authorization"] == f"Bearer {_TOKEN}"
            answer = answers.get(self.path.partition("?")[0]) if is_known else None
            body = json.dumps(answer or {"message": "no"}).encode()
            self.send_response(401 if not is_known else 200 if answer else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    profile = tmp_path / "profile.yaml"
    profile.write_text(
        f"name: stand-in\napi_url: {url}\ndashboard_url: {url}\nproject_host: supabase.co\n"
        "pooler_host: pooler.supabase.com\n"
    )
    yield profile
    server.shutdown()
    server.server_close()


def _cli(folder: Path, profile: Path, token: str) -> SupabaseCli:
    program = npm.modules(PINNED) / "@supabase" / "cli-linux-x64" / "bin" / "supabase"
    (folder / "work").mkdir()
    return SupabaseCli(
        program, folder / "work", {"SUPABASE_PROFILE": str(profile), "SUPABASE_ACCESS_TOKEN": token}
    )


def test_a_link_finds_the_session_pooler(tmp_path: Path, management: Path) -> None:
    pooler = _cli(tmp_path, management, _TOKEN).link(_REF)

    assert pooler == f"postgresql://postgres.{_REF}@aws-0-eu-central-1.pooler.supabase.com:5432/postgres"


@pytest.mark.parametrize("token", ["sbp_" + "1" * 40, "no token"])
def test_a_wrong_token_is_told_and_not_repeated(tmp_path: Path, management: Path, token: str) -> None:
    with pytest.raises(HostedError, match="does SUPABASE_ACCESS_TOKEN belong to somebody") as caught:
        _cli(tmp_path, management, token).link(_REF)

    assert token not in str(caught.value)


def test_the_command_says_how_to_make_a_stage() -> None:
    command = [sys.executable, "-m", "infra.hosted", "deploy", "--stage", "nowhere"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert run.returncode == 1
    assert "copy .env.example to .env.nowhere" in run.stderr
    assert "Traceback" not in run.stderr
