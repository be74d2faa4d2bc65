"""The scheduled function's entries of both clouds: one call, or as many more as there is work for."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

import functions_framework
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from werkzeug.test import TestResponse

from functions.reembed_images import aws, running
from infra.local.home import ROOT
from shared.telemetry import log_outcome
from tests.http_servers import Handler, serving
from tests.integration.switching import NEW, OLD, Switching

pytestmark = pytest.mark.long

_ARN = "arn:aws:lambda:eu-central-1:123456789012:function:reembed_images"
_NAMES = ("a.png", "b.png", "c.png", "d.png", "e.png")


@dataclass
class Context:
    """Of a Lambda invocation."""

    left_ms: int = 120_000
    invoked_function_arn: str = _ARN

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


_CONTEXT = cast("LambdaContext", Context())


@dataclass
class Lambda:
    """Its API: it keeps what is invoked, and refuses on demand."""

    url: str = ""
    invoked: list[tuple[str, str, Any]] = field(default_factory=list)
    """Function, invocation type and payload."""
    refusal: tuple[int, str] | None = None
    """Status and kind of error."""


@contextmanager
def _serving() -> Iterator[Lambda]:
    api = Lambda()

    class Answering(Handler):
        def do_POST(self) -> None:
            payload = json.loads(self.content())
            function = unquote(self.path.split("/")[3])
            api.invoked.append((function, self.headers["X-Amz-Invocation-Type"], payload))
            status, kind = api.refusal or (202, "")
            content = json.dumps({"Message": "as it was told to"}).encode() if kind else b""
            self.answer(status, content, {"x-amzn-ErrorType": kind})

    with serving(Answering) as api.url:
        yield api


@pytest.fixture(scope="session", autouse=True)
def logger() -> None:
    """Made before a test captures what is written: it holds on to where it writes."""
    log_outcome("tests_begun")


@pytest.fixture
def lambda_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lambda]:
    """For which two pictures are work enough for an instance."""
    monkeypatch.setattr(running, "_PICTURES_AN_INSTANCE", 2)
    with _serving() as api:
        variables = {
            "AWS_ENDPOINT_URL_LAMBDA": api.url,
            "AWS_ACCESS_KEY_ID": "of-a-test",
            "AWS_SECRET_ACCESS_KEY": "of-a-test",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_MAX_ATTEMPTS": "1",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield api


class TestOnAws:
    def test_a_call_of_the_scheduler_brings_the_pictures_over(
        self, lambda_api: Lambda, switching: Switching
    ) -> None:
        switching.index("a.png", "b.png")

        with switching.deployed():
            report = aws.handler({"source": "aws.scheduler"}, _CONTEXT)

        assert json.loads(json.dumps(report))[NEW]["state"] == "active"
        assert switching.states() == {OLD: "retired", NEW: "active"}
        assert lambda_api.invoked == []

    def test_as_many_instances_are_called_as_there_is_work_for(
        self, lambda_api: Lambda, switching: Switching, caplog: pytest.LogCaptureFixture
    ) -> None:
        switching.index(*_NAMES)

        with switching.deployed():
            aws.handler({}, _CONTEXT)

        assert lambda_api.invoked == [(_ARN, "Event", {"is_called_by_another": True})] * 2
        assert "reembedding_shared" in caplog.messages

    def test_no_more_instances_are_called_than_are_wanted(
        self, lambda_api: Lambda, switching: Switching
    ) -> None:
        switching.index(*_NAMES)

        with switching.deployed(reembed_workers="2"):
            aws.handler({}, _CONTEXT)

        assert len(lambda_api.invoked) == 1

    def test_an_instance_that_was_called_calls_none(self, lambda_api: Lambda, switching: Switching) -> None:
        switching.index(*_NAMES)

        with switching.deployed(activate="manual"):
            aws.handler({}, _CONTEXT)
            [(_, _, payload), *_] = lambda_api.invoked
            switching.index("f.png", "g.png", "h.png")
            report = aws.handler(payload, _CONTEXT)

        assert report[NEW]["indexed"] == 3
        assert len(lambda_api.invoked) == 2

    @pytest.mark.parametrize(
        "refusal",
        [
            (403, "AccessDeniedException"),
            (404, "ResourceNotFoundException"),
            (429, "TooManyRequestsException"),
        ],
    )
    def test_one_that_may_call_no_others_goes_on_alone_and_says_so(
        self,
        refusal: tuple[int, str],
        lambda_api: Lambda,
        switching: Switching,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        lambda_api.refusal = refusal
        switching.index(*_NAMES)

        with switching.deployed():
            report = aws.handler({}, _CONTEXT)

        assert report[NEW]["state"] == "active"
        assert "reembedding_alone" in caplog.messages
        assert len(lambda_api.invoked) == 1

    def test_one_that_reaches_no_lambda_goes_on_alone(
        self,
        lambda_api: Lambda,
        switching: Switching,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9")
        switching.index(*_NAMES)

        with switching.deployed():
            report = aws.handler({}, _CONTEXT)

        assert report[NEW]["state"] == "active"
        assert "reembedding_alone" in caplog.messages
        assert lambda_api.invoked == []

    @pytest.mark.parametrize("event", [None, ["now"], {"is_called_by_another": False}])
    def test_whatever_the_event_is_it_means_now(
        self, event: object, lambda_api: Lambda, switching: Switching
    ) -> None:
        with switching.deployed():
            report = aws.handler(cast("dict[str, Any]", event), _CONTEXT)

        assert report[NEW]["state"] == "active"
        assert lambda_api.invoked == []

    def test_what_has_no_time_left_begins_nothing(self, switching: Switching) -> None:
        switching.index("a.png")

        with switching.deployed():
            report = aws.handler({}, cast("LambdaContext", Context(left_ms=1_100)))

        assert report[NEW] == {**report[NEW], "state": "unfinished", "is_out_of_time": True, "calls": 0}


class TestOnGoogle:
    def test_a_post_of_the_scheduler_brings_the_pictures_over(self, switching: Switching) -> None:
        switching.index("a.png")

        with switching.deployed():
            answer = _posted()

        assert answer.status_code == 200
        assert answer.get_json()[NEW]["state"] == "active"
        assert switching.states() == {OLD: "retired", NEW: "active"}

    @pytest.mark.parametrize(
        ("settings", "status", "error"),
        [
            ({"next_clip_model": "somebody/unknown"}, 500, "SettingsError"),
            ({"supabase_url": "http://127.0.0.1:9"}, 503, "Unavailable"),
        ],
    )
    def test_what_goes_wrong_is_told_by_its_kind_alone(
        self,
        settings: Mapping[str, str],
        status: int,
        error: str,
        switching: Switching,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        switching.run(activate="manual")

        with switching.deployed(**settings):
            answer = _posted()

        assert (answer.status_code, answer.get_json()) == (status, {"error": error})
        assert "reembedding_failed" in caplog.messages


def _posted() -> TestResponse:
    source = str(ROOT / "functions" / "reembed_images" / "gcp.py")
    app = functions_framework.create_app("reembed_images", source)  # type: ignore[no-untyped-call] # it has no types
    return cast("TestResponse", app.test_client().post("/", json={"any": "thing"}))


class TestAsAJob:
    def test_its_tasks_share_the_work(self, switching: Switching) -> None:
        names = [f"{number}.png" for number in range(40)]
        switching.index(*names)

        tasks = [_task(switching), _task(switching)]

        assert [task.wait(timeout=60) for task in tasks] == [0, 0]
        assert switching.states() == {OLD: "retired", NEW: "active"}
        assert (switching.vectors(NEW), switching.calls(NEW)) == (40, 40)

    @pytest.mark.parametrize(
        "settings",
        [
            {"next_clip_model": "openai/clip-vit-base-patch32"},
            {"function_timeout_s": "1.1"},
        ],
        ids=["another model", "no time"],
    )
    def test_that_has_to_be_run_again_fails(self, settings: Mapping[str, str], switching: Switching) -> None:
        switching.index("a.png")
        switching.run(activate="manual")
        switching.index("b.png")

        task = _task(switching, **settings)

        assert task.wait(timeout=60) == 1

    def test_whose_rest_is_in_other_hands_does_not_fail(self, switching: Switching) -> None:
        switching.index("a.png")
        embedder = switching.adapters().embedders.named(NEW)
        switching.registry.aim(embedder.model)
        claimed = switching.registry.claim(NEW, 1, lease_s=120)

        task = _task(switching)

        assert task.wait(timeout=60) == 0
        assert len(claimed) == 1
        assert switching.states() == {OLD: "active", NEW: "building"}


def _task(switching: Switching, **settings: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "functions.reembed_images.gcp"],
        cwd=ROOT,
        env={**os.environ, **switching.variables(**settings)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
