"""The trigger by which a hosted project posts its changes; stand-ins for pg_net and Vault take them."""

import json
from collections.abc import Iterator
from typing import LiteralString, NamedTuple

import psycopg
import pytest
from psycopg import sql

from infra.local.home import ROOT
from infra.local.migrations import migrate
from infra.local.postgres import SUPERUSER, Postgres
from shared.events.objects import is_followed
from shared.events.supabase import SECRET_HEADER, decode_supabase_webhook
from shared.models import Change, ObjectEvent, ObjectRef

_WEBHOOK = ROOT / "supabase" / "hosted" / "webhook.sql"
_URL = "https://function.example/index"
_SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_STORAGE = "supabase_storage_admin"
# As there, only postgres may use them, and the queue takes no nulls.
_STAND_INS: LiteralString = """
create schema net;
create table net.posted (
  id bigint generated always as identity primary key,
  url text not null, body jsonb not null, params jsonb not null, headers jsonb not null,
  timeout_milliseconds integer not null
);
create function net.http_post(
  url text, body jsonb default '{}', params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}', timeout_milliseconds integer default 5000
) returns bigint
language sql security definer
set search_path = ''
as $$
  insert into net.posted (url, body, params, headers, timeout_milliseconds)
  values (url, body, params, headers, timeout_milliseconds) returning id;
$$;
revoke execute on function net.http_post from public;
grant usage on schema net to postgres;
grant execute on function net.http_post to postgres;

create schema vault;
create table vault.secrets (id uuid primary key default gen_random_uuid(), name text unique, secret text);
create view vault.decrypted_secrets as
  select id, name, secret, convert_from(decode(secret, 'base64'), 'UTF8') as decrypted_secret
  from vault.secrets;
grant usage on schema vault to postgres;
grant select on vault.decrypted_secrets to postgres;

create policy everything on storage.objects for all to authenticated using (true) with check (true);
insert into storage.buckets (id, name)
select name, name from unnest(array['photos', 'scans', 'photos-previews']) name;
"""


class _Post(NamedTuple):
    url: str
    body: dict[str, object]
    params: dict[str, str]
    headers: dict[str, str]
    timeout_ms: int

    @property
    def events(self) -> tuple[ObjectEvent, ...]:
        return decode_supabase_webhook(json.dumps(self.body).encode())

    @property
    def changes(self) -> list[tuple[str, Change]]:
        return [(event.ref.name, event.change) for event in self.events]


class _Project:
    """A hosted project in one transaction."""

    def __init__(self, session: psycopg.Connection) -> None:
        self._session = session
        self.warnings: list[str] = []
        session.add_notice_handler(self._note)

    def run(self, statement: LiteralString, *arguments: object, role: str = SUPERUSER) -> None:
        self._session.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        self._session.execute(statement, arguments)

    def upload(self, name: str, bucket: str = "photos", role: str = _STORAGE) -> None:
        insert: LiteralString = "insert into storage.objects (bucket_id, name, version) values (%s, %s, '1')"
        self.run(insert, bucket, name, role=role)

    def change(self, assignments: LiteralString) -> None:
        """Every object."""
        self.run("update storage.objects set " + assignments, role=_STORAGE)

    def delete(self) -> None:
        """Every object."""
        self.run("select set_config('storage.allow_delete_query', 'true', true)", role=_STORAGE)
        self.run("delete from storage.objects", role=_STORAGE)

    def keep_secret(self, name: str, value: str) -> None:
        statement: LiteralString = """
          insert into vault.secrets (name, secret) values (%s, encode(convert_to(%s, 'UTF8'), 'base64'))
          on conflict (name) do update set secret = excluded.secret
        """
        self.run(statement, name, value)

    def posts(self) -> list[_Post]:
        """All so far, oldest first."""
        self.run("select")
        rows = self._session.execute(
            "select url, body, params, headers, timeout_milliseconds from net.posted order by id"
        )
        return [_Post(*row) for row in rows]

    def names(self) -> list[str]:
        """Of the objects that are stored."""
        self.run("select")
        return [name for (name,) in self._session.execute("select name from storage.objects order by name")]

    def texts(self, statement: LiteralString) -> list[str]:
        """What a query of one column answers."""
        self.run("select")
        return [text for (text,) in self._session.execute(statement)]

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        parts = (notice.message_primary, notice.message_detail, notice.message_hint, notice.context)
        self.warnings.append("\n".join(filter(None, parts)))


def _apply(server: Postgres) -> None:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as postgres:
        postgres.execute(_WEBHOOK.read_bytes())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("hosted") / "pgdata") as running:
        migrate(running.dsn("postgres"), ROOT / "supabase" / "migrations")
        with psycopg.connect(running.dsn(SUPERUSER), autocommit=True) as admin:
            admin.execute(_STAND_INS)
        _apply(running)
        yield running


@pytest.fixture
def project(server: Postgres) -> Iterator[_Project]:
    """With its secrets in Vault."""
    with psycopg.connect(server.dsn(SUPERUSER)) as session:
        project = _Project(session)
        project.keep_secret("pixseek_index_url", _URL)
        project.keep_secret("pixseek_webhook_secret", _SECRET)
        yield project
        session.rollback()


@pytest.mark.parametrize("role", [_STORAGE, "service_role", "authenticated"])
def test_an_upload_is_posted_with_the_secret_whoever_uploads(project: _Project, role: str) -> None:
    project.upload("2026/a b+c.jpg", role=role)

    [post] = project.posts()
    assert (post.url, post.params, post.changes) == (_URL, {}, [("2026/a b+c.jpg", Change.WRITTEN)])
    assert post.headers == {"Content-Type": "application/json", SECRET_HEADER: _SECRET}
    assert post.timeout_ms == 30_000
    assert set(post.body) == {"type", "table", "schema", "record", "old_record"}
    assert (post.body["schema"], post.body["old_record"]) == ("storage", None)


def test_an_overwrite_is_posted(project: _Project) -> None:
    project.upload("a.jpg")

    project.change("version = '2'")

    assert project.posts()[1].changes == [("a.jpg", Change.WRITTEN)]


def test_a_move_is_posted_with_both_names(project: _Project) -> None:
    project.upload("a.jpg")

    project.change("name = 'b.jpg', version = '2'")

    assert project.posts()[1].changes == [("b.jpg", Change.WRITTEN), ("a.jpg", Change.REMOVED)]


def test_a_delete_is_posted(project: _Project) -> None:
    project.upload("a.jpg")

    project.delete()

    assert project.posts()[1].changes == [("a.jpg", Change.REMOVED)]
    assert project.posts()[1].body["record"] is None


@pytest.mark.parametrize("assignments", ["last_accessed_at = now()", "metadata = '{}'", "version = version"])
def test_a_touch_is_not_posted(project: _Project, assignments: LiteralString) -> None:
    project.upload("a.jpg")

    project.change(assignments)

    assert len(project.posts()) == 1


def test_an_upload_that_is_rolled_back_is_not_posted(project: _Project) -> None:
    project.run("savepoint permission_test")
    project.upload("a.jpg")

    project.run("rollback to savepoint permission_test")

    assert project.posts() == []


def test_nothing_is_posted_of_a_bucket_of_previews(project: _Project) -> None:
    project.upload("a.webp", bucket="photos-previews")
    project.change("version = '2'")
    project.delete()

    assert project.posts() == []
    assert project.warnings == []


def test_a_move_out_of_a_bucket_takes_the_object_from_the_index(project: _Project) -> None:
    project.upload("a.jpg")

    project.change("bucket_id = 'photos-previews', version = '2'")

    events = [event for event in project.posts()[1].events if is_followed(event.ref, [])]
    assert [(event.ref, event.change) for event in events] == [(ObjectRef("photos", "a.jpg"), Change.REMOVED)]


def test_a_new_secret_in_vault_goes_with_the_next_post(project: _Project) -> None:
    project.upload("a.jpg")
    project.keep_secret("pixseek_webhook_secret", "n" * 32)

    project.upload("b.jpg")

    assert [post.headers[SECRET_HEADER] for post in project.posts()] == [_SECRET, "n" * 32]


@pytest.mark.parametrize("name", ["pixseek_index_url", "pixseek_webhook_secret"])
@pytest.mark.parametrize(
    "statement",
    ["delete from vault.secrets where name = %s", "update vault.secrets set secret = '' where name = %s"],
)
def test_an_upload_survives_a_missing_secret_with_a_warning(
    project: _Project, statement: LiteralString, name: str
) -> None:
    project.run(statement, name)

    project.upload("a.jpg")

    assert project.names() == ["a.jpg"]
    assert project.posts() == []
    [warning] = project.warnings
    assert "Vault lacks pixseek_index_url or pixseek_webhook_secret" in warning


@pytest.mark.parametrize(
    ("breakage", "sqlstate"),
    [
        # The error's detail quotes the row.
        ("alter table net.posted add check (url is null)", "23514"),
        ("revoke execute on function net.http_post from postgres", "42501"),
        ("drop schema net cascade", "3F000"),
        ("drop view vault.decrypted_secrets", "42P01"),
        # The error quotes a part of it.
        ("update vault.secrets set secret = convert_from(decode(secret, 'base64'), 'UTF8')", "22023"),
    ],
    ids=["it raises", "it is not allowed", "it is not there", "there is no Vault", "it cannot be decrypted"],
)
def test_an_upload_survives_a_post_that_fails_with_a_warning_that_keeps_the_secret(
    project: _Project, breakage: LiteralString, sqlstate: str
) -> None:
    project.run(breakage)

    project.upload("a.jpg")

    assert project.names() == ["a.jpg"]
    [warning] = [warning for warning in project.warnings if "pixseek" in warning]
    assert f"pg_net or Vault failed ({sqlstate})" in warning
    assert _SECRET not in warning


def test_the_catalogue_holds_neither_the_secret_nor_the_address(project: _Project) -> None:
    definitions = project.texts("""
      select pg_get_functiondef(oid) from pg_proc where pronamespace = 'pixseek'::regnamespace
      union all
      select pg_get_triggerdef(oid) from pg_trigger
    """)

    catalogue = "\n".join(definitions)
    assert "pixseek.post_webhook()" in catalogue
    assert _SECRET not in catalogue
    assert _URL not in catalogue


def test_nobody_else_may_execute_the_function(project: _Project) -> None:
    allowed = project.texts("""
      select rolname::text from pg_roles
      where not rolsuper and has_function_privilege(oid, 'pixseek.post_webhook()', 'execute')
    """)

    assert allowed == ["postgres"]


def test_applied_twice_it_posts_once(server: Postgres, project: _Project) -> None:
    _apply(server)

    project.upload("a.jpg")

    assert len(project.posts()) == 1
