"""One API behind two entries: Google's, which the stack serves over HTTP, and Lambda's, in this process."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import httpx
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.search_images import app, aws
from infra.cli.connection import Project
from infra.local.home import Keys
from shared import settings, wiring
from shared.ports import Embedder
from tests.integration.search_world import World
from tests.search_api import SearchApi, event_of

_JSON: Final = {"Content-Type": "application/json"}
_FORM: Final = {"Content-Type": "multipart/form-data; boundary=b"}
_COMPARED: Final = {
    "access-control-allow-origin", "allow", "cache-control", "content-type", "retry-after",
    "www-authenticate",
}  # fmt: skip
_TOKEN: Final = re.compile(r"token=[\w.-]+")


class Asked(NamedTuple):
    """A request, and the status that it is to be answered with."""

    status: int
    method: str
    target: str
    content: bytes = b""
    headers: Mapping[str, str] = {}
    caller: str | None = "operator"


class Told(NamedTuple):
    """An answer without what differs each time."""

    status: int
    headers: Mapping[str, str]
    body: Any


def _get(status: int, target: str, caller: str | None = "operator") -> Asked:
    return Asked(status, "GET", target, caller=caller)


def _post(status: int, content: bytes, headers: Mapping[str, str] = _JSON, target: str = "/search") -> Asked:
    return Asked(status, "POST", target, content, headers)


def _form(name: str, data: bytes) -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n\r\n'
    return head.encode() + data + b"\r\n--b--\r\n"


_REQUESTS: Final = [
    _get(200, "/search?q=a%20cat"),
    _get(200, "/search?q=a+cat&limit=2"),
    _get(200, "/search?q=a%2Bb&min_similarity=-1&limit=3"),
    _get(200, "/search?q=a%20cat%2C%20a%20dog&min_similarity=-1&limit=3"),
    _get(200, "/search?q=a,b&min_similarity=-1&limit=3"),
    _get(200, "/search?q=cat&q=coffee&limit=3"),
    _get(200, "/search?q=%E7%8C%AB&limit=3"),
    _get(200, "/search?q=cat%26limit%3D1&limit=4&min_similarity=-1"),
    _get(200, "/search?q=cat&&bucket=photos&prefix=packaged%2Fc&since=2000-01-01&until=2999-01-01T00:00:00Z"),
    _get(400, "/search?q=cat&bucket=a,b"),
    _get(200, "/search?q=cat&bucket=a,b", caller="user"),
    _get(400, "/search"),
    _get(400, "/search?q="),
    _get(400, "/search?q=%20+%09"),
    _get(400, "/search?q=a%00b"),
    _get(400, "/search?q=cat&limit"),
    _get(400, "/search?q=cat&limit=1,2"),
    _get(400, "/search?q=cat&limit=1e3&min_similarity=nan"),
    _get(400, "/search?q=cat&cursor=of%20nothing"),
    _get(400, "/search?q=cat&Limit=1"),
    _get(400, "/search?q=cat&=1"),
    _get(401, "/search?q=cat", caller=None),
    _get(401, "/search?q=cat", caller="anon"),
    _get(401, "/search?q=cat", caller="of.some.body"),
    _get(200, "/images/by-name?bucket=photos&name=packaged/chelsea.png"),
    _get(200, "/images/by%2Dname?bucket=photos&name=packaged%2Fchelsea.png"),
    _get(404, "/images/by-name?bucket=photos&name=packaged%252Fchelsea.png"),
    _get(404, "/images/by-name?bucket=photos&name=packaged/chelsea.png", caller="user"),
    _get(404, "/images/4611686018427387904"),
    _get(404, "/images/4611686018427387904/similar?limit=1"),
    _get(400, "/images/abc"),
    _get(400, "/images/%E7%8C%AB"),
    _get(400, "/images/4611686018427387904?limit=1"),
    _get(404, "/images%2F1/x"),
    _get(404, "/search/"),
    _get(404, "/nowhere?q=cat"),
    _get(200, "/health", caller=None),
    _get(200, "/ready", caller=None),
    _get(200, "/openapi.json", caller=None),
    Asked(405, "PUT", "/search?q=cat"),
    Asked(405, "OPTIONS", "/search?q=cat", headers={"Origin": "https://a.example"}, caller=None),
    Asked(405, "POST", "/health"),
    Asked(403, "DELETE", "/images/4611686018427387904"),
    Asked(404, "DELETE", "/images/4611686018427387904", caller="user"),
    _post(403, b'{"bucket": "photos", "content_type": "image/png"}', target="/uploads"),
    _post(200, '{"query": [{"text": "猫"}], "limit": 3}'.encode()),
    _post(200, b'{"query": [{"text": "cat"}]}', {"Content-Type": "Application/JSON; charset=utf-8"}),
    _post(200, b'{"query": [{"text": "cat"}]}', {}),
    _post(400, b""),
    _post(400, b'{"query": [{"text": "cat"}'),
    _post(400, b'[{"query": [{"text": "cat"}]}]'),
    _post(400, b'{"query": [{"text": "cat", "image_id": 1}], "limit": 0}'),
    _post(400, b'{"query": [{"picture": "?"}]}'),
    _post(400, b"no form", _FORM),
    _post(400, _form("photo", b"x"), _FORM),
    _post(413, b"x" * 4_100_000),
    _post(413, _form("picture", bytes(4_100_000)), _FORM),
    _post(415, b'{"query": [{"text": "cat"}]}', {"Content-Type": "application/x-www-form-urlencoded"}),
    _post(415, b"cat", {"Content-Type": "text/plain"}),
    _post(415, b"\x89PNG", {"Content-Type": "image/png"}),
    _post(422, _form("picture", b"%PDF-1.7"), _FORM),
    _post(422, b'{"query": [{"picture": "aGVsbG8="}]}'),
]


@pytest.fixture(scope="module")
def tokens(project: Project, world: World) -> dict[str, str]:
    connection = project.connection
    user = world.user()
    return {"operator": connection.service_role_key, "anon": connection.anon_key, "user": user.token}


@pytest.fixture(scope="module")
def lambda_ready(project: Project, keys: Keys, embedder: Embedder) -> Iterator[None]:
    """The environment of the function, as the stack has it; the model is loaded already."""
    connection = project.connection
    variables = {
        **connection.function_settings,
        "SUPABASE_URL": connection.supabase_url,
        "SUPABASE_ANON_KEY": connection.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        environment.setattr(wiring, "build_embedder", lambda *_: embedder)
        _forget()
        yield
    _forget()


def _forget() -> None:
    app.load_app.cache_clear()
    settings.load_settings.cache_clear()
    wiring._build.cache_clear()


def _request(asked: Asked, root: str, tokens: Mapping[str, str]) -> httpx.Request:
    headers = dict(asked.headers)
    if asked.caller is not None:
        headers["Authorization"] = f"Bearer {tokens.get(asked.caller, asked.caller)}"
    return httpx.Request(asked.method, f"{root}{asked.target}", content=asked.content, headers=headers)


def _by_google(client: httpx.Client, asked: Asked, tokens: Mapping[str, str]) -> Told:
    answer = client.send(_request(asked, str(client.base_url).rstrip("/"), tokens))
    return _told(answer.status_code, answer.headers, answer.text)


def _by_lambda(asked: Asked, tokens: Mapping[str, str]) -> Told:
    event = event_of(_request(asked, "https://api.example", tokens))
    reply = aws.handler(event, cast("LambdaContext", None))
    return _told(reply["statusCode"], reply["headers"], reply["body"])


def _told(status: int, headers: Mapping[str, str], body: str) -> Told:
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in _COMPARED}
    told = json.loads(_TOKEN.sub("token=", body)) if body else None
    steady = (
        {key: value for key, value in told.items() if key not in {"took_ms", "request_id"}} if told else told
    )
    return Told(status, kept, steady)


@pytest.mark.usefixtures("lambda_ready", "packaged")
class TestBothEntries:
    @pytest.mark.parametrize("asked", _REQUESTS, ids=lambda asked: f"{asked.method} {asked.target}"[:60])
    def test_give_the_same_answer(
        self, asked: Asked, to_function: httpx.Client, tokens: dict[str, str]
    ) -> None:
        by_google = _by_google(to_function, asked, tokens)
        by_lambda = _by_lambda(asked, tokens)

        assert by_google.status == asked.status
        assert by_lambda == by_google

    def test_go_on_with_the_pages_of_each_other(
        self, to_function: httpx.Client, tokens: dict[str, str]
    ) -> None:
        first = _get(200, "/search?q=a+cat&limit=2&min_similarity=-1")
        cursor = _by_google(to_function, first, tokens).body["next_cursor"]
        second = first._replace(target=f"{first.target}&cursor={cursor}")

        by_google = _by_google(to_function, second, tokens)
        by_lambda = _by_lambda(second, tokens)

        assert by_google.status == 200
        assert len(by_google.body["results"]) == 2
        assert by_lambda == by_google

    def test_find_the_same_by_a_picture(
        self, to_function: httpx.Client, tokens: dict[str, str], packaged: dict[str, Path]
    ) -> None:
        cat = packaged["packaged/chelsea.png"].read_bytes()
        as_json = json.dumps({"query": [{"picture": base64.b64encode(cat).decode()}], "limit": 20}).encode()
        requests = [_post(200, as_json), _post(200, _form("picture", cat), _FORM)]

        by_google = [_by_google(to_function, r, tokens) for r in requests]
        by_lambda = [_by_lambda(r, tokens) for r in requests]

        assert [told.status for told in by_google] == [200, 200]
        assert by_google[0].body["results"][0]["image"] == "packaged/chelsea.png"
        assert by_google[0] == by_google[1]
        assert by_lambda == by_google


class TestOtherOrigins:
    @pytest.fixture(scope="class")
    @staticmethod
    def open_api(project: Project, keys: Keys) -> SearchApi:
        origins = "https://a.example, https://b.example"
        return SearchApi(project.connection, supabase_jwt_secret=keys.jwt_secret, cors_origins=origins)

    @pytest.mark.parametrize("origin", ["https://a.example", "https://b.example"])
    def test_that_are_allowed_may_ask_with_a_token(self, origin: str, open_api: SearchApi) -> None:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }

        answer = open_api.ask("OPTIONS", "/search?q=a%20cat&limit=3", headers=headers)

        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "GET" in answer.headers["Access-Control-Allow-Methods"]
        assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()

    @pytest.mark.parametrize("target", ["/search?q=a%20cat", "/search", "/nowhere", "/search?oops=1"])
    def test_that_are_allowed_may_read_errors(self, target: str, open_api: SearchApi) -> None:
        answer = open_api.ask("GET", target, headers={"Origin": "https://b.example"})

        assert answer.status >= 400
        assert answer.headers["Access-Control-Allow-Origin"] == "https://b.example"

    def test_that_are_not_allowed_are_not_named(self, open_api: SearchApi) -> None:
        answer = open_api.ask("GET", "/health", headers={"Origin": "https://c.example"})

        assert answer.headers.get("Access-Control-Allow-Origin") != "https://c.example"

    def test_are_none_by_default(self, search_api: SearchApi) -> None:
        answer = search_api.ask("GET", "/health", headers={"Origin": "https://a.example"})

        assert "Access-Control-Allow-Origin" not in answer.headers
