"""What the search API needs hangs, is down or answers nonsense: callers are told that, and nothing else."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import jwt
import pytest

from infra.cli.connection import Project
from infra.local.home import Keys
from shared.ports import Embedder
from tests.bucket_servers import closed_port, silent_server
from tests.integration.conftest import picture_bytes
from tests.integration.faulty_gateway import HANG, Fault, FaultyGateway, faulty_gateway
from tests.integration.search_outages import HASTE, MISCONFIGURED, UNAVAILABLE, in_time, searched, told
from tests.integration.search_world import User, World, api_with
from tests.search_api import SearchApi

_BY_NAME: Final = {"bucket": "photos", "name": "a.png"}
_UPLOAD: Final = {"bucket": "photos", "content_type": "image/png"}
_ROUTES: Final[list[dict[str, Any]]] = [
    searched("a cat"),
    {"method": "POST", "path": "/search", "json": {"query": [{"text": "a cat"}, {"image_id": 1}]}},
    {"method": "GET", "path": "/images/1"},
    {"method": "GET", "path": "/images/1/similar"},
    {"method": "GET", "path": "/images/by-name", "params": _BY_NAME},
    {"method": "DELETE", "path": "/images/1"},
    {"method": "POST", "path": "/uploads", "json": _UPLOAD},
]


@pytest.fixture(scope="module")
def owner(world: World) -> Iterator[tuple[User, int]]:
    """Somebody with one picture, and its id."""
    user = world.user()
    with world.bucket() as bucket:
        [image_id] = world.upload(user, bucket, {"a.png": picture_bytes((33, 66, 99))}).values()
        yield user, image_id


@pytest.fixture(scope="module")
def gateway(project: Project) -> Iterator[FaultyGateway]:
    with faulty_gateway(project.connection.supabase_url) as faulty:
        yield faulty


@pytest.fixture(autouse=True)
def well_again(gateway: FaultyGateway) -> Iterator[None]:
    yield
    gateway.faults = {}


@pytest.fixture(scope="module")
def at(project: Project, keys: Keys, embedder: Embedder) -> Callable[..., SearchApi]:
    """The search API over a project that answers elsewhere."""

    def make(url: str, **more: str) -> SearchApi:
        elsewhere = replace(project.connection, supabase_url=url)
        return api_with(embedder, elsewhere, supabase_jwt_secret=keys.jwt_secret, **more)

    return make


@pytest.fixture(scope="module")
def behind(at: Callable[..., SearchApi], gateway: FaultyGateway) -> SearchApi:
    """The search API whose project is behind the faulty gateway."""
    return at(gateway.url)


@pytest.fixture(scope="module")
def hasty(at: Callable[..., SearchApi], gateway: FaultyGateway) -> SearchApi:
    """The same with little time."""
    return at(gateway.url, **HASTE)


@pytest.fixture
def token_at(keys: Keys, owner: tuple[User, int]) -> Callable[[str], str]:
    """The owner's token of a project that answers elsewhere."""

    def sign(supabase_url: str) -> str:
        claims = {
            "sub": owner[0].user_id,
            "role": "authenticated",
            "aud": "authenticated",
            "iss": f"{supabase_url}/auth/v1",
            "exp": time.time() + 600,
        }
        return jwt.encode(claims, keys.jwt_secret, algorithm="HS256")

    return sign


class TestWhatHangs:
    def test_as_the_whole_project_is_not_waited_for_on_any_route(
        self, at: Callable[..., SearchApi], token_at: Callable[[str], str]
    ) -> None:
        with silent_server() as url:
            answers = in_time(at(url, **HASTE), token_at(url), _ROUTES)

        assert [told(answer) for answer in answers] == [UNAVAILABLE] * len(_ROUTES)
        assert {answer.headers["Retry-After"] for answer in answers} == {"2"}

    @pytest.mark.parametrize(
        "path",
        ["/rest/v1/rpc/search_images_v2", "/rest/v1/rpc/count_request_v1"],
    )
    def test_as_a_function_of_the_database_is_not_waited_for(
        self, path: str, hasty: SearchApi, gateway: FaultyGateway, token_at: Callable[[str], str]
    ) -> None:
        gateway.faults = {path: HANG}
        requests = {"/rest/v1/rpc/search_images_v2": _ROUTES[:2]}

        answers = in_time(hasty, token_at(gateway.url), requests.get(path, _ROUTES))

        assert {told(answer) for answer in answers} == {UNAVAILABLE}

    def test_as_the_bucket_that_signs_links_is_not_waited_for(
        self,
        hasty: SearchApi,
        gateway: FaultyGateway,
        token_at: Callable[[str], str],
        owner: tuple[User, int],
    ) -> None:
        gateway.faults = {"/storage/v1/": HANG}
        shown = {"method": "GET", "path": f"/images/{owner[1]}"}
        removed = {"method": "DELETE", "path": f"/images/{owner[1]}"}

        answers = in_time(hasty, token_at(gateway.url), [searched("a cat"), shown, removed, _ROUTES[-1]])

        assert [told(answer) for answer in answers] == [UNAVAILABLE] * 4

    def test_as_the_memory_of_queries_costs_the_answer_nothing(
        self, behind: SearchApi, gateway: FaultyGateway, token_at: Callable[[str], str]
    ) -> None:
        gateway.faults = {"/rest/v1/rpc/remember_query_v1": HANG}

        [answer] = in_time(behind, token_at(gateway.url), [searched(f"a thing {uuid4().hex}")])

        assert answer.status == 200
        assert len(answer.json()["results"]) == 1


class TestWhatIsDown:
    def test_is_told_on_every_route(
        self, at: Callable[..., SearchApi], token_at: Callable[[str], str]
    ) -> None:
        with closed_port() as url:
            api = at(url)
            answers = in_time(api, token_at(url), _ROUTES)
            ready, health = api.ask("GET", "/ready"), api.ask("GET", "/health")

        assert [told(answer) for answer in answers] == [UNAVAILABLE] * len(_ROUTES)
        assert (told(ready), health.status) == ((503, "not-ready"), 200)
        assert ready.json()["detail"] == "not at work: database"

    def test_for_the_operators_wrong_key_is_theirs_to_mend(
        self, project: Project, keys: Keys, owner: tuple[User, int]
    ) -> None:
        connection = replace(project.connection, service_role_key="xyzzy." * 3)
        api = SearchApi(connection, supabase_jwt_secret=keys.jwt_secret)

        answer = api.ask(token=owner[0].token, **searched("a cat"))

        assert told(answer) == MISCONFIGURED


def _of_postgres(code: str) -> bytes:
    text = 'xyzzy: select embedding from pixseek.images where "a cat"'
    return json.dumps({"code": code, "message": text, "details": text, "hint": text}).encode()


_NO_STORAGE: Final = b'{"statusCode": "500", "error": "xyzzy", "message": "xyzzy"}'
_PAGE: Final = b"<html>xyzzy: Traceback (most recent call last)</html>"
_FAULTS: Final = {
    "an error of Postgres": ("/rest/", Fault(500, _of_postgres("XX000")), UNAVAILABLE),
    "a time-out of Postgres": ("/rest/", Fault(500, _of_postgres("57014")), UNAVAILABLE),
    "too many connections": ("/rest/", Fault(503, _of_postgres("53300")), UNAVAILABLE),
    "a missing table": ("/rest/", Fault(404, _of_postgres("42P01")), MISCONFIGURED),
    "a missing function": ("/rest/", Fault(404, _of_postgres("PGRST202")), MISCONFIGURED),
    "a wrong form": ("/rest/v1/rpc/search", Fault(200, b'{"xyzzy": 1}'), MISCONFIGURED),
    "a page for people": ("/rest/", Fault(502, _PAGE, "text/html"), UNAVAILABLE),
    "a page that pretends": ("/rest/v1/rpc/search", Fault(200, _PAGE, "text/html"), MISCONFIGURED),
    "a redirect": ("/rest/", Fault(302, b""), UNAVAILABLE),
    "an error of Storage": ("/storage/", Fault(400, _NO_STORAGE), UNAVAILABLE),
    "a page of Storage": ("/storage/", Fault(502, _PAGE, "text/html"), UNAVAILABLE),
    "a page of Storage that pretends": ("/storage/", Fault(200, _PAGE, "text/html"), UNAVAILABLE),
    "a wrong form of Storage": ("/storage/", Fault(200, b'{"xyzzy": 1}'), UNAVAILABLE),
}


@pytest.mark.parametrize(("path", "fault", "expected"), _FAULTS.values(), ids=_FAULTS)
def test_what_the_project_answers_in_an_outage_stays_inside(
    path: str,
    fault: Fault,
    expected: tuple[int, str],
    behind: SearchApi,
    gateway: FaultyGateway,
    token_at: Callable[[str], str],
) -> None:
    gateway.faults = {path: fault}

    answer = behind.ask(token=token_at(gateway.url), **searched("a cat"))

    assert told(answer) == expected
