"""A real Postgres, a real gateway process and a receiver of webhooks, without the functions."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from supabase import Client, ClientOptions, create_client
from supabase_auth.types import Session

from infra.local.home import ROOT
from infra.local.postgres import SUPERUSER, Postgres
from tests.http_servers import Handler, serving
from tests.ports import free_base_port

JWT_SECRET = "gateway-tests-" + "s" * 40
WEBHOOK_SECRET = "gateway-tests-" + "w" * 20
PASSWORD = "a correct horse"
_READY_S = 30.0

_FUNCTIONS = """
create table public.notes (id int primary key, body text not null);
insert into public.notes values (1, 'one'), (2, 'two');
revoke all on public.notes from anon;

create function public.add(a int, b int default 10) returns int language sql immutable return a + b;
create function public.squares(up_to int) returns setof int language sql stable
  begin atomic select n * n from generate_series(1, up_to) n; end;
create function public.pairs(up_to int) returns table (n int, word text) language sql stable
  begin atomic select n, 'w' || n from generate_series(1, up_to) n; end;
create function public.all_notes() returns setof public.notes language sql stable
  begin atomic select * from public.notes order by id; end;
create function public.first_note() returns public.notes language sql stable
  begin atomic select * from public.notes order by id limit 1; end;
create function public.forget() returns void language sql begin atomic end;
create function public.dimensions(v extensions.vector) returns int language sql immutable
  return extensions.vector_dims(v);
create function public.total(numbers int[]) returns bigint language sql immutable
  begin atomic select sum(n) from unnest(numbers) n; end;
create function public.note_added(id int, body text) returns int language sql
  begin atomic insert into public.notes values (id, body) returning id; end;
create function public.note_added_in_secret(id int) returns int language plpgsql stable as
  $$ begin return public.note_added(id, ''); end $$;
create function public.twin(a int) returns text language sql immutable return 'int';
create function public.twin(a text) returns text language sql immutable return 'text';
create function public.failing(state text) returns void language plpgsql as
  $$ begin raise exception 'it failed' using errcode = state, detail = 'why', hint = 'what next'; end $$;
create function public.setting(name text) returns text language sql stable return current_setting(name, true);
create function public.whoami() returns json language sql stable
  return json_build_object('uid', auth.uid(), 'role', auth.role(), 'user', current_user);
create function public.slow() returns void language sql set statement_timeout = '50ms'
  begin atomic select pg_sleep(20); end;
create function public.for_service() returns int language sql immutable return 1;
revoke execute on function public.for_service() from public, anon, authenticated;
"""
# As pixseek's own: a view whose trigger writes elsewhere, with the writer's rights decided there.
_IMAGES = """
create table public.kept_images (
  id bigint generated always as identity primary key,
  image text not null check (image <> ''),
  embedding extensions.vector(3),
  owner uuid default auth.uid()
);
create view public.images as select id, image, embedding from public.kept_images;
alter view public.images alter column image set default 'untitled';
create function public.keep_image() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.kept_images (image, embedding) values (new.image, new.embedding)
  returning id into new.id;
  return new;
end $$;
create trigger keep_image instead of insert on public.images
for each row execute function public.keep_image();
revoke all on public.kept_images from anon, authenticated, service_role;
revoke all on public.images from anon;
"""
_POLICIES = """
create policy own_read on storage.objects for select to authenticated
  using (bucket_id = 'private' and (storage.foldername(name))[1] = auth.uid()::text);
create policy own_insert on storage.objects for insert to authenticated
  with check (bucket_id = 'private' and (storage.foldername(name))[1] = auth.uid()::text);
create policy own_update on storage.objects for update to authenticated
  using (bucket_id = 'private' and (storage.foldername(name))[1] = auth.uid()::text);
create policy own_delete on storage.objects for delete to authenticated
  using (bucket_id = 'private' and owner_id = auth.uid()::text);
"""


def make_token(role: str, *, secret: str = JWT_SECRET, **claims: object) -> str:
    """A token as Supabase's Auth signs it, valid for ten minutes unless told otherwise."""
    return jwt.encode({"role": role, "exp": int(time.time()) + 600, **claims}, secret, "HS256")


ANON_KEY = make_token("anon")
SERVICE_KEY = make_token("service_role")


def wait_for(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + _READY_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


class Receiver:
    """The function behind the webhook: it remembers what it got, and answers what it is told to."""

    def __init__(self) -> None:
        self.received: list[tuple[Mapping[str, str], dict[str, Any]]] = []
        self.answers: defaultdict[str, list[int]] = defaultdict(list)
        """By bucket: the next answers; 200 when there is none left."""
        self.port = free_base_port()
        self._listening = ExitStack()
        self.start()

    def events(self, bucket: str) -> list[dict[str, Any]]:
        """What arrived about a bucket, in order."""
        bodies = [body for _, body in self.received]
        return [body for body in bodies if (body["record"] or body["old_record"])["bucket_id"] == bucket]

    def start(self) -> None:
        """Answer on the port, also again after `stop`."""
        self._listening.enter_context(serving(self._handler(), self.port))

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._listening.close()

    def _handler(receiver) -> type[Handler]:  # noqa: N805 # `self` is the handler's
        class Answering(Handler):
            def do_POST(self) -> None:
                body = json.loads(self.content())
                receiver.received.append((dict(self.headers.items()), body))
                answers = receiver.answers[(body["record"] or body["old_record"])["bucket_id"]]
                self.answer(answers.pop(0) if answers else 200)

        return Answering


class Gateway:
    """The gateway as a process of its own."""

    def __init__(self, postgres: Postgres, files: Path, webhook_port: int) -> None:
        self.files = files
        self.signing_keys = files.with_name(f"{files.name}-keys.json")
        self.port = free_base_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_DSN_AUTHENTICATOR": postgres.dsn("authenticator"),
            "GATEWAY_DSN_STORAGE": postgres.dsn("supabase_storage_admin"),
            "GATEWAY_DSN_AUTH": postgres.dsn("supabase_auth_admin"),
            "GATEWAY_PUBLIC_URL": self.url,
            "GATEWAY_JWT_SECRET": JWT_SECRET,
            "GATEWAY_SIGNING_KEYS_FILE": str(self.signing_keys),
            "GATEWAY_FILES_DIR": str(files),
            "GATEWAY_WEBHOOK_URL": f"http://127.0.0.1:{webhook_port}/",
            "GATEWAY_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }

    def start(self) -> None:
        self._process = self.run()
        wait_for(self._answers)

    def run(self, **environment: str) -> subprocess.Popen[str]:
        """Start it once, with other variables if need be, and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-m", "infra.local.gateway"],
            cwd=ROOT,
            env={**os.environ, **self.environment, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        """As `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """In order; answers the exit code."""
        return self._end(signal.SIGTERM)

    def post(self, function: str, body: str = "{}", **headers: str) -> httpx.Response:
        """Call a function without a client's help; with the service key unless told otherwise."""
        sent = {"apikey": SERVICE_KEY, "content-type": "application/json", **headers}
        return httpx.post(f"{self.url}/rest/v1/rpc/{function}", content=body, headers=sent, timeout=_READY_S)

    def insert(self, body: str, query: str = "", **headers: str) -> httpx.Response:
        """Insert images without a client's help; with the service key unless told otherwise."""
        sent = {"apikey": SERVICE_KEY, "content-type": "application/json", **headers}
        return httpx.post(f"{self.url}/rest/v1/images{query}", content=body, headers=sent)

    def _end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        self._process.communicate(timeout=_READY_S)
        return self._process.returncode

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._process.communicate()[1]
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class Account:
    """A user, and what signs in."""

    id: str
    email: str

    def body(self, password: str = PASSWORD) -> dict[str, str]:
        return {"email": self.email, "password": password}


def session_of(client: Client) -> Session:
    session = client.auth.get_session()
    assert session is not None
    return session


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiving = Receiver()
    yield receiving
    receiving.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("gateway") / "pgdata") as running:
        with psycopg.connect(running.dsn("postgres"), autocommit=True) as connection:
            connection.execute(_FUNCTIONS.encode())
            connection.execute(_IMAGES.encode())
            connection.execute(_POLICIES.encode())
        yield running


@pytest.fixture(scope="session")
def gateway(
    postgres: Postgres, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    running = Gateway(postgres, tmp_path_factory.mktemp("files"), receiver.port)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def sql(postgres: Postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.dsn(SUPERUSER), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def service(gateway: Gateway, http: httpx.Client) -> Client:
    return create_client(gateway.url, SERVICE_KEY, ClientOptions(httpx_client=http))


@pytest.fixture(scope="session")
def anon(gateway: Gateway, http: httpx.Client) -> Client:
    return create_client(gateway.url, ANON_KEY, ClientOptions(httpx_client=http))


@pytest.fixture(scope="session")
def signed_in(gateway: Gateway, http: httpx.Client) -> Callable[[str], Client]:
    """A client of a signed-in user."""

    def client(user_id: str) -> Client:
        token = make_token("authenticated", sub=user_id, aud="authenticated")
        headers = {"Authorization": f"Bearer {token}"}
        return create_client(gateway.url, ANON_KEY, ClientOptions(headers=headers, httpx_client=http))

    return client


@pytest.fixture
def bucket(service: Client) -> str:
    """A bucket of the test's own."""
    name = f"test-{uuid4().hex[:12]}"
    service.storage.create_bucket(name)
    return name


@pytest.fixture(scope="session")
def private_bucket(service: Client) -> str:
    """The bucket that the users' policies speak of."""
    service.storage.create_bucket("private")
    return "private"


@pytest.fixture
def account(service: Client) -> Account:
    email = f"{uuid4().hex[:12]}@example.com"
    user = service.auth.admin.create_user(
        {"email": email, "password": PASSWORD, "email_confirm": True, "user_metadata": {"name": "Ann"}}
    ).user
    return Account(user.id, email)


@pytest.fixture
def browser(gateway: Gateway, http: httpx.Client) -> Callable[[], Client]:
    """A client of its own, which nobody has signed in with yet."""

    def client() -> Client:
        options = ClientOptions(auto_refresh_token=False, persist_session=False, httpx_client=http)
        return create_client(gateway.url, ANON_KEY, options)

    return client


@pytest.fixture
def call(gateway: Gateway, http: httpx.Client) -> Callable[..., httpx.Response]:
    """A request without a client's help; with the anon key unless told otherwise."""

    def send(method: str, path: str, token: str = "", json: object = None, **headers: str) -> httpx.Response:
        bearer = {"authorization": f"Bearer {token}"} if token else {}
        sent = {"apikey": ANON_KEY, **bearer, **headers}
        return http.request(method, f"{gateway.url}/auth/v1{path}", json=json, headers=sent)

    return send


@pytest.fixture
def sign_in(account: Account, browser: Callable[[], Client]) -> Callable[[], Client]:
    """A client that the user has signed in with."""

    def client() -> Client:
        signed_in = browser()
        signed_in.auth.sign_in_with_password({"email": account.email, "password": PASSWORD})
        return signed_in

    return client
