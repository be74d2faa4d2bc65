from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest

from shared.errors import (
    AccessDenied,
    InputError,
    ObjectGone,
    OverBudget,
    PictureError,
    PixseekError,
    SettingsError,
    Unavailable,
)
from shared.models import Hit, ObjectRef
from shared.replies import problem_of, retry_after, search_reply, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("x"), HTTPStatus.BAD_REQUEST),
        (PictureError("x"), HTTPStatus.BAD_REQUEST),
        (AccessDenied("x"), HTTPStatus.UNAUTHORIZED),
        (Unavailable("x"), HTTPStatus.SERVICE_UNAVAILABLE),
        (SettingsError("x"), HTTPStatus.INTERNAL_SERVER_ERROR),
        (ObjectGone("x"), HTTPStatus.INTERNAL_SERVER_ERROR),
    ],
)
def test_every_error_has_its_status(error: PixseekError, status: HTTPStatus) -> None:
    assert status_of(error) == status


def test_a_spent_budget_says_when_to_come_again() -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)

    header = retry_after(OverBudget(in_an_hour))

    assert status_of(OverBudget(in_an_hour)) == HTTPStatus.SERVICE_UNAVAILABLE
    assert int(header["Retry-After"]) == pytest.approx(3600, abs=60)


def test_a_budget_that_is_free_again_already_is_worth_a_second_of_waiting() -> None:
    assert retry_after(OverBudget(datetime.now(UTC) - timedelta(hours=1))) == {"Retry-After": "1"}


@pytest.mark.parametrize("error", [OverBudget(), Unavailable("x"), InputError("x")])
def test_an_error_that_does_not_know_when_it_passes_says_nothing_of_it(error: PixseekError) -> None:
    assert retry_after(error) == {}


def test_a_server_error_tells_the_request_id_and_no_detail() -> None:
    reply = problem_of(SettingsError("the password is hunter2"), request_id="r1")

    assert (reply.status, reply.request_id) == (500, "r1")
    assert "hunter2" not in str(reply)


def test_an_outage_tells_no_detail() -> None:
    reply = problem_of(Unavailable("10.0.0.7 does not answer"), request_id="r1")

    assert reply.status == 503
    assert "10.0.0.7" not in str(reply)


def test_a_spent_budget_is_told_from_an_outage() -> None:
    reply = problem_of(OverBudget(datetime(2026, 11, 28, tzinfo=UTC)), request_id="r1")

    assert reply.status == 503
    assert "free before 2026-11-28 00:00:00 UTC" in reply.detail


def test_callers_are_told_what_is_theirs_to_mend() -> None:
    assert problem_of(InputError("the text is too long"), request_id="r1").detail == "the text is too long"


def test_a_reply_pairs_hits_with_their_links() -> None:
    hits = [Hit(1, ObjectRef("photos", "a.jpg"), 0.5), Hit(2, ObjectRef("photos", "b.jpg"), 0.25)]

    reply = search_reply(hits, ["https://a", None], model="m", warnings=[], took_ms=1.23)

    assert reply.model_dump() == {
        "results": [
            {"id": 1, "image": "a.jpg", "similarity": 0.5, "url": "https://a"},
            {"id": 2, "image": "b.jpg", "similarity": 0.25, "url": None},
        ],
        "model": "m",
        "warnings": [],
        "took_ms": 1.2,
    }
