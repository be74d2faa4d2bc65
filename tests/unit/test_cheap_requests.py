"""Requests that would cost more than they are worth, from whoever sends them."""

import json
import threading

import pytest

from functions.search_images.bodies import parse_json
from shared import images
from shared.errors import Unavailable
from shared.hits import Part, Query
from shared.searching import search
from tests.unit.search_deployment import Deployment, problem_in
from tests.unit.search_ports import (
    AskedAdmission,
    AskedEmbedder,
    AskedIndex,
    AskedMemory,
    AskedStore,
    OneEmbedder,
)


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


def test_an_object_of_many_names_is_not_read() -> None:
    few, many = ({f"name{number}": 0 for number in range(count)} for count in (50, 51))

    assert parse_json(json.dumps(few)) == few
    with pytest.raises(json.JSONDecodeError):
        parse_json(json.dumps(many))


def test_of_many_faults_some_are_told(deployment: Deployment) -> None:
    long_name = "x" * 5_000
    part = {long_name: 1, **{f"name{number}": 1 for number in range(40)}}

    answer = deployment.ask("POST", "/search", json={"query": [part] * 16})

    problem = problem_in(answer, 400, "invalid-request")
    assert len(problem["errors"]) == 20
    assert len(answer.body) < 10_000


def test_whoever_was_told_to_wait_is_not_searched_for_meanwhile(deployment: Deployment) -> None:
    deployment.database.wait_s = 30
    problem_in(deployment.ask("GET", "/search", params={"q": "a cat"}), 429, "rate-limited")
    asked = list(deployment.database.queries)

    problem_in(deployment.ask("GET", "/search", params={"q": "a cat"}), 429, "rate-limited")

    assert deployment.database.queries == asked


def test_readiness_is_looked_at_now_and_then(deployment: Deployment) -> None:
    answers = [deployment.ask("GET", "/ready", token=None) for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 3
    assert [is_afresh for _, is_afresh in deployment.embedders.asked] == [True]
    assert len(deployment.embedder.deadlines) == 1


def test_a_picture_waits_for_its_turn_no_longer_than_there_is_time() -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with images.one_at_a_time:
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)

    with pytest.raises(Unavailable, match="no time is left to look at the picture"):
        search(
            Query([Part(picture=b"a picture")], 3),
            caller_token="t",
            embedders=OneEmbedder(AskedEmbedder()),
            index=AskedIndex(),
            memory=AskedMemory(),
            store=AskedStore(),
            admission=AskedAdmission(),
            deadline=0,
        )
    done.set()
    holder.join()
