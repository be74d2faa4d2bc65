"""Answers of the search API, above all those to requests that it does not serve."""

import base64
import json

import pytest

from functions.search_images import resolver
from shared.errors import (
    NotIndexed,
    OverBudget,
    PixseekError,
    SettingsError,
    Unavailable,
    UnknownImage,
)
from tests.unit.search_deployment import Deployment, problem_in


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


def _break() -> None:
    raise KeyError("hunter2")


def test_a_search_is_answered_and_kept_by_no_cache(deployment: Deployment) -> None:
    answer = deployment.ask("GET", "/search", params={"q": "a dog, asleep", "limit": "3"})

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "embed;dur=" in answer.headers["Server-Timing"]
    assert [result["image"] for result in answer.json()["results"]] == ["a.jpg"]
    assert deployment.embedder.texts == [["a dog, asleep"]]
    assert deployment.database.queries[0].limit == 3


def test_a_form_searches_by_its_picture_and_its_search(deployment: Deployment) -> None:
    answer = deployment.ask(
        "POST", "/search", files={"picture": ("a.png", b"no picture")}, data={"search": '{"limit": 3}'}
    )

    problem = problem_in(answer, 422, "unreadable-picture")
    assert "not a picture" in problem["detail"]


def test_a_deployment_without_picture_queries_says_so_and_answers_the_others() -> None:
    deployment = Deployment(PICTURE_QUERIES="false")

    refused = deployment.ask("POST", "/search", files={"picture": ("a.png", b"any")})
    found = deployment.ask("POST", "/search", json={"query": [{"text": "a dog"}, {"image_id": 7}]})

    assert "PICTURE_QUERIES" in problem_in(refused, 400, "invalid-request")["detail"]
    assert found.status == 200


@pytest.mark.parametrize(
    ("error", "status", "name", "seconds"),
    [
        (UnknownImage("unknown image"), 404, "unknown-image", None),
        (NotIndexed("no vector yet"), 409, "not-indexed", None),
        (Unavailable("hunter2"), 503, "unavailable", "2"),
        (OverBudget(), 503, "over-budget", "2"),
        (SettingsError("hunter2"), 500, "misconfigured", None),
    ],
)
def test_an_error_is_a_problem_with_its_request_id(
    deployment: Deployment, error: PixseekError, status: int, name: str, seconds: str | None
) -> None:
    deployment.database.fault = error

    answer = deployment.ask("GET", "/images/7/similar")

    problem_in(answer, status, name)
    assert answer.headers.get("Retry-After") == seconds
    assert "hunter2" not in answer.body


def test_an_error_nobody_thought_of_is_internal_and_keeps_its_text(deployment: Deployment) -> None:
    deployment.database.meet = _break

    answer = deployment.ask("GET", "/search", params={"q": "dog"})

    problem = problem_in(answer, 500, "internal")
    assert "hunter2" not in answer.body
    assert "request id" in problem["detail"]


def test_a_caller_without_requests_left_is_told_when_to_come_again(deployment: Deployment) -> None:
    deployment.database.wait_s = 2.5

    answer = deployment.ask("GET", "/search", params={"q": "dog"})

    problem_in(answer, 429, "rate-limited")
    assert answer.headers["Retry-After"] == "3"
    assert deployment.embedder.texts == []


def test_who_is_not_known_is_told_how_to_sign_in(deployment: Deployment) -> None:
    answer = deployment.ask("GET", "/search", params={"q": "dog"}, token=None)

    problem_in(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert deployment.database.queries == []


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/images/7"), ("POST", "/uploads")], ids=["delete", "upload"]
)
def test_the_public_changes_nothing(method: str, path: str) -> None:
    deployment = Deployment(auth="public")
    body = {"bucket": "photos", "content_type": "image/png"}

    answer = deployment.ask(method, path, token=None, json=body)

    problem_in(answer, 403, "forbidden")
    assert (deployment.database.log, deployment.store.log) == ([], [])


@pytest.mark.parametrize("bucket", ["others", "photos-previews"])
def test_pictures_of_a_bucket_that_is_not_followed_are_not_uploaded(bucket: str) -> None:
    deployment = Deployment(buckets="photos")

    answer = deployment.ask("POST", "/uploads", json={"bucket": bucket, "content_type": "image/png"})

    problem_in(answer, 400, "invalid-request")
    assert deployment.store.log == []


def test_what_does_not_work_is_named_and_why_is_not(deployment: Deployment) -> None:
    deployment.embedder.fault = Unavailable("hunter2")

    answer = deployment.ask("GET", "/ready")

    problem = problem_in(answer, 503, "not-ready")
    assert problem["detail"] == "not at work: embedder"
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_nobody_has_to_sign_in_to_ask_whether_it_works(deployment: Deployment, path: str) -> None:
    answer = deployment.ask("GET", path, token=None)

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_no_log_line_has_the_text_of_a_query_or_a_token(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(resolver, "log_failure", lambda *facts, **more: logged.append(f"{facts} {more}"))
    deployment.database.fault = Unavailable("no database")

    deployment.ask("GET", "/search", params={"q": "my secret wish"}, token="user secret")

    assert len(logged) == 1
    assert "secret" not in logged[0]


def test_the_description_is_served_without_a_token(deployment: Deployment) -> None:
    answer = deployment.ask("GET", "/openapi.json", token=None)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.body)["openapi"].startswith("3.1")


def test_a_picture_in_a_body_is_a_part_of_the_query(deployment: Deployment) -> None:
    body = {"query": [{"picture": base64.b64encode(b"no picture").decode()}]}

    problem_in(deployment.ask("POST", "/search", json=body), 422, "unreadable-picture")
