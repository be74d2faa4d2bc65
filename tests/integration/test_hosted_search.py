"""A hosted model, from the upload to the answer: what it is asked, what it costs, what its outage does."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from infra.cli import pictures
from infra.cli.connection import Project
from infra.local.stack import Stack
from shared.database import Database
from shared.models import Granted, ImageRecord, Lane, ObjectRef, StoredObject
from shared.permits import Permits
from tests.integration.conftest import picture_bytes, rows
from tests.ports import free_base_port
from tests.roboflow_api import RoboflowApi, delayed, serving
from tests.roboflow_faults import HANGS_S, no_answer, status

pytestmark = pytest.mark.long

_KEY = "rf_5d0e93b1"
_WIDE = "\uff57\uff49\uff44\uff45\u3000\uff57\uff41\uff4c\uff4c"
_TIMEOUT_S = 4
_PATIENCE_S = HANGS_S - 3
"""Less than a provider hangs."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosted")


@pytest.fixture(scope="module")
def serving_api() -> Iterator[RoboflowApi]:
    with serving(key=_KEY) as api:
        yield api


@pytest.fixture(scope="module")
def stack(home: Path, serving_api: RoboflowApi) -> Iterator[Stack]:
    environment = {
        "AUTH": "user",
        "EMBEDDER": "roboflow",
        "ROBOFLOW_API_URL": serving_api.url,
        "ROBOFLOW_API_KEY": _KEY,
        "FUNCTION_TIMEOUT_S": str(_TIMEOUT_S),
    }
    with Stack(home, free_base_port(), environment=environment) as stack:
        yield stack


@pytest.fixture(scope="module")
def project(stack: Stack) -> Project:
    return Project(stack.connection)


@pytest.fixture
def api(serving_api: RoboflowApi) -> Iterator[RoboflowApi]:
    """The stand-in, well again after the test."""
    yield serving_api
    serving_api.otherwise = delayed(0)


def _upload(project: Project, folder: Path, *colours: tuple[int, int, int]) -> None:
    folder.mkdir()
    for number, colour in enumerate(colours):
        (folder / f"{number}.png").write_bytes(picture_bytes(colour))
    failures = pictures.upload_and_wait(project, "photos", pictures.find([folder]), lambda _: None)
    assert not failures


def _search(project: Project, text: str, *, token: str | None = None) -> httpx.Response:
    token = token or project.connection.service_role_key
    return httpx.get(
        f"{project.connection.search_url}/search",
        params={"q": text},
        headers={"Authorization": f"Bearer {token}"},
        timeout=_PATIENCE_S,
    )


def _routes(api: RoboflowApi, since: int) -> list[str]:
    return [arrival.route for arrival in api.arrivals[since:]]


def _spent(project: Project, lane: str) -> tuple[int, int]:
    [row] = [row for row in rows(project.client, "spending_v1") if row["lane"] == lane]
    return row["made"], row["saved"]


def test_each_picture_costs_one_call_and_a_copy_none(
    project: Project, api: RoboflowApi, tmp_path: Path
) -> None:
    since, (_, saved) = len(api.arrivals), _spent(project, "indexing")

    _upload(project, tmp_path / "first", (200, 0, 0), (0, 200, 0))
    _upload(project, tmp_path / "copies", (0, 200, 0))

    assert _routes(api, since) == ["/clip/embed_image"] * 2
    assert _spent(project, "indexing")[1] == saved + 1


def test_a_sentence_costs_one_call_however_often_it_is_asked(
    project: Project, api: RoboflowApi, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    since, (made, saved) = len(api.arrivals), _spent(project, "search")

    answers = [_search(project, "a red wall") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert _routes(api, since) == ["/clip/embed_text"]
    # A permit that this machine was too slow for counts until the next one is taken.
    assert _spent(project, "search")[0] > made
    # Spared calls are told with a later request.
    wait_for(lambda: _search(project, "a red wall") and _spent(project, "search")[1] >= saved + 2)


def test_a_sentence_in_other_signs_that_mean_the_same_is_the_same(project: Project, api: RoboflowApi) -> None:
    since = len(api.arrivals)

    answers = [_search(project, text) for text in (_WIDE, " wide  wall ")]

    assert [answer.status_code for answer in answers] == [200] * 2
    assert [json.loads(arrival.content)["text"] for arrival in api.arrivals[since:]] == [["wide wall"]]


def test_who_may_not_search_costs_no_call_whatever_they_write(project: Project, api: RoboflowApi) -> None:
    since = len(api.arrivals)

    answers = [_search(project, text, token="of.some.body") for text in ("a wall", "红色的墙")]

    assert [answer.status_code for answer in answers] == [401] * 2
    assert _routes(api, since) == []


def test_a_provider_that_hangs_is_answered_for_in_time(project: Project, api: RoboflowApi) -> None:
    api.otherwise = no_answer

    answer = _search(project, "a hanging bridge")

    assert answer.status_code == 503


def test_a_search_over_its_budget_is_refused_and_a_remembered_one_is_not(
    project: Project, api: RoboflowApi
) -> None:
    _search(project, "a wall that is remembered")
    since, (made, _) = len(api.arrivals), _spent(project, "search")
    project.client.rpc("limit_spending_v1", {"limits": {"search_calls_per_day": made}}).execute()

    refused, remembered = _search(project, "a wall of ice"), _search(project, "a wall that is remembered")

    project.client.rpc("limit_spending_v1", {"limits": {"search_calls_per_day": None}}).execute()
    assert (refused.status_code, remembered.status_code) == (503, 200)
    assert "No call to the model is free before" in refused.json()["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 86_400
    assert _routes(api, since) == []


def test_a_picture_is_kept_from_others_for_as_long_as_its_call_may_take(
    project: Project, stack: Stack
) -> None:
    permits = Permits(lambda *_: Granted([], None, None))
    connection = project.connection
    database = Database(
        connection.supabase_url,
        service_key=connection.service_role_key,
        anon_key=connection.anon_key,
        timeout_s=10,
        lane=Lane.INDEXING,
        provider="s3",
        costs=lambda _: True,
        keep_permits=permits.add,
    )
    stored = StoredObject(ObjectRef("photos", "long.png"), "1", 10)
    image = ImageRecord(stored, "1", "ab" * 32)

    database.record([image], model="openai/clip-vit-base-patch16", deadline=time.monotonic() + 300)

    leased = "select extract(epoch from max(leased_until) - clock_timestamp()) from pixseek.work"
    with psycopg.connect(stack.dsn("supabase_admin")) as session:
        row = session.execute(leased).fetchone()
    assert row is not None
    # To the deadline, and some for the vector to be stored.
    assert 301 < row[0] < 310


def test_pictures_that_a_wrong_key_held_up_are_indexed_once_it_is_right(
    project: Project, api: RoboflowApi, tmp_path: Path
) -> None:
    folder = tmp_path / "held"
    folder.mkdir()
    (folder / "blue.png").write_bytes(picture_bytes((0, 0, 200)))
    api.next.extend([status(401)] * 2)

    failures = pictures.upload_and_wait(project, "photos", pictures.find([folder]), lambda _: None)

    assert not failures
    assert len(api.next) == 0


def test_the_key_is_in_no_log_of_the_stack(project: Project, home: Path) -> None:
    logs = [path.read_text(errors="replace") for path in sorted((home / "logs").iterdir())]

    assert project.connection.search_url
    assert len(logs) >= 3
    assert not [text for text in logs if _KEY in text]
