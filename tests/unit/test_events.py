"""Every payload shape lies in tests/events with the events that it means."""

import json
from pathlib import Path

import pytest

from shared.errors import AccessDenied, InputError
from shared.events import check_secret, decode_supabase_webhook

_EVENTS = Path(__file__).parents[1] / "events"
_ROW = {"bucket_id": "photos", "name": "a.jpg", "version": "1", "updated_at": "2026-01-02T03:04:05+00:00"}


@pytest.mark.parametrize("path", sorted(_EVENTS.glob("supabase_*.json")), ids=lambda path: path.stem)
def test_a_webhook_becomes_the_events_it_means(path: Path) -> None:
    case = json.loads(path.read_text())

    events = decode_supabase_webhook(json.dumps(case["payload"]).encode())

    decoded = [
        {
            "bucket": event.ref.bucket,
            "name": event.ref.name,
            "change": event.change,
            "ordering_key": event.ordering_key,
        }
        for event in events
    ]
    assert decoded == case["expected"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"type": "INSERT"}',
        json.dumps({"type": "TRUNCATE", "table": "objects", "record": _ROW}).encode(),
        json.dumps({"type": "INSERT", "table": "buckets", "record": _ROW}).encode(),
        json.dumps({"type": "INSERT", "table": "objects", "record": None}).encode(),
        json.dumps({"type": "UPDATE", "table": "objects", "record": _ROW}).encode(),
        json.dumps({"type": "DELETE", "table": "objects", "record": _ROW, "old_record": None}).encode(),
        json.dumps({"type": "INSERT", "table": "objects", "record": {**_ROW, "updated_at": "soon"}}).encode(),
        json.dumps({"type": "INSERT", "table": "objects", "record": {**_ROW, "name": None}}).encode(),
    ],
)
def test_what_is_not_a_storage_webhook_is_an_input_error(payload: bytes) -> None:
    with pytest.raises(InputError, match=r"not a webhook of storage\.objects"):
        decode_supabase_webhook(payload)


def test_the_right_secret_passes() -> None:
    check_secret("s" * 32, "s" * 32)


@pytest.mark.parametrize("given", [None, "", "s" * 31, "S" * 32, "s" * 33, "ü" * 32])
def test_a_missing_or_wrong_secret_is_refused(given: str | None) -> None:
    with pytest.raises(AccessDenied):
        check_secret(given, "s" * 32)
