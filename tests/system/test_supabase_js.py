"""Supabase's own JavaScript clients at the embedded stack: signing in, and what the guide's client does."""

import base64
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import jwt
import psycopg
import pytest
from PIL import Image, ImageColor, ImageStat

from infra.cli.connection import Project
from infra.local.home import Home
from infra.local.signing_keys import rotate
from infra.local.stack import Stack
from tests.ports import free_base_port
from tests.roboflow_api import Exchange, RoboflowApi, serving
from tests.roboflow_replies import Reply, of_embeddings
from tests.system import npm

_SCRIPTS = Path(__file__).with_name("node")
_EMAIL = "ann@example.com"
_PASSWORD = "a correct horse"
_KEY = "rf_5d0e93b1"
_POLICIES = """
create policy images_read on storage.objects for select to authenticated
  using (bucket_id = 'images' and owner_id = auth.uid()::text);
create policy images_insert on storage.objects for insert to authenticated
  with check (bucket_id = 'images' and owner_id = auth.uid()::text);
"""
_Run: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("javascript") / "home")


@pytest.fixture(scope="module")
def roboflow() -> Iterator[RoboflowApi]:
    """It sees nothing but colours, and knows their names."""
    with serving(key=_KEY) as api:
        yield api


@pytest.fixture(scope="module")
def stack(home: Home, roboflow: RoboflowApi) -> Iterator[Stack]:
    environment = {
        "EMBEDDER": "roboflow",
        "ROBOFLOW_API_URL": roboflow.url,
        "ROBOFLOW_API_KEY": _KEY,
    }
    with Stack(home.path, free_base_port(), environment=environment) as stack:
        roboflow.otherwise = _see_colours
        yield stack


@pytest.fixture(scope="module")
def project(stack: Stack) -> Project:
    """With a user, the guide's bucket, and policies that let users have their own objects there."""
    project = Project(stack.connection)
    project.client.auth.admin.create_user({"email": _EMAIL, "password": _PASSWORD, "email_confirm": True})
    project.client.storage.create_bucket("images")
    with psycopg.connect(stack.dsn("postgres")) as connection:
        connection.execute(_POLICIES.encode())
    return project


@pytest.fixture(scope="module")
def run(project: Project, tmp_path_factory: pytest.TempPathFactory) -> _Run:
    """Runs a script with Node.js: it finds its packages beside it, and is told the rest."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "node_modules").symlink_to(npm.modules())

    def run_script(name: str, **told: object) -> dict[str, Any]:
        (folder / name).write_bytes((_SCRIPTS / name).read_bytes())
        known = {"url": project.connection.supabase_url, "key": project.connection.anon_key}
        done = subprocess.run(
            ["node", name],
            cwd=folder,
            input=json.dumps({**known, **told}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run_script


def _see_colours(exchange: Exchange, _: Reply) -> None:
    """An embedding is a colour, mixed with a grey so that no two are at right angles."""
    body = json.loads(exchange.content)
    seen = {"/clip/embed_text": _named, "/clip/embed_image": _mean}[exchange.path.partition("?")[0]](body)
    exchange.send(of_embeddings([[*(value / 255 for value in seen), 0.1, *[0.0] * 508]]))


def _named(body: dict[str, Any]) -> tuple[float, ...]:
    return ImageColor.getrgb(body["text"])


def _mean(body: dict[str, Any]) -> tuple[float, ...]:
    [image] = body["image"] if isinstance(body["image"], list) else [body["image"]]
    with Image.open(io.BytesIO(base64.b64decode(image["value"]))) as picture:
        return tuple(ImageStat.Stat(picture.convert("RGB")).mean)


def _picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return buffer.getvalue()


class TestTheAuthClient:
    def test_signs_in_goes_on_and_signs_out(self, run: _Run, project: Project) -> None:
        found = run("auth.mjs", action="sessions", email=_EMAIL, password=_PASSWORD)

        [user] = project.client.auth.admin.list_users()
        assert found == {
            "wrong": {"name": "AuthApiError", "code": "invalid_credentials", "status": 400},
            "user": user.id,
            "known": _EMAIL,
            "isRenewed": True,
            "again": {"name": "AuthApiError", "code": "refresh_token_already_used", "status": 400},
            "out": None,
            "after": {"name": "AuthSessionMissingError", "status": 400},
        }

    def test_verifies_tokens_by_the_public_keys_also_after_a_rotation(self, run: _Run, home: Home) -> None:
        before = run("auth.mjs", action="keys", email=_EMAIL, password=_PASSWORD)

        rotated = rotate(home.signing_keys)

        after = run("auth.mjs", action="keys", email=_EMAIL, password=_PASSWORD, token=before["token"])
        old_id = jwt.get_unverified_header(before["token"])["kid"]
        assert before["own"]["header"] == {"alg": "ES256", "kid": old_id, "typ": "JWT"}
        assert after["own"]["header"]["kid"] == rotated.key_id != old_id
        assert after["older"]["header"]["kid"] == old_id
        assert after["older"]["claims"]["email"] == _EMAIL
        assert after["requests"] == ["GET /auth/v1/.well-known/jwks.json"]


@pytest.mark.parametrize("caller", ["user", "service"])
def test_the_guides_client_stores_inserts_searches_and_downloads(
    caller: str, run: _Run, project: Project, roboflow: RoboflowApi
) -> None:
    told: dict[str, dict[str, str]] = {
        "user": {"email": _EMAIL, "password": _PASSWORD},
        "service": {"key": project.connection.service_role_key},
    }
    pictures = {f"{caller}-{colour}.png": _picture(colour) for colour in ("blue", "orange", "red")}

    found = run(
        "guide.mjs",
        **told[caller],
        roboflow=roboflow.url,
        roboflowKey=_KEY,
        pictures={name: base64.b64encode(content).decode() for name, content in pictures.items()},
        sentence="red",
        threshold=0.5,
        count=10,
    )

    own = [row for row in found["rows"] if row["image"] in pictures]
    similarities = [row["similarity"] for row in found["rows"]]
    assert [set(row) for row in own] == [{"id", "image", "similarity"}] * 2
    assert [row["image"] for row in own] == [f"{caller}-red.png", f"{caller}-orange.png"]
    assert similarities == sorted(similarities, reverse=True)
    assert own[0]["similarity"] == pytest.approx(1, abs=0.01)
    assert base64.b64decode(found["downloaded"]) == _picture("red")
