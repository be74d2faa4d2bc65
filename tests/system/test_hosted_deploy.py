"""`make deploy-supabase` against the embedded Postgres and Storage.

Stand-ins take the place of pg_net, of Vault, and of the Management API, which the link asks. None shows what
else a hosted project refuses.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from infra.hosted.address import Address, given_address, hosted_address
from infra.hosted.deploying import Deployment
from infra.hosted.errors import HostedError
from infra.hosted.plan import Plan, read_plan
from infra.hosted.supabase_cli import PINNED, SupabaseCli, program
from infra.local.home import ROOT
from infra.local.postgres import SUPERUSER, Postgres
from shared.errors import SettingsError, Unavailable
from tests.http_servers import Handler, serving
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
        self.said: list[str] = []
        """What the latest deployment reported, also one that failed."""
        self._postgres = postgres
        self.arguments = folder / "arguments"
        self.profile = folder / "profile"
        """Holds the path of a profile for the CLI, if it is there."""
        self.program = folder / "supabase"
        binary = npm.modules(PINNED) / "@supabase" / "cli-linux-x64" / "bin" / "supabase"
        # It notes how it is called.
        self.program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >> "{self.arguments}"\n'
            f'[ ! -e "{self.profile}" ] || export SUPABASE_PROFILE="$(cat "{self.profile}")"\n'
            f'exec "{binary}" "$@"\n'
        )
        self.program.chmod(0o755)
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
        plan = read_plan({**self.stage, **(changed or {})})
        return self.carry_out(plan, is_dry_run=is_dry_run, agrees=agrees)

    def carry_out(self, plan: Plan, *, is_dry_run: bool = False, agrees: bool = True) -> _Run:
        lines: list[str] = []
        self.said = lines

        def confirm(_migrations: Sequence[str]) -> bool:
            return agrees

        deployment = Deployment(plan, self.program, lines.append, confirm, is_dry_run=is_dry_run)
        return _Run(lines, deployment.run())

    def rows(self, query: LiteralString, *arguments: object) -> list[tuple[Any, ...]]:
        with self.session() as session:
            return session.execute(query, arguments).fetchall()

    def act(self, statement: LiteralString) -> None:
        with self.session() as session:
            session.execute(statement)

    def session(self) -> psycopg.Connection:
        """Of the superuser, in a transaction."""
        return psycopg.connect(self._postgres.dsn(SUPERUSER))

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

    def make_foreign(self, bucket: str) -> None:
        """A public bucket of the project's own, with an object, entered in the index by others."""
        with self.session() as session:
            session.execute(
                "insert into storage.buckets (id, name, public) values (%s, %s, true)", [bucket] * 2
            )
            session.execute(
                "insert into storage.objects (bucket_id, name, owner_id) values (%s, 'theirs.png', 'x')",
                [bucket],
            )
            session.execute("insert into pixseek.buckets (name, is_public) values (%s, true)", [bucket])

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


def _refusal(project: _Project, change: Mapping[str, str]) -> str:
    with pytest.raises((HostedError, SettingsError)) as caught:
        project.deploy(change)
    return str(caught.value)


@pytest.fixture(scope="module")
def refused(rehearsed: _Run, project: _Project) -> list[str]:
    """What deployments with a wrong key each said, before anything is there; they left nothing behind."""
    assert rehearsed.lines
    said = [
        _refusal(project, {"SUPABASE_SERVICE_ROLE_KEY": make_token("service_role", secret="wrong" * 10)}),
        _refusal(project, {"SUPABASE_ANON_KEY": make_token("anon", secret="wrong" * 10)}),
        _refusal(project, {"SUPABASE_SERVICE_ROLE_KEY": ANON_KEY}),
    ]
    assert project.rows("select to_regnamespace('pixseek'), (select count(*) from storage.buckets)") == [
        (None, 0)
    ]
    return said


@pytest.fixture(scope="module")
def half_done(refused: list[str], project: _Project) -> str:
    """The first deployment that is let in: Storage makes no bucket. What it said."""
    assert refused
    project.act(
        "create function public.fail() returns trigger language plpgsql as $$ begin raise 'full'; end $$;"
        "create trigger fail before insert on storage.buckets execute function public.fail()"
    )
    with pytest.raises(Unavailable) as caught:
        project.deploy()
    project.act("drop trigger fail on storage.buckets; drop function public.fail()")
    return str(caught.value)


@pytest.fixture(scope="module")
def deployed(half_done: str, project: _Project) -> _Run:
    """The second."""
    assert half_done
    return project.deploy()


def test_a_dry_run_tells_all_that_would_be_done(rehearsed: _Run) -> None:
    assert rehearsed.of("migrations") == [f"would apply {', '.join(_MIGRATIONS)}"]
    assert "would make bucket photos, private" in rehearsed.of("storage")
    assert "would put the webhook's secret into Vault" in rehearsed.of("webhook")


def test_a_wrong_key_is_named_before_anything_is_changed(refused: list[str]) -> None:
    service, anon, exchanged = refused

    assert "SUPABASE_SERVICE_ROLE_KEY" in service
    assert "SUPABASE_ANON_KEY is refused" in anon
    assert "SUPABASE_SERVICE_ROLE_KEY holds an anon (publishable) key" in exchanged


def test_the_next_deployment_goes_on_where_one_failed(half_done: str, deployed: _Run) -> None:
    assert "Storage" in half_done
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


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_a_second_deployment_finds_nothing_to_change(
    deployed: _Run, project: _Project, is_dry_run: bool
) -> None:
    assert deployed.lines

    again = project.deploy(is_dry_run=is_dry_run)

    assert again.lines == [
        f"{step}: nothing to change" for step in ("migrations", "index", "storage", "policies", "webhook")
    ]


@pytest.mark.usefixtures("deployed")
def test_a_deployment_that_changes_nothing_waits_for_no_upload(project: _Project) -> None:
    with project.session() as uploading:
        uploading.execute("lock table storage.objects in row exclusive mode")

        again = project.deploy()

    assert again.of("policies") == again.of("webhook") == ["nothing to change"]


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("statement", "step", "order"),
    [
        ("drop policy pixseek_delete on storage.objects", "policies", "set those of signed-in users"),
        (
            "alter policy pixseek_read on storage.objects using (true)",
            "policies",
            "set those of signed-in users",
        ),
        (
            "grant execute on function pixseek.buckets_owned_by(text) to anon",
            "policies",
            "set those of signed-in users",
        ),
        (
            "drop trigger pixseek_post_webhook on storage.objects",
            "webhook",
            "set the trigger that posts changes",
        ),
        (
            "alter table storage.objects disable trigger pixseek_post_webhook",
            "webhook",
            "set the trigger that posts changes",
        ),
    ],
)
def test_what_somebody_changed_is_set_again(
    project: _Project, statement: LiteralString, step: str, order: str
) -> None:
    project.act(statement)

    rehearsed, made, after = project.deploy(is_dry_run=True), project.deploy(), project.deploy()

    assert (rehearsed.of(step), made.of(step), after.of(step)) == (
        [f"would {order}"],
        [order],
        ["nothing to change"],
    )


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
    assert project.deploy().of("webhook") == ["nothing to change"]


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
@pytest.mark.parametrize("bucket", ["site-assets", "images"])
def test_a_bucket_that_the_stage_does_not_name_is_opened_to_nobody(project: _Project, bucket: str) -> None:
    """Public, and known to the index: by an event, or as the guide's."""
    project.make_foreign(bucket)

    written = project.upload(bucket, f"{_ALICE}/a.png", _ALICE)
    project.deploy()
    again = project.upload(bucket, f"{_ALICE}/a.png", _ALICE)
    read = project.storage("GET", f"object/authenticated/{bucket}/theirs.png", _ALICE)

    assert (written, again) == (403, 403)
    assert read != 200


@pytest.mark.usefixtures("deployed")
def test_a_bucket_that_the_stage_names_no_more_is_left_to_its_own_policies(project: _Project) -> None:
    gone = project.deploy({"BUCKETS": "photos,shared", "BUCKET_OWNERS": ""})
    status = project.upload("scans", f"{_ALICE}/gone.png", _ALICE)

    assert gone.of("policies") == ["take bucket scans out of them: BUCKETS does not name it"]
    assert status == 403
    assert project.deploy().of("policies") == [
        "let signed-in users into bucket scans, as its owner rule says"
    ]


@pytest.mark.usefixtures("deployed")
def test_without_named_buckets_no_policies_are_made_and_it_is_said(project: _Project) -> None:
    project.deploy({"BUCKETS": "", "BUCKET_OWNERS": "", "PUBLIC_BUCKETS": ""})
    project.act("drop policy pixseek_read on storage.objects")

    none = project.deploy({"BUCKETS": "", "BUCKET_OWNERS": "", "PUBLIC_BUCKETS": ""})

    assert none.of("policies") == ["nothing to change"]
    assert any("BUCKETS is empty" in line and "no policies" in line for line in none.left)
    assert project.rows("select from pixseek.buckets where has_policies") == []
    project.deploy()


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
    stored = project.rows("select id, public from storage.buckets order by id")
    known = project.rows("select * from pixseek.buckets order by name")

    with pytest.raises(HostedError) as caught:
        project.deploy({"PUBLIC_BUCKETS": public})

    assert said in str(caught.value)
    assert project.rows("select id, public from storage.buckets order by id") == stored
    assert project.rows("select * from pixseek.buckets order by name") == known


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SUPABASE_DB_URL", "host=nowhere.invalid user=postgres", "Its host is not known"),
        (
            "SUPABASE_URL",
            "http://127.0.0.1:9",
            "http://127.0.0.1:9 does not answer (ConnectError): look at SUPABASE_URL",
        ),
    ],
)
def test_a_wrong_address_is_told(project: _Project, variable: str, value: str, said: str) -> None:
    with pytest.raises(HostedError) as caught:
        project.deploy({variable: value})

    assert said in str(caught.value)


@pytest.mark.usefixtures("deployed")
def test_the_callers_own_settings_of_libpq_are_not_heeded(
    project: _Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGPORT", "9")
    url = project.stage["SUPABASE_DB_URL"].replace(" sslmode=disable", "")

    with given_address(SecretStr(url)).connect() as connection:
        row = connection.execute("show default_transaction_read_only").fetchone()

    assert row == ("off",)
    assert os.environ["PGPORT"] == "9"


class _Impostor:
    """Answers as a database does that is asked for TLS, with a certificate of its own, or with none."""

    def __init__(self, folder: Path, *, has_tls: bool) -> None:
        self.certificate = folder / "impostor.crt"
        key = folder / "impostor.key"
        wanted = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
        names = ("-addext", "subjectAltName=DNS:localhost")
        files = ("-keyout", str(key), "-out", str(self.certificate))
        command = ("openssl", "req", *wanted.split(), *names, *files)
        subprocess.run(command, check=True, capture_output=True)
        self.greetings: list[bytes] = []
        """What it was told after that: a start, with the user's name."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._has_tls = has_tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                with suppress(OSError), client:
                    self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        client.recv(8)
        client.sendall(b"S" if self._has_tls else b"N")
        if self._has_tls:
            with self._context.wrap_socket(client, server_side=True) as speaking:
                self.greetings.append(speaking.recv(1024))
        elif greeting := client.recv(1024):
            self.greetings.append(greeting)


@pytest.fixture
def impostor(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[_Impostor]:
    running = _Impostor(tmp_path, has_tls=request.param)
    yield running
    running.stop()


@pytest.fixture
def another_certificate(tmp_path: Path) -> Path:
    folder = tmp_path / "another"
    folder.mkdir()
    other = _Impostor(folder, has_tls=True)
    other.stop()
    return other.certificate


@pytest.mark.parametrize("impostor", [True], indirect=True)
def test_a_server_that_cannot_prove_itself_hears_nothing(
    impostor: _Impostor, another_certificate: Path, tmp_path: Path, project: _Project
) -> None:
    url = SecretStr(f"postgresql://postgres:s@localhost:{impostor.port}/postgres")
    address = given_address(url, another_certificate)

    with pytest.raises(HostedError, match="and SUPABASE_DB_CA the certificate of this project"):
        address.connect()
    with pytest.raises(HostedError, match="cannot be pushed"):
        SupabaseCli(project.program, tmp_path / "work", address.environment()).pending(address.url)

    assert impostor.greetings == []


@pytest.mark.parametrize("impostor", [True], indirect=True)
def test_a_server_that_proves_itself_is_spoken_to(
    impostor: _Impostor, tmp_path: Path, project: _Project
) -> None:
    url = SecretStr(f"postgresql://postgres:s@localhost:{impostor.port}/postgres")
    address = given_address(url, impostor.certificate)

    with pytest.raises(HostedError, match="does not let us in"):
        address.connect()
    with pytest.raises(HostedError, match="cannot be pushed"):
        SupabaseCli(project.program, tmp_path / "work", address.environment()).pending(address.url)

    assert [b"postgres" in greeting for greeting in impostor.greetings] == [True, True]


@pytest.mark.parametrize("impostor", [False], indirect=True)
def test_a_server_without_tls_hears_nothing(impostor: _Impostor, tmp_path: Path, project: _Project) -> None:
    url = SecretStr(f"postgresql://postgres:s@localhost:{impostor.port}/postgres?sslmode=require")
    address = given_address(url)

    with pytest.raises(HostedError, match="does not let us in"):
        address.connect()
    with pytest.raises(HostedError, match="cannot be pushed"):
        SupabaseCli(project.program, tmp_path / "work", address.environment()).pending(address.url)

    assert impostor.greetings == []


def test_it_is_said_when_the_server_need_not_prove_itself(project: _Project) -> None:
    with pytest.raises(HostedError, match="Its host is not known"):
        project.deploy({"SUPABASE_DB_URL": "postgresql://postgres@nowhere.invalid/postgres"})

    assert [line for line in project.said if line.startswith("database: ")] == [
        "database: the server's certificate is not verified; SUPABASE_DB_CA=<the project's certificate> has "
        "it verified"
    ]


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

    class Answering(Handler):
        def do_GET(self) -> None:
            is_known = self.headers["Authorization"] == f"Bearer {_TOKEN}"
            answer = answers.get(self.path.partition("?")[0]) if is_known else None
            body = json.dumps(answer or {"message": "no"}).encode()
            status = 401 if not is_known else 200 if answer else 404
            self.answer(status, body, {"content-type": "application/json"})

    profile = tmp_path / "profile.yaml"
    with serving(Answering) as url:
        profile.write_text(
            f"name: stand-in\napi_url: {url}\ndashboard_url: {url}\nproject_host: supabase.co\n"
            "pooler_host: pooler.supabase.com\n"
        )
        yield profile


def _cli(folder: Path, profile: Path, token: str) -> SupabaseCli:
    program = npm.modules(PINNED) / "@supabase" / "cli-linux-x64" / "bin" / "supabase"
    (folder / "work").mkdir()
    return SupabaseCli(
        program, folder / "work", {"SUPABASE_PROFILE": str(profile), "SUPABASE_ACCESS_TOKEN": token}
    )


def test_a_link_finds_the_session_pooler(tmp_path: Path, management: Path) -> None:
    pooler = _cli(tmp_path, management, _TOKEN).link(_REF)

    assert pooler == f"postgresql://postgres.{_REF}@aws-0-eu-central-1.pooler.supabase.com:5432/postgres"


@pytest.mark.usefixtures("deployed")
def test_no_secret_of_a_linked_project_is_an_argument_or_reported(
    project: _Project, management: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded Postgres and its gateway take the places of the pooler and of the project's address."""
    linked = {
        "SUPABASE_URL": f"https://{_REF}.supabase.co",
        "SUPABASE_DB_URL": "",
        "SUPABASE_ACCESS_TOKEN": _TOKEN,
        "SUPABASE_DB_PASSWORD": _PASSWORD,
    }
    plan = read_plan({**project.stage, **linked})
    here = plan.settings.model_copy(update={"supabase_url": project.gateway.url})
    local = given_address(SecretStr(project.stage["SUPABASE_DB_URL"]))
    poolers = []

    def address(ref: str, pooler: str, password: SecretStr, ca: Path | None) -> Address:
        poolers.append(hosted_address(ref, pooler, password, ca).url)
        return Address(local.parts, password)

    monkeypatch.setattr("infra.hosted.deploying.hosted_address", address)
    project.arguments.unlink()
    project.profile.write_text(str(management))

    run = project.carry_out(replace(plan, settings=here))

    project.profile.unlink()
    told = project.arguments.read_text() + "\n".join([*run.lines, *run.left, *poolers])
    assert f"link\n--project-ref\n{_REF}" in told
    assert "push" in told
    assert run.of("migrations") == ["nothing to change"]
    assert "pooler.supabase.com" in told
    assert _TOKEN not in told
    assert _PASSWORD not in told
    assert _SECRET not in told
    assert SERVICE_KEY not in told


@pytest.mark.parametrize("token", ["sbp_" + "1" * 40, "no token"])
def test_a_wrong_token_is_told_and_not_repeated(tmp_path: Path, management: Path, token: str) -> None:
    with pytest.raises(HostedError, match="does SUPABASE_ACCESS_TOKEN belong to somebody") as caught:
        _cli(tmp_path, management, token).link(_REF)

    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 2.84.2", "is version 2.84.2 of Supabase's CLI, and this was tried with 3.1.0"),
        ("exit 3", "is it Supabase's CLI?"),
    ],
)
def test_another_version_of_the_cli_in_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    _put_in_path(tmp_path, monkeypatch, script)

    with pytest.raises(HostedError) as caught:
        program()

    assert said in str(caught.value)


def test_the_cli_in_path_is_taken_where_none_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_in_path(tmp_path, monkeypatch, "echo 3.1.0")

    assert program() == tmp_path / "supabase"


def _put_in_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """On a platform of which no CLI is pinned."""
    (folder / "supabase").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "supabase").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("platform.system", lambda: "Plan 9")


def test_the_command_says_how_to_make_a_stage() -> None:
    command = [sys.executable, "-m", "infra.hosted", "deploy", "--stage", "nowhere"]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert run.returncode == 1
    assert "copy .env.example to .env.nowhere" in run.stderr
    assert "Traceback" not in run.stderr
