"""Calls of the database that a search makes: their time, their rights, and their errors."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.database import search
from shared.database.search import SearchDatabase
from shared.errors import (
    AccessDenied,
    InputError,
    NotIndexed,
    NotNow,
    PixseekError,
    SettingsError,
    Unavailable,
    UnknownImage,
)
from shared.hits import Entry, Hit, Part, Query
from shared.models import Lane, ObjectRef, Standing
from tests.unit.search_ports import NOON

_TIMEOUT_S = 10.0
_ENTRY: dict[str, Any] = {
    "id": 7,
    "bucket": "photos",
    "image": "a.jpg",
    "is_public": False,
    "created_at": NOON.isoformat(),
    "preview": "a.webp",
    "content_type": "image/jpeg",
    "width": 640,
    "height": 480,
    "taken_at": None,
    "average_colour": "#640064",
}
_FOUND: dict[str, Any] = {
    "path": "index",
    "model": "m",
    "hits": [{**_ENTRY, "similarity": 0.5}],
    "next_cursor": "next",
    "missing": [],
}
_SHOWN: dict[str, Any] = {
    **_ENTRY,
    "state": "indexed",
    "reason": None,
    "size_bytes": 99,
    "is_own": True,
    "ordering_key": "k",
}
_SHOWN_ENTRY = Entry(
    7,
    ObjectRef("photos", "a.jpg"),
    False,
    NOON,
    ObjectRef("photos-previews", "a.webp"),
    "image/jpeg",
    640,
    480,
    None,
    "#640064",
)


class Server:
    """Answers as it is told, in the place of the network."""

    def __init__(self) -> None:
        self.answer: object = None
        self.status = 200
        self.requests: list[httpx.Request] = []

    def __call__(self, _: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.status, json=self.answer)

    def timeouts(self) -> dict[str, float]:
        """Of the last request."""
        found: dict[str, float] = self.requests[-1].extensions["timeout"]
        return found

    def arguments(self) -> Any:  # noqa: ANN401 -- as JSON has them
        """Of the last request."""
        return json.loads(self.requests[-1].content)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda transport, request: server(transport, request)
    )
    return server


@pytest.fixture
def database() -> SearchDatabase:
    return SearchDatabase(
        "https://a.example",
        service_key="service",
        anon_key="anon",
        timeout_s=_TIMEOUT_S,
        lane=Lane.SEARCH,
        costs=lambda _: False,
    )


def _search(database: SearchDatabase, deadline: float) -> object:
    return database.nearest(Query([Part(text="dog")], 3), model="m", caller_token="t", deadline=deadline)


_CALLS: dict[str, tuple[object, Callable[[SearchDatabase, float], object]]] = {
    "nearest": (_FOUND, _search),
    "image": (_SHOWN, lambda database, until: database.image(7, caller_token="t", deadline=until)),
    "image_named": (
        _SHOWN,
        lambda database, until: database.image_named(ObjectRef("b", "n"), caller_token="t", deadline=until),
    ),
    "active_model": ("m", lambda database, until: database.active_model(until)),
    "cursor_model": ("m", lambda database, until: database.cursor_model("c", deadline=until)),
    "count_request": (0, lambda database, until: database.count_request("u", per_minute=5, deadline=until)),
}
"""Each call that has a deadline, with a good answer to it."""


@pytest.mark.parametrize("name", sorted(_CALLS))
def test_a_call_may_take_no_longer_than_is_left_until_the_deadline(
    server: Server, database: SearchDatabase, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer, call = _CALLS[name]
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)

    call(database, 1002.5)

    assert set(server.timeouts().values()) == {2.5}


@pytest.mark.parametrize("name", sorted(_CALLS))
def test_a_call_may_take_no_longer_than_the_timeout(
    server: Server, database: SearchDatabase, name: str
) -> None:
    server.answer, call = _CALLS[name]

    call(database, time.monotonic() + 3600)

    assert set(server.timeouts().values()) == {_TIMEOUT_S}


def test_a_call_after_its_deadline_still_says_how_long_it_waits(
    server: Server, database: SearchDatabase
) -> None:
    server.answer = _FOUND

    _search(database, 0)

    assert set(server.timeouts().values()) == {0.001}


def test_the_deadline_of_one_call_is_not_that_of_the_next(server: Server, database: SearchDatabase) -> None:
    server.answer = _FOUND
    _search(database, 0)
    server.answer = []

    database.owner_rule("photos")

    assert set(server.timeouts().values()) == {_TIMEOUT_S}


def test_a_database_that_does_not_answer_in_time_is_an_outage(
    database: SearchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too late", request=request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", hang)

    with pytest.raises(Unavailable, match=r"does not answer \(search_images_v2\)"):
        _search(database, 0)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "PT404", UnknownImage),
        (409, "PT409", NotIndexed),
        (400, "22023", InputError),
        (400, "P0001", InputError),
        (403, "42501", AccessDenied),
        (401, "PGRST301", AccessDenied),
        (404, "PGRST202", SettingsError),
        (500, "XX000", Unavailable),
        (503, "PGRST002", Unavailable),
        (429, "", Unavailable),
    ],
)
def test_an_error_of_the_database_is_one_of_ours(
    server: Server, database: SearchDatabase, status: int, code: str, kind: type[PixseekError]
) -> None:
    server.status = status
    server.answer = {"message": "why", "code": code, "details": None, "hint": None}

    with pytest.raises(PixseekError) as caught:
        _search(database, time.monotonic() + 60)

    assert type(caught.value) is kind


def test_a_search_is_made_with_the_callers_rights_and_finds_pages(
    server: Server, database: SearchDatabase
) -> None:
    server.answer = _FOUND
    parts = [Part(text="dog"), Part(image_id=9, weight=-0.5), Part(picture=b"p", vector=[0.123456789, 1.0])]
    query = Query(parts, 3, "before", 0.25, {"bucket": "photos"})

    page = database.nearest(query, model="m", caller_token="t")

    assert server.requests[-1].url.path == "/rest/v1/rpc/search_images_v2"
    assert server.requests[-1].headers["authorization"] == "Bearer t"
    assert server.requests[-1].headers["apikey"] == "anon"
    assert server.arguments() == {
        "query": [
            {"text": "dog"},
            {"weight": -0.5, "image_id": 9},
            {"embedding": [pytest.approx(0.1234568, abs=1e-6), 1.0]},
        ],
        "match_count": 3,
        "model_name": "m",
        "min_similarity": 0.25,
        "filters": {"bucket": "photos"},
        "page_cursor": "before",
    }
    assert (page.hits, page.next_cursor, page.missing) == ([Hit(_SHOWN_ENTRY, 0.5)], "next", [])


def test_a_picture_comes_with_its_state(server: Server, database: SearchDatabase) -> None:
    server.answer = _SHOWN

    shown = database.image_named(ObjectRef("photos", "a.jpg"), caller_token="t")

    assert server.arguments() == {"bucket_name": "photos", "image_name": "a.jpg"}
    assert (shown.entry, shown.standing, shown.is_own) == (_SHOWN_ENTRY, Standing.INDEXED, True)


def test_a_token_that_cannot_be_sent_is_refused_unsent(server: Server, database: SearchDatabase) -> None:
    with pytest.raises(AccessDenied, match="other than ASCII"):
        database.image(7, caller_token="tökén")

    assert server.requests == []


def test_a_request_is_counted_with_our_own_key(server: Server, database: SearchDatabase) -> None:
    server.answer = 1.5

    wait_s = database.count_request("user 1", per_minute=5)

    assert wait_s == 1.5
    assert server.arguments() == {"caller": "user 1", "per_minute": 5}
    assert server.requests[-1].headers["authorization"] == "Bearer service"


def test_spared_calls_are_told_together(
    server: Server, database: SearchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.count_spared()
    first = server.arguments()
    database.count_spared()
    database.count_spared()
    untold = len(server.requests)
    monkeypatch.setattr(search, "_COUNT_SPARED_EVERY_S", 0)

    database.count_spared()

    assert first == {"lane": "search", "saved": 1}
    assert untold == 1
    assert server.arguments() == {"lane": "search", "saved": 3}


class TestWhatWasAsked:
    def test_is_told_together_now_and_then(
        self, server: Server, database: SearchDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database.count_asked(["a dog", "snow"])
        database.count_asked(["a dog"])
        untold = len(server.requests)
        monkeypatch.setattr(search, "_COUNT_ASKED_EVERY_S", 0)

        database.count_asked(["snow", "a dog"])

        assert untold == 0
        assert server.requests[-1].url.path == "/rest/v1/rpc/count_asked_v1"
        assert server.arguments() == {"asked": [{"text": "a dog", "uses": 3}, {"text": "snow", "uses": 2}]}

    def test_is_told_at_once_when_it_is_much(self, server: Server, database: SearchDatabase) -> None:
        database.count_asked([f"text {number}" for number in range(400)])

        assert len(server.arguments()["asked"]) == 400

    def test_is_told_once(
        self, server: Server, database: SearchDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "_COUNT_ASKED_EVERY_S", 0)
        database.count_asked(["a dog"])
        told = len(server.requests)

        database.count_asked([])

        assert (told, len(server.requests)) == (1, 1)

    def test_is_told_to_nobody_who_does_not_want_to_keep_it(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "_COUNT_ASKED_EVERY_S", 0)
        database = SearchDatabase(
            "https://a.example",
            service_key="service",
            anon_key="anon",
            timeout_s=_TIMEOUT_S,
            lane=Lane.SEARCH,
            costs=lambda _: False,
            keeps_asked_texts=False,
        )

        database.count_asked(["a dog"])

        assert server.requests == []


@pytest.mark.parametrize(("costs", "told"), [(False, 2), (True, 1)], ids=["free", "counted by permits"])
def test_the_call_for_a_text_is_counted_unless_its_permit_counts(
    server: Server, database: SearchDatabase, *, costs: bool, told: int
) -> None:
    database.costs = {"m": costs, "another": not costs}.__getitem__

    database.remember("dog", [1.0, 0.0], model="m")

    assert len(server.requests) == told


@pytest.mark.parametrize("code", ["55000", "55006"])
def test_what_has_to_wait_for_something_else_says_so_with_the_hint(
    server: Server, database: SearchDatabase, code: str
) -> None:
    server.status = 500
    server.answer = {
        "message": "m is active",
        "code": code,
        "details": None,
        "hint": "Activate another.",
    }

    with pytest.raises(NotNow, match=r"^m is active\. Activate another\.$"):
        database.owner_rule("photos")


def test_the_rule_of_a_bucket_is_found_by_its_name(server: Server, database: SearchDatabase) -> None:
    server.answer = [{"name": "photos", "owner_rule": "first_segment"}, {"name": "x", "owner_rule": "stored"}]

    assert database.owner_rule("photos") == "first_segment"
    assert database.owner_rule("nothing") is None


def test_a_service_key_that_is_refused_is_the_operators_to_mend(
    server: Server, database: SearchDatabase
) -> None:
    server.status, server.answer = 401, {"message": "no", "code": "PGRST301"}

    with pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
        database.owner_rule("photos")


def test_the_operators_key_stands_beside_itself(server: Server, database: SearchDatabase) -> None:
    """A key of the newer kind is no token: as a bearer it passes only so."""
    server.answer = _SHOWN

    database.image(7, caller_token="service")

    sent = server.requests[-1].headers
    assert (sent["apikey"], sent["authorization"]) == ("service", "Bearer service")


def test_a_vector_is_sent_the_same_to_be_searched_and_to_be_remembered(
    server: Server, database: SearchDatabase
) -> None:
    """A cursor tells it by its bits, and JSON in the database has no negative zero."""
    server.answer = _FOUND
    vector = [0.1234567891, -0.0000001]

    database.nearest(Query([Part(vector=vector)], 3), model="m", caller_token="t")
    searched = server.arguments()["query"][0]["embedding"]
    database.remember("dog", vector, model="m")
    remembered = next(
        sent["query_embedding"]
        for sent in map(json.loads, (request.content for request in server.requests))
        if "query_embedding" in sent
    )

    assert [str(number) for number in searched] == ["0.123457", "0.0"]
    assert str(searched) == str(remembered)
