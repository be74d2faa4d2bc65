"""Changes of objects arrive at the function, whatever falls over in between."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from supabase import Client

from infra.local.postgres import Postgres
from tests.integration.gateway.conftest import (
    JWT_SECRET,
    SERVICE_KEY,
    WEBHOOK_SECRET,
    Gateway,
    Receiver,
    wait_for,
)

Outbox = Callable[[], list[tuple[int, int | None, bool]]]


@pytest.fixture
def outbox(sql: psycopg.Connection, bucket: str) -> Outbox:
    """What is still to be delivered about the bucket, or given up: attempts, last answer, given up."""

    def waiting() -> list[tuple[int, int | None, bool]]:
        query = """
          select attempts, status, given_up from gateway.webhook_outbox
          where coalesce(payload -> 'record' ->> 'bucket_id', payload -> 'old_record' ->> 'bucket_id') = %s
          order by id
        """
        return sql.execute(query, (bucket,)).fetchall()

    return waiting


@pytest.fixture
def deaf(receiver: Receiver) -> Receiver:
    """The receiver, down until the test starts it."""
    receiver.stop()
    return receiver


def test_an_upload_is_posted_with_the_secret(service: Client, bucket: str, receiver: Receiver) -> None:
    service.storage.from_(bucket).upload("a b+c.png", b"x", {"content-type": "image/png"})
    wait_for(lambda: receiver.events(bucket))

    event = receiver.events(bucket)[0]
    headers = next(headers for headers, body in receiver.received if body == event)
    assert {key: event[key] for key in ("type", "table", "schema", "old_record")} == {
        "type": "INSERT",
        "table": "objects",
        "schema": "storage",
        "old_record": None,
    }
    assert (event["record"]["name"], event["record"]["metadata"]["size"]) == ("a b+c.png", 1)
    assert headers["x-webhook-secret"] == WEBHOOK_SECRET
    assert headers["Content-Type"] == "application/json"


def test_the_events_of_one_object_come_in_order(service: Client, bucket: str, receiver: Receiver) -> None:
    files = service.storage.from_(bucket)
    receiver.answers[bucket] = [503]

    files.upload("a", b"1")
    files.upload("a", b"2", {"upsert": "true"})
    files.move("a", "b")
    files.remove(["b"])

    wait_for(lambda: len(receiver.events(bucket)) == 5)
    events = receiver.events(bucket)
    assert [event["type"] for event in events] == ["INSERT", "INSERT", "UPDATE", "UPDATE", "DELETE"]
    assert [(event["record"] or event["old_record"])["name"] for event in events] == ["a", "a", "a", "b", "b"]
    assert events[3]["old_record"]["name"] == "a"
    assert events[4]["record"] is None


def test_what_was_delivered_is_off_the_outbox(
    service: Client, bucket: str, receiver: Receiver, outbox: Outbox
) -> None:
    service.storage.from_(bucket).upload("a", b"x")

    wait_for(lambda: receiver.events(bucket))
    wait_for(lambda: not outbox())


@pytest.mark.parametrize("status", [500, 503, 429, 408, 302])
def test_a_passing_failure_is_tried_again(
    service: Client, bucket: str, receiver: Receiver, outbox: Outbox, status: int
) -> None:
    receiver.answers[bucket] = [status]

    service.storage.from_(bucket).upload("a", b"x")

    wait_for(lambda: len(receiver.events(bucket)) == 2)
    wait_for(lambda: not outbox())


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_is_refused_for_good_is_kept_and_not_sent_again(
    service: Client, bucket: str, receiver: Receiver, outbox: Outbox, status: int
) -> None:
    receiver.answers[bucket] = [status]

    service.storage.from_(bucket).upload("a", b"x")
    wait_for(lambda: outbox() == [(1, status, True)])
    service.storage.from_(bucket).upload("b", b"x")
    wait_for(lambda: len(receiver.events(bucket)) == 2)

    assert [event["record"]["name"] for event in receiver.events(bucket)] == ["a", "b"]


def test_a_refused_event_does_not_hold_up_later_ones_of_its_object(
    service: Client, bucket: str, receiver: Receiver
) -> None:
    receiver.answers[bucket] = [400]
    service.storage.from_(bucket).upload("a", b"x")

    service.storage.from_(bucket).update("a", b"y")

    wait_for(lambda: [event["type"] for event in receiver.events(bucket)] == ["INSERT", "UPDATE"])


def test_a_receiver_that_was_down_gets_all_in_the_end(
    service: Client, bucket: str, deaf: Receiver, outbox: Outbox
) -> None:
    [service.storage.from_(bucket).upload(f"{number}", b"x") for number in range(10)]
    wait_for(lambda: outbox()[0][0] > 0)

    deaf.start()

    wait_for(lambda: not outbox())
    assert {event["record"]["name"] for event in deaf.events(bucket)} == {str(n) for n in range(10)}


def test_nothing_is_lost_when_the_gateway_is_killed_before_delivery(
    gateway: Gateway, service: Client, bucket: str, deaf: Receiver, outbox: Outbox
) -> None:
    service.storage.from_(bucket).upload("a", b"x")

    gateway.kill()
    deaf.start()
    gateway.start()

    wait_for(lambda: not outbox())
    assert [event["record"]["name"] for event in deaf.events(bucket)] == ["a"]
    assert service.storage.from_(bucket).download("a") == b"x"


def test_a_failed_upload_posts_nothing(
    service: Client, bucket: str, outbox: Outbox, receiver: Receiver
) -> None:
    service.storage.from_(bucket).upload("a", b"x")
    wait_for(lambda: not outbox())

    with pytest.raises(Exception, match="already exists"):
        service.storage.from_(bucket).upload("a", b"y")

    assert outbox() == []
    assert len(receiver.events(bucket)) == 1


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_no_role_of_the_api_reaches_the_outbox(sql: psycopg.Connection, role: str) -> None:
    sql.execute(f"set role {role}".encode())

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        sql.execute("select * from gateway.webhook_outbox")


def test_the_start_sweeps_the_files_of_unfinished_uploads(
    gateway: Gateway, service: Client, bucket: str
) -> None:
    service.storage.from_(bucket).upload("a", b"x")
    left_over, foreign = gateway.files / str(uuid4()), gateway.files / "readme.txt"
    left_over.write_bytes(b"half")
    foreign.write_bytes(b"not ours")

    gateway.kill()
    gateway.start()

    assert not left_over.exists()
    assert foreign.exists()
    assert service.storage.from_(bucket).download("a") == b"x"


def test_sigterm_ends_the_gateway_in_order(gateway: Gateway) -> None:
    code = gateway.stop()
    gateway.start()

    assert code == 0


def test_a_taken_port_is_one_clear_line(gateway: Gateway) -> None:
    process = gateway.run()
    _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert said.strip() == (
        f"gateway: port {gateway.port} of 127.0.0.1 is taken; choose another with GATEWAY_PORT"
    )


@pytest.mark.parametrize("name", ["GATEWAY_JWT_SECRET", "GATEWAY_PORT", "GATEWAY_WEBHOOK_URL"])
def test_a_wrong_setting_is_named_and_not_shown(gateway: Gateway, name: str) -> None:
    process = gateway.run(**{name: "wrong-value"})
    _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert name in said
    assert "wrong-value" not in said


def test_secrets_stay_out_of_the_log(postgres: Postgres, tmp_path: Path, receiver: Receiver) -> None:
    gateway = Gateway(postgres, tmp_path, receiver.port)
    process = gateway.run()
    wait_for(lambda: _answers(gateway, process))
    gateway.post("failing", '{"state": "XX000"}', authorization="Bearer nonsense")
    gateway.post("failing", '{"state": "XX000"}')
    process.terminate()
    _, said = process.communicate(timeout=30)

    assert not [secret for secret in (JWT_SECRET, WEBHOOK_SECRET, SERVICE_KEY) if secret in said]


def _answers(gateway: Gateway, process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None
    try:
        return httpx.get(f"{gateway.url}/health").is_success
    except httpx.TransportError:
        return False
