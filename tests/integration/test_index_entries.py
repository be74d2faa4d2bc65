"""The entries of both clouds, from the payload to the row: a folder of this machine as the bucket store."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote_plus

import flask
import psycopg
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.index_image import aws, gcp
from infra.cli.connection import Project
from shared import settings, wiring
from tests.integration.conftest import picture_bytes

Rows = Callable[[], dict[str, tuple[str, str | None]]]


@dataclass
class Context:
    """Of a Lambda invocation."""

    left_ms: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


@pytest.fixture
def lambda_context() -> LambdaContext:
    return cast("LambdaContext", Context())


@pytest.fixture
def function(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """The function's environment, which a test may change."""
    connection = project.connection
    variables = {
        "SUPABASE_URL": connection.supabase_url,
        "SUPABASE_ANON_KEY": connection.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
        "STORAGE": "local",
        "STORAGE_DIR": str(tmp_path),
        "WEBHOOK_SECRET": "the-secret-of-this-test",
        "EMBEDDER": "offline",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.load_settings.cache_clear()
    wiring._build.cache_clear()
    yield monkeypatch
    settings.load_settings.cache_clear()
    wiring._build.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, function: pytest.MonkeyPatch) -> Path:  # noqa: ARG001 -- it reads the folder
    """A bucket, by a name that no other test has."""
    made = tmp_path / f"entries-{abs(hash(tmp_path)):x}"
    made.mkdir()
    return made


@pytest.fixture
def in_index(folder: Path, sql: psycopg.Connection) -> Rows:
    """State and reason by name, of the bucket."""

    def read() -> dict[str, tuple[str, str | None]]:
        query = "select name, state, reason from pixseek.images where bucket = %s"
        return {name: (state, reason) for name, state, reason in sql.execute(query, (folder.name,))}

    return read


def _s3_event(
    bucket: str, key: str, *, name: str = "ObjectCreated:Put", sequencer: str = "0A"
) -> dict[str, Any]:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-01-02T03:04:05.678Z",
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "sequencer": sequencer}},
    }
    return {"Records": [record]}


def _queue(*bodies: object) -> dict[str, Any]:
    """A batch of SQS messages, numbered from 0."""
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": "r",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
            }
            for number, body in enumerate(bodies)
        ]
    }


def _failed(answer: Mapping[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


class TestAQueueOfS3:
    def test_wrong_messages_and_pictures_do_not_hold_back_their_mates(
        self, folder: Path, in_index: Rows, lambda_context: LambdaContext
    ) -> None:
        (folder / "one +%41.png").write_bytes(picture_bytes((1, 1, 1)))
        (folder / "two.png").write_bytes(picture_bytes((2, 2, 2)))
        (folder / "text.png").write_text("no picture")
        bodies = [_s3_event(folder.name, name) for name in ("one +%41.png", "text.png", "two.png")]

        answer = aws.index_queued_events(_queue("{", *bodies, {"Event": "s3:TestEvent"}), lambda_context)

        assert _failed(answer) == []
        found = in_index()
        assert {name: state for name, (state, _) in found.items()} == {
            "one +%41.png": "indexed",
            "two.png": "indexed",
            "text.png": "failed",
        }
        assert "not a picture" in str(found["text.png"][1])

    def test_only_what_is_worth_a_retry_comes_back_also_when_that_is_all(
        self, folder: Path, function: pytest.MonkeyPatch, lambda_context: LambdaContext
    ) -> None:
        (folder / "one.png").write_bytes(picture_bytes((1, 1, 1)))
        function.setenv("SUPABASE_URL", "http://127.0.0.1:9")

        answer = aws.index_queued_events(
            _queue(_s3_event(folder.name, "one.png"), _s3_event(folder.name, "gone.png")), lambda_context
        )

        assert _failed(answer) == ["0", "1"]

    def test_nothing_is_begun_when_no_time_is_left(self, folder: Path, in_index: Rows) -> None:
        (folder / "one.png").write_bytes(picture_bytes((1, 1, 1)))
        late = cast("LambdaContext", Context(left_ms=900))

        answer = aws.index_queued_events(_queue(_s3_event(folder.name, "one.png")), late)

        assert _failed(answer) == ["0"]
        assert in_index() == {}

    def test_an_object_that_vanished_is_done_with(
        self, folder: Path, in_index: Rows, lambda_context: LambdaContext
    ) -> None:
        answer = aws.index_queued_events(_queue(_s3_event(folder.name, "gone.png")), lambda_context)

        assert _failed(answer) == []
        assert in_index() == {"gone.png": ("deleted", None)}

    def test_a_removal_is_believed_when_the_object_is_not_there(
        self, folder: Path, in_index: Rows, lambda_context: LambdaContext
    ) -> None:
        # A folder dates its files; this is later than any of them.
        removal = _s3_event(folder.name, "one.png", name="ObjectRemoved:Delete", sequencer="FF")
        (folder / "one.png").write_bytes(picture_bytes((1, 1, 1)))
        aws.index_queued_events(_queue(_s3_event(folder.name, "one.png")), lambda_context)

        aws.index_queued_events(_queue(removal), lambda_context)
        while_there = in_index()["one.png"][0]
        (folder / "one.png").unlink()
        aws.index_queued_events(_queue(removal), lambda_context)

        assert while_there == "indexed"
        assert in_index()["one.png"][0] == "deleted"

    @pytest.mark.parametrize(
        ("settings_buckets", "bucket_suffix"), [("another", ""), ("", "-previews")], ids=["other", "previews"]
    )
    def test_events_of_other_buckets_are_left_alone(
        self,
        settings_buckets: str,
        bucket_suffix: str,
        folder: Path,
        function: pytest.MonkeyPatch,
        sql: psycopg.Connection,
        lambda_context: LambdaContext,
    ) -> None:
        function.setenv("BUCKETS", settings_buckets)
        bucket = folder.name + bucket_suffix

        answer = aws.index_queued_events(_queue(_s3_event(bucket, "one.png")), lambda_context)

        assert _failed(answer) == []
        assert sql.execute("select from pixseek.images where bucket = %s", (bucket,)).fetchall() == []


class TestEventsThatComeDirectly:
    @pytest.mark.parametrize("kind", ["notification", "eventbridge"])
    def test_they_are_followed(
        self, kind: str, folder: Path, in_index: Rows, lambda_context: LambdaContext
    ) -> None:
        (folder / "a+b%20.png").write_bytes(picture_bytes((3, 3, 3)))
        bridge = {
            "version": "0",
            "detail-type": "Object Created",
            "source": "aws.s3",
            "detail": {
                "bucket": {"name": folder.name},
                "object": {"key": "a+b%20.png", "sequencer": "0A"},
                "reason": "PutObject",
            },
        }
        events = {"notification": _s3_event(folder.name, "a+b%20.png"), "eventbridge": bridge}

        aws.index_storage_events(events[kind], lambda_context)

        assert in_index() == {"a+b%20.png": ("indexed", None)}

    def test_what_is_worth_a_retry_is_raised(
        self, folder: Path, function: pytest.MonkeyPatch, lambda_context: LambdaContext
    ) -> None:
        function.setenv("SUPABASE_URL", "http://127.0.0.1:9")

        with pytest.raises(Exception, match="does not answer"):
            aws.index_storage_events(_s3_event(folder.name, "one.png"), lambda_context)


class TestTheWebhookOnAws:
    @pytest.mark.parametrize("is_base64", [True, False])
    @pytest.mark.parametrize("secret", ["the-secret-of-this-test", "the-secret-of-before"])
    def test_it_is_followed_with_either_secret_of_a_rotation(
        self,
        is_base64: bool,
        secret: str,
        folder: Path,
        function: pytest.MonkeyPatch,
        in_index: Rows,
        lambda_context: LambdaContext,
    ) -> None:
        function.setenv("WEBHOOK_SECRET_BEFORE", "the-secret-of-before")
        (folder / "one.png").write_bytes(picture_bytes((4, 4, 4)))

        answer = aws.index_supabase_webhook(
            _http_event(_webhook(folder.name, "one.png"), secret, is_base64=is_base64), lambda_context
        )

        assert answer["statusCode"] == 200
        assert in_index() == {"one.png": ("indexed", None)}

    @pytest.mark.parametrize("secret", [None, "", "wrong", "the-secret-of-before"])
    def test_another_secret_is_refused(
        self, secret: str | None, folder: Path, in_index: Rows, lambda_context: LambdaContext
    ) -> None:
        answer = aws.index_supabase_webhook(
            _http_event(_webhook(folder.name, "one.png"), secret), lambda_context
        )

        assert answer["statusCode"] == 401
        assert in_index() == {}

    def test_what_can_be_retried_is_answered_with_503(
        self, folder: Path, function: pytest.MonkeyPatch, lambda_context: LambdaContext
    ) -> None:
        function.setenv("SUPABASE_URL", "http://127.0.0.1:9")

        answer = aws.index_supabase_webhook(
            _http_event(_webhook(folder.name, "one.png"), "the-secret-of-this-test"), lambda_context
        )

        assert answer["statusCode"] == 503


def _webhook(bucket: str, name: str) -> bytes:
    record = {
        "id": "0d7d1d8e-0000-4000-8000-000000000000",
        "bucket_id": bucket,
        "name": name,
        "version": "v1",
        "metadata": {"size": 1},
        "updated_at": "2026-01-02T03:04:05.678+00:00",
    }
    event = {"type": "INSERT", "table": "objects", "schema": "storage", "record": record, "old_record": None}
    return json.dumps(event).encode()


def _http_event(body: bytes, secret: str | None, *, is_base64: bool = True) -> dict[str, Any]:
    return {
        "version": "2.0",
        "headers": {} if secret is None else {"x-webhook-secret": secret},
        "body": base64.b64encode(body).decode() if is_base64 else body.decode(),
        "isBase64Encoded": is_base64,
        "requestContext": {"http": {"method": "POST", "path": "/"}},
    }


class TestCloudStorage:
    @pytest.mark.parametrize("mode", ["binary", "structured"])
    def test_its_events_are_followed(self, mode: str, folder: Path, in_index: Rows) -> None:
        (folder / "one.png").write_bytes(picture_bytes((5, 5, 5)))
        data = {"bucket": folder.name, "name": "one.png", "generation": "1700000000000001"}
        kind = "google.cloud.storage.object.v1.finalized"
        headers, body = {
            "binary": (
                {
                    "ce-specversion": "1.0",
                    "ce-id": "1",
                    "ce-type": kind,
                    "ce-source": "//storage.googleapis.com/",
                    "content-type": "application/json",
                },
                data,
            ),
            "structured": (
                {"content-type": "application/cloudevents+json"},
                {"specversion": "1.0", "id": "1", "type": kind, "source": "s", "data": data},
            ),
        }[mode]

        status = _posted(json.dumps(body).encode(), headers)

        assert status == 200
        assert in_index() == {"one.png": ("indexed", None)}

    def test_what_is_wrong_for_good_is_acknowledged_and_logged(
        self, function: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        headers = {"ce-specversion": "1.0", "ce-type": "google.cloud.storage.object.v1.finalized"}

        status = _posted(b"{", headers)

        assert function is not None
        assert status == 200
        assert "event_refused" in caplog.messages

    def test_what_is_worth_a_retry_is_answered_with_503(
        self, folder: Path, function: pytest.MonkeyPatch
    ) -> None:
        function.setenv("SUPABASE_URL", "http://127.0.0.1:9")
        data = {"bucket": folder.name, "name": "one.png", "generation": "1"}
        headers = {"ce-specversion": "1.0", "ce-type": "google.cloud.storage.object.v1.finalized"}

        status = _posted(json.dumps(data).encode(), headers)

        assert status == 503


def _posted(body: bytes, headers: Mapping[str, str]) -> int:
    app = flask.Flask("entry")
    with app.test_request_context("/", method="POST", data=body, headers=dict(headers)):
        answer = cast("tuple[object, int, object]", gcp.index_storage_event(flask.request))
    return answer[1]
