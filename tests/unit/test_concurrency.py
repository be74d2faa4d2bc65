"""One process serves many requests at once; none may see another's."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest

from functions.search_images import app as search_app
from functions.search_images import gcp
from tests.unit.search_deployment import Deployment

_REQUESTS = 400


@pytest.fixture
def busy_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    with ThreadPoolExecutor(8) as pool:
        yield pool
    sys.setswitchinterval(interval)


def test_each_request_is_answered_by_its_own_number(
    busy_threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = Deployment()
    monkeypatch.setattr(search_app, "load_app", lambda: deployment.api.app)
    app = flask.Flask("requests")
    app.add_url_rule("/search", view_func=lambda: gcp.search_images(flask.request))

    def ask(number: int) -> str:
        return str(app.test_client().get("/search", query_string={"limit": -number}).get_json()["request_id"])

    request_ids = list(busy_threads.map(ask, range(_REQUESTS)))

    assert len(set(request_ids)) == _REQUESTS
