"""The scheduled audit on both clouds: what it repairs, what it tells, and what does not hold it back."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import flask
import psycopg
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from supabase import Client

from functions.audit_index import aws, gcp, running
from infra.cli.connection import Project
from shared import recall, settings, wiring
from shared.audits import Recall
from shared.database import Database
from shared.database.audits import Audits
from shared.telemetry import log_outcome
from tests.integration.conftest import picture_bytes

pytestmark = pytest.mark.long

States = Callable[[str], dict[str, str]]
Figures = Callable[[], list[dict[str, Any]]]


@dataclass
class Context:
    """Of a Lambda invocation."""

    left_ms: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


@pytest.fixture(scope="session", autouse=True)
def logger() -> None:
    """Made before a test captures what is written: it holds on to where it writes."""
    log_outcome("tests_begun")


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
def folder(
    tmp_path: Path, function: pytest.MonkeyPatch, client: Client, sql: psycopg.Connection
) -> Iterator[Path]:
    """The only bucket that is followed, and that the index knows of; no work of it is left to others."""
    made = tmp_path / f"scheduled-{uuid4().hex[:12]}"
    made.mkdir()
    function.setenv("BUCKETS", made.name)
    client.rpc("put_bucket_v1", {"bucket_name": made.name, "provider": "local"}).execute()
    yield made
    sql.execute("update pixseek.images set state = 'deleted' where bucket = %s", (made.name,))


@pytest.fixture
def states(sql: psycopg.Connection) -> States:
    """State by name, of a bucket."""

    def read(bucket: str) -> dict[str, str]:
        query = "select name, state from pixseek.images where bucket = %s"
        return dict(sql.execute(query, (bucket,)).fetchall())

    return read


@pytest.fixture
def figures(capsys: pytest.CaptureFixture[str]) -> Figures:
    """What was exported, in CloudWatch's format."""

    def read() -> list[dict[str, Any]]:
        lines = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        return [{key: value for key, value in json.loads(line).items() if key != "_aws"} for line in lines]

    return read


def _run(left_ms: int = 60_000) -> Any:  # noqa: ANN401 -- a report is JSON
    return aws.handler({}, cast("LambdaContext", Context(left_ms)))


def _posted() -> tuple[Any, int]:
    app = flask.Flask("entry")
    with app.test_request_context("/", method="POST", data=b"{}"):
        answer = cast("tuple[Any, int, object]", gcp.audit_index(flask.request))
    return answer[0], answer[1]


def test_it_repairs_checks_the_recall_and_says_in_json_what_it_did(
    folder: Path, states: States, figures: Figures, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "new.png").write_bytes(picture_bytes((1, 2, 3)))

    report = _run()

    assert json.loads(json.dumps(report)) == report
    assert report["audits"][folder.name] == {
        "state": "done",
        "stage": "end",
        "reason": None,
        "objects": 1,
        "images": 0,
        "left": 0,
        "found_missing": 1,
        "repaired_missing": 1,
    }
    assert report["recall"]["floor"] == 0.93
    assert report["scrubbed"] >= 0
    assert states(folder.name) == {"new.png": "pending"}
    assert {"bucket_audited", "recall_checked", "tombstones_scrubbed"} <= set(caplog.messages)
    told = figures()
    assert {"bucket": folder.name, "faults_left": [0.0]} in told
    assert {"bucket": folder.name, "fault": "missing", "faults": [1.0]} in told


def test_it_is_the_same_over_http(folder: Path, states: States) -> None:
    (folder / "new.png").write_bytes(picture_bytes((1, 2, 3)))

    report, status = _posted()

    assert status == 200
    assert report["audits"][folder.name]["repaired_missing"] == 1
    assert states(folder.name) == {"new.png": "pending"}


def test_an_emptied_bucket_raises_an_alarm_and_keeps_the_index(
    folder: Path, states: States, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    item = {"bucket": folder.name, "name": "it.png", "ordering_key": "K", "version": "1", "size_bytes": 1}
    client.rpc("register_images_v1", {"objects": [item], "provider": "local"}).execute()

    report = _run()

    assert report["audits"][folder.name]["state"] == "braked"
    assert states(folder.name) == {"it.png": "pending"}
    [alarm] = [record for record in caplog.records if record.getMessage() == "audit_braked"]
    assert "1 of 1 pictures are gone" in vars(alarm)["detail"]


def test_a_bucket_that_cannot_be_listed_does_not_hold_back_the_others(
    folder: Path, function: pytest.MonkeyPatch, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    gone = f"gone-{uuid4().hex[:12]}"
    client.rpc("put_bucket_v1", {"bucket_name": gone, "provider": "local"}).execute()
    function.setenv("BUCKETS", f"{gone},{folder.name}")

    report = _run()

    assert report["audits"][gone] == {"state": "failed", "error": "SettingsError"}
    assert report["audits"][folder.name]["state"] == "done"
    assert "audit_failed" in caplog.messages


def test_a_bucket_that_somebody_else_audits_is_passed_over(
    folder: Path, local_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    Audits(local_database, provider="local").begin(folder.name, repairs=True)

    report = _run()

    assert report["audits"][folder.name]["state"] == "skipped"
    assert "audit_skipped" in caplog.messages


def test_old_tombstones_lose_their_names_however_many_they_are(
    folder: Path, states: States, monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection
) -> None:
    monkeypatch.setattr(running, "_SCRUBBED_AT_ONCE", 2)
    query = (
        "insert into pixseek.images (bucket, name, ordering_key, state, updated_at) "
        "select %s, n || '.png', 'K', 'deleted', now() - interval '31 days' from generate_series(1, 5) n"
    )
    sql.execute(query, (folder.name,))

    report = _run()

    assert report["scrubbed"] >= 5
    assert [name for name in states(folder.name) if not name.startswith("forgotten/")] == []


def test_without_time_nothing_is_begun(folder: Path) -> None:
    (folder / "new.png").write_bytes(picture_bytes((1, 2, 3)))

    report = _run(left_ms=900)

    assert report["audits"] == {}
    assert report["recall"]["questions"] == 0


def test_who_waits_longest_comes_first(
    folder: Path, function: pytest.MonkeyPatch, tmp_path: Path, client: Client
) -> None:
    _run()
    other = tmp_path / f"zz-{uuid4().hex[:12]}"
    other.mkdir()
    client.rpc("put_bucket_v1", {"bucket_name": other.name, "provider": "local"}).execute()
    function.setenv("BUCKETS", f"{folder.name},{other.name}")
    settings.load_settings.cache_clear()

    report = _run()

    assert list(report["audits"]) == [other.name, folder.name]


def test_a_recall_below_its_floor_raises_an_alarm(
    folder: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures, caplog: pytest.LogCaptureFixture
) -> None:
    low = Recall(50, 0.6, 0.0, 0.9, is_alarming=True, reason="searches find 60.0% of what is nearest")
    monkeypatch.setattr(recall, "check_recall", lambda *_, **__: low)

    report = _run()

    assert folder.name in report["audits"]
    assert report["recall"]["is_alarming"] is True
    [alarm] = [record for record in caplog.records if record.getMessage() == "recall_below_floor"]
    assert vars(alarm)["detail"] == "searches find 60.0% of what is nearest"
    assert [0.6] in [told.get("recall") for told in figures()]


def test_where_the_database_does_not_answer_the_scheduler_is_told_to_come_again(
    folder: Path, function: pytest.MonkeyPatch
) -> None:
    function.setenv("SUPABASE_URL", "http://127.0.0.1:9")

    report, status = _posted()

    assert folder.exists()
    assert (report, status) == ({"error": "Unavailable"}, 503)


def test_a_bucket_of_supabase_is_audited_as_storage_has_it(
    function: pytest.MonkeyPatch,
    client: Client,
    bucket: str,
    states: States,
    sql: psycopg.Connection,
    wait_for: Callable[[Callable[[], object]], None],
) -> None:
    function.setenv("STORAGE", "supabase")
    function.setenv("BUCKETS", bucket)
    for number in range(12):
        client.storage.from_(bucket).upload(f"{number:02}.png", picture_bytes((number, 2, 3)))
    wait_for(lambda: list(states(bucket).values()) == ["indexed"] * 12)
    in_bucket = "from pixseek.images i where i.bucket = %s and i.name = '00.png'"
    sql.execute(
        f"delete from pixseek.vectors where image_id in (select i.id {in_bucket})".encode(), (bucket,)
    )
    sql.execute(f"delete {in_bucket}".encode(), (bucket,))
    sql.execute("update pixseek.images set version = 'v0' where bucket = %s and name = '01.png'", (bucket,))
    sql.execute(
        "update pixseek.images set name = 'gone.png' where bucket = %s and name = '02.png'", (bucket,)
    )

    report = _run()

    assert report["audits"][bucket] == {
        "state": "done",
        "stage": "end",
        "reason": None,
        "objects": 12,
        "images": 11,
        "left": 0,
        "found_missing": 2,
        "found_stale": 1,
        "found_orphaned": 1,
        "found_orphan_preview": 1,
        "repaired_missing": 2,
        "repaired_stale": 1,
        "repaired_orphaned": 1,
        "repaired_orphan_preview": 1,
    }
    assert {name: state for name, state in states(bucket).items() if state != "indexed"} == {
        "00.png": "pending",
        "02.png": "pending",
        "gone.png": "deleted",
    }
