"""Two requests at once in one process, as Google's functions have them: neither sees the other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import Response

from functions.search_images.resolver import Resolver
from shared.settings import parse_settings
from tests.search_api import Answer
from tests.unit.search_deployment import Deployment


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


def _both(deployment: Deployment, *requests: tuple[str, str, str]) -> list[Answer]:
    """Each in a thread of its own: its method, its path and its token."""
    with ThreadPoolExecutor(len(requests)) as threads:
        begun = [
            threads.submit(deployment.ask, method, path, token=token) for method, path, token in requests
        ]
        return [one.result(60) for one in begun]


def test_each_search_is_made_with_the_token_of_its_own_caller(deployment: Deployment) -> None:
    deployment.callers.meet = threading.Barrier(2, timeout=60).wait

    answers = _both(
        deployment, ("GET", "/images/1/similar", "user 1"), ("GET", "/images/2/similar", "user 2")
    )

    asked = zip(deployment.database.queries, deployment.database.tokens, strict=True)
    assert [answer.status for answer in answers] == [200, 200]
    assert {(query.parts[0].image_id, token) for query, token in asked} == {(1, "user 1"), (2, "user 2")}


def test_each_problem_has_the_id_of_its_own_request(deployment: Deployment) -> None:
    deployment.callers.meet = threading.Barrier(2, timeout=60).wait

    answers = _both(deployment, ("GET", "/images/1", "wrong 1"), ("GET", "/images/2", "wrong 2"))

    problems = [answer.json() for answer in answers]
    assert [problem["detail"] for problem in problems] == ["not a token: wrong 1", "not a token: wrong 2"]
    assert len({problem["request_id"] for problem in problems}) == 2


def test_a_search_and_a_refusal_at_once_get_their_own_answers(deployment: Deployment) -> None:
    barrier = threading.Barrier(2, timeout=60)
    deployment.callers.meet = barrier.wait

    found, refused = _both(
        deployment, ("GET", "/images/1/similar", "user 1"), ("DELETE", "/images/2", "wrong 2")
    )

    assert (found.status, refused.status) == (200, 401)


def test_what_a_route_reads_of_its_request_is_its_own_however_long_it_takes() -> None:
    barrier = threading.Barrier(2, timeout=60)
    settings = parse_settings(
        {
            "SUPABASE_URL": "https://a.example",
            "SUPABASE_ANON_KEY": "anon",
            "SUPABASE_SERVICE_ROLE_KEY": "service",
        }
    )
    app = Resolver(settings)

    def read(image_id: int) -> Response[Any]:
        barrier.wait()
        token = app.current_event.headers["authorization"]
        place = app.context["_path"]
        barrier.wait()
        return Response(200, "text/plain", f"{image_id} {token} {place} {app.request_id}")

    app.get("/images/<image_id>")(read)
    app.prepare()
    events = [
        {
            "rawPath": f"/images/{number}",
            "headers": {"authorization": f"user {number}"},
            "requestContext": {"http": {"method": "GET"}, "requestId": f"r{number}", "stage": "$default"},
        }
        for number in (1, 2)
    ]

    with ThreadPoolExecutor(2) as threads:
        replies = list(threads.map(app.resolve, events, [None, None]))

    assert [reply["body"] for reply in replies] == [
        "1 user 1 /images/1 r1",
        "2 user 2 /images/2 r2",
    ]
