"""Users of the search API, and buckets in which each of them has a folder."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import psycopg

from infra.cli.connection import Project
from infra.local.home import Connection
from infra.local.stack import Stack
from shared.embedders import ConfiguredEmbedders
from shared.models import Lane
from shared.ports import Embedder
from shared.wiring import build_adapters
from tests.search_api import SearchApi

_SETTLE_S: Final = 30.0
_SEEN: Final = b"""
select name, id from pixseek.images
where bucket = %s and (state = 'failed' or state = 'indexed' and has_preview)
"""
_LEFT: Final = b"select from pixseek.images where bucket = %s and state <> 'deleted'"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is signed in."""

    user_id: str
    token: str

    def path(self, file: str) -> str:
        """The name of a picture in the user's folder."""
        return f"{self.user_id}/{file}"


class World:
    """A stack's users, buckets and pictures."""

    def __init__(
        self, stack: Stack, project: Project, sign: Callable[[str], str], http: httpx.Client
    ) -> None:
        self.connection = project.connection
        self._client = project.client
        self._dsn = stack.dsn("supabase_admin")
        self._sign = sign
        self._http = http

    def user(self) -> User:
        """Somebody new."""
        user_id = str(uuid4())
        return User(user_id, self._sign(user_id))

    def sql(self, query: bytes, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows, by the owner of everything."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            return connection.execute(query, arguments).fetchall()

    @contextmanager
    def bucket(self, *, is_public: bool = False) -> Iterator[str]:
        """A bucket whose policies let users do all in the folders of their ids; empty afterwards."""
        name = f"world-{uuid4().hex[:12]}"
        self._client.storage.create_bucket(name)
        self._client.rpc("put_bucket_v1", {"bucket_name": name, "is_public": is_public}).execute()
        own = f"bucket_id = '{name}' and (storage.foldername(name))[1] = (select auth.uid())::text"
        self._act(
            f'create policy "{name}" on storage.objects to authenticated using ({own}) with check ({own})'
        )
        yield name
        self._client.storage.empty_bucket(name)
        self._act(f'drop policy "{name}" on storage.objects')
        wait_until(lambda: not self.sql(_LEFT, name))

    def upload(self, user: User, bucket: str, files: Mapping[str, bytes]) -> dict[str, int]:
        """Put pictures into the user's folder, and wait until the index is done with them: ids by file."""
        headers = {"apikey": self.connection.anon_key, "Authorization": f"Bearer {user.token}"}
        root = f"{self.connection.supabase_url}/storage/v1/object/{bucket}"
        for file, data in files.items():
            url = f"{root}/{quote(user.path(file))}"
            self._http.post(url, content=data, headers=headers).raise_for_status()
        wait_until(lambda: files.keys() <= self._ids(user, bucket).keys())
        return {file: image_id for file, image_id in self._ids(user, bucket).items() if file in files}

    def _ids(self, user: User, bucket: str) -> dict[str, int]:
        folder = user.path("")
        rows = self.sql(_SEEN, bucket)
        return {name.removeprefix(folder): image_id for name, image_id in rows if name.startswith(folder)}

    def _act(self, statement: str) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(statement.encode())


def api_with(embedder: Embedder, connection: Connection, **settings: str) -> SearchApi:
    """The search API in this process, with an embedder that is loaded already."""
    plain = SearchApi(connection, None, **settings)
    built = build_adapters(plain.settings, Lane.SEARCH)
    embedders = ConfiguredEmbedders([lambda: embedder], built.database.active_model)
    adapters = replace(built, embedders=embedders)
    return SearchApi(connection, lambda: adapters, **settings)


def connected(project: Project) -> socket.socket:
    """To the search function, without HTTP's rules."""
    address = urlsplit(project.connection.search_url)
    return socket.create_connection((address.hostname, address.port), _SETTLE_S)


def raw_answer(sending: socket.socket) -> tuple[int, bytes]:
    """The status, and all that comes until the end."""
    received = b""
    while chunk := sending.recv(65_536):
        received += chunk
    return int(received.split(b" ", 2)[1]), received


def wait_until(holds: Callable[[], object]) -> None:
    """Ask again and again."""
    deadline = time.monotonic() + _SETTLE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


def pages(api: SearchApi, path: str, token: str | None, **parameters: str) -> list[dict[str, Any]]:
    """All pages of a search."""
    found: list[dict[str, Any]] = [api.ask("GET", path, token=token, params=parameters).json()]
    while cursor := found[-1]["next_cursor"]:
        found.append(api.ask("GET", path, token=token, params={**parameters, "cursor": cursor}).json())
    return found


def images(reply: Mapping[str, Any]) -> list[str]:
    """The pictures of a reply, best first, without their folders."""
    return [result["image"].rpartition("/")[2] for result in reply["results"]]
