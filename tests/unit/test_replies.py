"""What callers are told: of pictures, and of errors."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest

from shared.errors import (
    AccessDenied,
    Forbidden,
    InputError,
    NotIndexed,
    NotNow,
    NotReady,
    ObjectGone,
    ObjectRefused,
    OverBudget,
    PictureError,
    PixseekError,
    RateLimited,
    SettingsError,
    TooLarge,
    Unavailable,
    UnknownImage,
)
from shared.hits import Entry, Hit, ImageState, Links, Page
from shared.models import ObjectRef, Standing, UploadLink
from shared.problems import Fault, problem, problem_of, retry_after, status_of
from shared.replies import image_reply, search_reply, upload_reply
from tests.unit.search_ports import NOON, entry

_SECRET = "10.0.0.7: the password is hunter2"
_DECIDED: list[tuple[PixseekError, int, str, str | None]] = [
    (InputError("x"), 400, "invalid-request", None),
    (PictureError("x"), 422, "unreadable-picture", None),
    (TooLarge("x"), 413, "too-large", None),
    (AccessDenied("x"), 401, "unauthenticated", None),
    (Forbidden("x"), 403, "forbidden", None),
    (UnknownImage("x"), 404, "unknown-image", None),
    (NotIndexed("x"), 409, "not-indexed", None),
    (NotNow("x"), 409, "not-now", None),
    (RateLimited(3.2), 429, "rate-limited", "4"),
    (Unavailable("x"), 503, "unavailable", "2"),
    (NotReady(["model"]), 503, "not-ready", "2"),
    (OverBudget(), 503, "over-budget", "2"),
    (ObjectRefused("x"), 503, "unavailable", "2"),
    (SettingsError("x"), 500, "misconfigured", None),
    (ObjectGone("x"), 500, "internal", None),
    (PixseekError("x"), 500, "internal", None),
]
"""Each error with its status, its type, and when to come again."""


def _kinds_of(kind: type[PixseekError]) -> Iterator[type[PixseekError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _kinds_of(one)


@pytest.mark.parametrize(
    ("error", "status", "name", "seconds"), _DECIDED, ids=[type(error).__name__ for error, *_ in _DECIDED]
)
def test_every_error_has_its_status_its_type_and_its_time(
    error: PixseekError, status: int, name: str, seconds: str | None
) -> None:
    reply = problem_of(error, request_id="r1")

    assert status_of(error) == reply.status == status
    assert reply.type == f"urn:pixseek:problem:{name}"
    assert reply.title == HTTPStatus(status).phrase
    assert reply.request_id == "r1"
    assert retry_after(error).get("Retry-After") == seconds


def test_no_error_is_left_undecided() -> None:
    ours = {kind for kind in _kinds_of(PixseekError) if kind.__module__ == "shared.errors"}

    assert {type(error) for error, *_ in _DECIDED} == ours


def test_an_error_of_a_kind_of_its_own_is_told_as_the_nearest_kind() -> None:
    assert status_of(type("OtherDenied", (Forbidden,), {})("x")) == HTTPStatus.FORBIDDEN


def test_a_spent_budget_says_when_to_come_again() -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)

    header = retry_after(OverBudget(in_an_hour))

    assert int(header["Retry-After"]) == pytest.approx(3600, abs=60)


def test_a_budget_that_is_free_again_already_is_worth_a_second_of_waiting() -> None:
    assert retry_after(OverBudget(datetime.now(UTC) - timedelta(hours=1))) == {"Retry-After": "1"}


@pytest.mark.parametrize(("wait_s", "seconds"), [(0.01, "1"), (1, "1"), (59.001, "60")])
def test_who_asks_too_often_waits_for_whole_seconds(wait_s: float, seconds: str) -> None:
    assert retry_after(RateLimited(wait_s)) == {"Retry-After": seconds}


@pytest.mark.parametrize("error", [InputError("x"), SettingsError("x"), AccessDenied("x"), ObjectGone("x")])
def test_an_error_that_does_not_pass_by_itself_names_no_time(error: PixseekError) -> None:
    assert retry_after(error) == {}


@pytest.mark.parametrize(
    "error",
    [
        SettingsError(_SECRET),
        ObjectGone(_SECRET),
        PixseekError(_SECRET),
        Unavailable(_SECRET),
        ObjectRefused(_SECRET),
        ValueError(_SECRET),
        KeyError(_SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_not_the_callers_to_mend_tells_the_request_id_and_no_cause(error: Exception) -> None:
    reply = problem_of(error, request_id="r1")

    assert reply.status >= 500
    assert reply.request_id == "r1"
    assert "hunter2" not in reply.model_dump_json()


def test_an_error_nobody_thought_of_is_internal() -> None:
    reply = problem_of(ZeroDivisionError("x"), request_id="r1")

    assert (reply.status, reply.type) == (500, "urn:pixseek:problem:internal")
    assert reply.detail == "The cause is in the log, under the request id."


def test_an_outage_is_worth_another_try() -> None:
    assert "Try again in a moment" in problem_of(Unavailable("x"), request_id="r1").detail


def test_a_spent_budget_is_told_from_an_outage() -> None:
    reply = problem_of(OverBudget(datetime(2026, 11, 28, tzinfo=UTC)), request_id="r1")

    assert "free before 2026-11-28 00:00:00 UTC" in reply.detail


def test_a_budget_without_a_time_says_so() -> None:
    assert "No call to the model is free soon enough." in problem_of(OverBudget(), request_id="r1").detail


def test_what_is_not_ready_is_named() -> None:
    reply = problem_of(NotReady(["embedder", "model"]), request_id="r1")

    assert reply.detail == "not at work: embedder, model"


@pytest.mark.parametrize(
    "error", [InputError("the text is too long"), Forbidden("not yours"), PictureError("empty")]
)
def test_callers_are_told_what_is_theirs_to_mend(error: PixseekError) -> None:
    assert problem_of(error, request_id="r1").detail == str(error)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (HTTPStatus.BAD_REQUEST, "invalid-request"),
        (HTTPStatus.NOT_FOUND, "unknown-path"),
        (HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed"),
        (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
        (HTTPStatus.BAD_GATEWAY, "internal"),
    ],
)
def test_a_problem_of_http_has_a_type_too(status: HTTPStatus, name: str) -> None:
    reply = problem(status, "why", request_id="r1", errors=[Fault(field="q", detail="missing")])

    assert reply.model_dump() == {
        "type": f"urn:pixseek:problem:{name}",
        "title": status.phrase,
        "status": int(status),
        "detail": "why",
        "request_id": "r1",
        "errors": [{"field": "q", "detail": "missing"}],
    }


def test_a_reply_pairs_hits_with_their_links() -> None:
    known = Entry(2, ObjectRef("photos", "b.jpg"), True, NOON, None, "image/jpeg", 640, 480, NOON, "#640064")
    page = Page([Hit(entry(1, "a.jpg"), 0.5), Hit(known, 0.25)], "exact", "next")

    reply = search_reply(
        page,
        [Links("https://a", "https://a-preview"), Links(None, None)],
        model="m",
        warnings=["w"],
        took_ms=1.23,
    )

    assert reply.model_dump() == {
        "results": [
            {
                "id": 1,
                "bucket": "photos",
                "image": "a.jpg",
                "similarity": 0.5,
                "url": "https://a",
                "preview_url": "https://a-preview",
                "width": None,
                "height": None,
                "taken_at": None,
                "average_colour": None,
            },
            {
                "id": 2,
                "bucket": "photos",
                "image": "b.jpg",
                "similarity": 0.25,
                "url": None,
                "preview_url": None,
                "width": 640,
                "height": 480,
                "taken_at": NOON,
                "average_colour": "#640064",
            },
        ],
        "model": "m",
        "path": "exact",
        "next_cursor": "next",
        "warnings": ["w"],
        "took_ms": 1.2,
    }


def test_a_reply_never_pairs_a_hit_with_the_link_of_another() -> None:
    with pytest.raises(ValueError, match="shorter"):
        search_reply(Page([Hit(entry(), 0.5)], "exact", None), [], model="m", warnings=[], took_ms=1)


def test_a_picture_is_told_with_its_state_and_its_facts() -> None:
    shown = Entry(7, ObjectRef("photos", "b.jpg"), False, NOON, None, "image/jpeg", 640, 480, None, "#640064")
    image = ImageState(shown, Standing.FAILED, "too large", 99, is_own=True, ordering_key="k")

    reply = image_reply(image, Links("https://b", None))

    assert reply.model_dump(mode="json") == {
        "id": 7,
        "bucket": "photos",
        "image": "b.jpg",
        "state": "failed",
        "reason": "too large",
        "url": "https://b",
        "preview_url": None,
        "content_type": "image/jpeg",
        "size_bytes": 99,
        "width": 640,
        "height": 480,
        "taken_at": None,
        "created_at": "2026-11-27T12:00:00Z",
        "average_colour": "#640064",
        "is_own": True,
    }


def test_a_right_to_upload_is_told_with_all_that_it_takes() -> None:
    link = UploadLink("https://u", "PUT", {"Content-Type": "image/png"})

    reply = upload_reply(ObjectRef("photos", "anna/1.png"), link)

    assert reply.model_dump() == {
        "bucket": "photos",
        "image": "anna/1.png",
        "url": "https://u",
        "method": "PUT",
        "headers": {"Content-Type": "image/png"},
    }
