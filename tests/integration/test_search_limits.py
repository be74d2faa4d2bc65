"""How often somebody may ask: by user, or else by address, before anything is spent on it."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

import pytest

from infra.cli.connection import Project
from infra.local.home import Keys
from shared.images import Picture
from shared.models import EmbeddingModel, Vector
from shared.ports import Embedder, View
from tests.integration.conftest import picture_bytes
from tests.integration.search_world import World, api_with
from tests.search_api import Answer, SearchApi

_ALLOWED: Final = 3
_LONGEST_S: Final = 60 // _ALLOWED


class CountedEmbedder(Embedder):
    """An embedder, and how often it was asked."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.calls: list[str] = []

    @property
    def model(self) -> EmbeddingModel:
        return self._embedder.model

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        self.calls.append("texts")
        return self._embedder.embed_texts(texts, deadline=deadline)

    def view(self, picture: Picture) -> View:
        self.calls.append("view")
        return self._embedder.view(picture)

    def embed_views(self, views: Sequence[View], *, deadline: float = math.inf) -> list[Any]:
        self.calls.append("views")
        return self._embedder.embed_views(views, deadline=deadline)


@pytest.fixture(scope="module")
def counted(embedder: Embedder) -> CountedEmbedder:
    return CountedEmbedder(embedder)


@pytest.fixture
def calls(counted: CountedEmbedder) -> list[str]:
    """To the embedder, of this test."""
    counted.calls = []
    return counted.calls


@pytest.fixture(scope="module")
def make_api(project: Project, keys: Keys, counted: CountedEmbedder) -> Callable[..., SearchApi]:
    """The search API for who may ask three times a minute."""

    def make(**settings: str) -> SearchApi:
        given = {"requests_per_minute": str(_ALLOWED), "supabase_jwt_secret": keys.jwt_secret, **settings}
        return api_with(counted, project.connection, **given)

    return make


@pytest.fixture(scope="module")
def api(make_api: Callable[..., SearchApi]) -> SearchApi:
    return make_api()


@pytest.fixture(scope="module")
def public_api(make_api: Callable[..., SearchApi]) -> SearchApi:
    return make_api(auth="public")


def _search(
    api: SearchApi,
    token: str | None = None,
    source_ip: str = "192.0.2.1",
    headers: Mapping[str, str] | None = None,
    text: str = "a picture",
) -> Answer:
    query = {"q": text}
    return api.ask("GET", "/search", token=token, source_ip=source_ip, params=query, headers=headers)


def _search_anew(api: SearchApi, token: str | None = None, source_ip: str = "192.0.2.1") -> Answer:
    """For a text that nobody has asked for."""
    return _search(api, token, source_ip, text=f"a picture numbered {uuid4().hex}")


def _many(api: SearchApi, number: int, token: str | None = None, source_ip: str = "192.0.2.1") -> list[int]:
    return [_search(api, token, source_ip).status for _ in range(number)]


def _address() -> str:
    """One that no other test has."""
    return ".".join(str(number) for number in (10, *uuid4().bytes[:3]))


class TestAUser:
    def test_who_asks_too_often_is_told_when_to_come_again(self, api: SearchApi, world: World) -> None:
        token = world.user().token
        before = _many(api, _ALLOWED, token=token)

        refused = _search(api, token=token)

        assert before == [200] * _ALLOWED
        assert refused.status == 429
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["type"] == "urn:pixseek:problem:rate-limited"
        assert 1 <= int(refused.headers["Retry-After"]) <= _LONGEST_S

    def test_who_is_refused_costs_no_call_to_the_model(
        self, api: SearchApi, world: World, calls: list[str]
    ) -> None:
        token = world.user().token
        picture = {"picture": base64.b64encode(picture_bytes((1, 1, 1))).decode()}
        _many(api, _ALLOWED, token=token)
        calls.clear()

        answers = [
            _search_anew(api, token=token),
            api.ask("POST", "/search", token=token, json={"query": [picture]}),
            api.ask("POST", "/search", token=token, json={"query": [{"text": uuid4().hex}, picture]}),
        ]

        assert [answer.status for answer in answers] == [429] * 3
        assert calls == []

    def test_who_asks_many_times_at_once_is_answered_as_often_as_allowed(
        self, api: SearchApi, world: World, calls: list[str]
    ) -> None:
        token = world.user().token

        with ThreadPoolExecutor(10) as threads:
            statuses = list(threads.map(lambda _: _search_anew(api, token).status, range(10)))

        assert sorted(statuses) == [200] * _ALLOWED + [429] * (10 - _ALLOWED)
        assert calls == ["texts"] * _ALLOWED

    @pytest.mark.parametrize(
        "request_",
        [
            {"method": "GET", "path": "/search?q=a"},
            {"method": "POST", "path": "/search", "json": {"query": [{"text": "a"}]}},
            {"method": "GET", "path": "/images/by-name?bucket=photos&name=a.png"},
            {"method": "GET", "path": "/images/4611686018427387904"},
            {"method": "GET", "path": "/images/4611686018427387904/similar"},
            {"method": "DELETE", "path": "/images/4611686018427387904"},
            {"method": "POST", "path": "/uploads", "json": {"bucket": "photos", "content_type": "image/png"}},
        ],
        ids=lambda request: f"{request['method']} {request['path']}",
    )
    def test_is_counted_on_every_route(
        self, request_: dict[str, Any], api: SearchApi, world: World, calls: list[str]
    ) -> None:
        token = world.user().token

        statuses = [api.ask(**request_, token=token).status for _ in range(_ALLOWED + 1)]

        assert 429 not in statuses[:_ALLOWED]
        assert statuses[_ALLOWED] == 429
        assert len(calls) <= 1

    def test_does_not_use_up_what_others_may_ask(self, api: SearchApi, world: World) -> None:
        _many(api, _ALLOWED + 1, token=world.user().token)

        answer = _search(api, token=world.user().token)

        assert answer.status == 200

    def test_is_the_same_one_from_every_address(self, api: SearchApi, world: World) -> None:
        token = world.user().token
        statuses = [_search(api, token=token, source_ip=_address()).status for _ in range(_ALLOWED + 1)]

        assert statuses == [200] * _ALLOWED + [429]

    def test_who_is_not_known_is_not_counted(self, api: SearchApi) -> None:
        statuses = _many(api, _ALLOWED + 2, token="of.some.body", source_ip=_address())

        assert statuses == [401] * (_ALLOWED + 2)


class TestTheOperator:
    @pytest.mark.parametrize("auth", ["user", "public"])
    def test_is_not_limited(self, auth: str, make_api: Callable[..., SearchApi], project: Project) -> None:
        key = project.connection.service_role_key

        statuses = _many(make_api(auth=auth), _ALLOWED + 3, token=key)

        assert statuses == [200] * (_ALLOWED + 3)


class TestAnAddress:
    def test_that_asks_too_often_is_refused_and_another_is_not(
        self, public_api: SearchApi, calls: list[str]
    ) -> None:
        address = _address()

        statuses = [_search_anew(public_api, source_ip=address).status for _ in range(_ALLOWED + 2)]

        assert statuses == [200] * _ALLOWED + [429] * 2
        assert calls == ["texts"] * _ALLOWED
        assert _search(public_api, source_ip=_address()).status == 200

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP"])
    def test_is_not_changed_by_what_a_client_says_of_itself(self, header: str, public_api: SearchApi) -> None:
        address = _address()
        forged = [{header: _address()} for _ in range(_ALLOWED + 1)]

        statuses = [_search(public_api, source_ip=address, headers=headers).status for headers in forged]

        assert statuses == [200] * _ALLOWED + [429]

    def test_is_the_last_hop_behind_one_proxy(self, make_api: Callable[..., SearchApi]) -> None:
        behind = make_api(auth="public", trusted_hops="1")
        hop = _address()
        forged = [{"X-Forwarded-For": f"{_address()}, {_address()},{hop}"} for _ in range(_ALLOWED + 1)]

        statuses = [_search(behind, headers=headers).status for headers in forged]
        another = _search(behind, headers={"X-Forwarded-For": f"{hop}, {_address()}"})

        assert statuses == [200] * _ALLOWED + [429]
        assert another.status == 200

    def test_is_the_platforms_when_there_are_fewer_hops_than_trusted(
        self, make_api: Callable[..., SearchApi]
    ) -> None:
        behind = make_api(auth="public", trusted_hops="2")
        address = _address()
        forged = [{"X-Forwarded-For": _address()} for _ in range(_ALLOWED + 1)]

        statuses = [_search(behind, source_ip=address, headers=headers).status for headers in forged]

        assert statuses == [200] * _ALLOWED + [429]

    def test_of_one_network_counts_as_one_in_ipv6(self, public_api: SearchApi) -> None:
        network = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}"

        statuses = [
            _search(public_api, source_ip=f"{network}::{number}").status for number in range(_ALLOWED + 1)
        ]

        assert statuses == [200] * _ALLOWED + [429]


def test_asking_whether_it_works_is_not_counted(public_api: SearchApi) -> None:
    address = _address()
    _many(public_api, _ALLOWED + 1, source_ip=address)

    statuses = [public_api.ask("GET", path, source_ip=address).status for path in ("/health", "/ready")]

    assert statuses == [200, 200]
