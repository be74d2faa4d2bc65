"""One embedded stack for all integration tests, made of real processes."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from PIL import Image
from supabase import Client

from infra import photographs
from infra.cli import pictures
from infra.cli.connection import Project
from infra.local.home import Home, Keys
from infra.local.stack import Stack
from shared.database import Database
from shared.embedding.offline import OfflineEmbedder
from shared.models import Lane
from shared.ports import Embedder
from tests.integration.search_world import World, api_with
from tests.integration.switching import NEW, OLD, Switching
from tests.ports import free_base_port
from tests.roboflow_api import serving
from tests.search_api import SearchApi

_SETTLE_S = 30.0


def picture_bytes(colour: tuple[int, int, int], size: tuple[int, int] = (64, 64)) -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def rows(client: Client, function: str, **arguments: object) -> list[dict[str, Any]]:
    """Call a function that returns rows."""
    return cast("list[dict[str, Any]]", client.rpc(function, arguments).execute().data)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="session")
def stack(home: Home) -> Iterator[Stack]:
    with Stack(home.path, free_base_port(), environment={"AUTH": "user"}) as running:
        yield running


@pytest.fixture(scope="session")
def project(stack: Stack) -> Project:
    return Project(stack.connection)


@pytest.fixture(scope="session")
def database(project: Project) -> Database:
    """The adapter that the functions use."""
    connection = project.connection
    return Database(
        connection.supabase_url,
        service_key=connection.service_role_key,
        anon_key=connection.anon_key,
        timeout_s=10,
        lane=Lane.INDEXING,
    )


@pytest.fixture(scope="session")
def local_database(project: Project) -> Database:
    """The same for pictures in a folder of this machine."""
    connection = project.connection
    return Database(
        connection.supabase_url,
        service_key=connection.service_role_key,
        anon_key=connection.anon_key,
        timeout_s=10,
        lane=Lane.INDEXING,
        provider="local",
    )


@pytest.fixture(scope="session")
def client(project: Project) -> Client:
    return project.client


@pytest.fixture(scope="session")
def keys(home: Home, stack: Stack) -> Keys:  # noqa: ARG001 -- the stack makes the keys
    return home.keys()


@pytest.fixture
def sql(stack: Stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(stack.dsn("supabase_admin"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def bucket(
    client: Client, sql: psycopg.Connection, wait_for: Callable[[Callable[[], object]], None]
) -> Iterator[str]:
    """A bucket of the test's own, empty afterwards: searches go through all buckets."""
    name = f"test-{uuid4().hex[:12]}"
    client.storage.create_bucket(name)
    yield name
    client.storage.empty_bucket(name)
    left = b"select from pixseek.images where bucket = %s and state <> 'deleted'"
    wait_for(lambda: sql.execute(left, (name,)).fetchone() is None)


@pytest.fixture(scope="session")
def packaged(project: Project) -> dict[str, Path]:
    """The packaged photographs, indexed: name in bucket `photos` → file."""
    found = {photograph.name: photograph.path for photograph in photographs.packaged()}
    failures = pictures.upload_and_wait(project, "photos", pictures.named(found.items()), lambda _: None)
    assert not failures
    return found


@pytest.fixture(scope="session")
def state_of(client: Client) -> Callable[[str, str], dict[str, str | None] | None]:
    def state(bucket: str, name: str) -> dict[str, str | None] | None:
        return next(iter(rows(client, "image_states_v1", bucket_name=bucket, object_names=[name])), None)

    return state


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds."""

    def wait(holds: Callable[[], object]) -> None:
        deadline = time.monotonic() + _SETTLE_S
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            time.sleep(0.05)

    return wait


@pytest.fixture(scope="session")
def ask(project: Project) -> Callable[..., httpx.Response]:
    """Call the search function over HTTP, with the service key unless another is given."""

    def get(token: str | None = project.connection.service_role_key, **parameters: str) -> httpx.Response:
        headers = httpx.Headers(
            {"Authorization": f"Bearer {token}"} if token is not None else {}, encoding="latin-1"
        )
        url = f"{project.connection.search_url}/search"
        return httpx.get(url, params=parameters, headers=headers, timeout=60)

    return get


@pytest.fixture(scope="session")
def user_token(keys: Keys, project: Project) -> Callable[[str], str]:
    """An access token of a signed-in user."""

    def token(user_id: str) -> str:
        claims = {
            "sub": user_id,
            "role": "authenticated",
            "aud": "authenticated",
            "iss": f"{project.connection.supabase_url}/auth/v1",
            "exp": time.time() + 600,
        }
        return jwt.encode(claims, keys.jwt_secret, algorithm="HS256")

    return token


@pytest.fixture(scope="session")
def world(stack: Stack, project: Project, user_token: Callable[[str], str]) -> Iterator[World]:
    with httpx.Client() as http:
        yield World(stack, project, user_token, http)


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The offline one, loaded."""
    offline = OfflineEmbedder()
    offline.embed_texts(["a text"])
    return offline


@pytest.fixture(scope="session")
def search_api(project: Project, keys: Keys, embedder: Embedder) -> SearchApi:
    """The search API in this process, as the stack has it, for who asks often."""
    return api_with(
        embedder, project.connection, supabase_jwt_secret=keys.jwt_secret, requests_per_minute="100000"
    )


@pytest.fixture(scope="session")
def to_function(project: Project) -> Iterator[httpx.Client]:
    """A client of the search function: making one takes long."""
    with httpx.Client(base_url=project.connection.search_url, timeout=30) as client:
        yield client


@pytest.fixture
def http(to_function: httpx.Client, world: World, stack: Stack) -> Iterator[httpx.Client]:
    """A client of the search function for somebody new; the function lives on afterwards."""
    to_function.headers["Authorization"] = f"Bearer {world.user().token}"
    yield to_function
    assert to_function.get("/search", params={"q": "a cat"}).status_code == 200
    del to_function.headers["Authorization"]
    stack.check()


@pytest.fixture(scope="session")
def switching_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switching]:
    """A stack of its own, for what changes its models."""
    with serving() as roboflow:
        environment = {
            "EMBEDDER": "roboflow",
            "CLIP_MODEL": OLD,
            "NEXT_CLIP_MODEL": NEW,
            "ROBOFLOW_API_URL": roboflow.url,
        }
        home = tmp_path_factory.mktemp("switching")
        with Stack(home, free_base_port(), environment=environment) as stack:
            yield Switching(home, stack, Project(stack.connection), roboflow)


@pytest.fixture
def switching(switching_stack: Switching, tmp_path: Path) -> Switching:
    """It has the old model and no pictures."""
    switching_stack.reset(tmp_path)
    return switching_stack


@pytest.fixture
def outcomes(home: Home) -> Callable[[str], list[dict[str, object]]]:
    """What the index function has logged of an object."""

    def logged(name: str) -> list[dict[str, object]]:
        lines = (home.logs / "index_image.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry.get("image") == name]

    return logged
