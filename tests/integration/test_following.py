"""The index follows the bucket: real uploads, real events, real functions."""

from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from supabase import Client

from infra.local.home import Keys
from infra.local.stack import Stack
from tests.integration.conftest import picture_bytes

State = Callable[[str, str], dict[str, str | None] | None]
Wait = Callable[[Callable[[], object]], None]
Outcomes = Callable[[str], list[dict[str, object]]]
Ask = Callable[..., httpx.Response]


def _is(state: State, bucket: str, name: str, wanted: str) -> bool:
    row = state(bucket, name)
    return row is not None and row["state"] == wanted


def _found(ask: Ask, text: str) -> list[str]:
    return [result["image"] for result in ask(q=text, limit="1000").json()["results"]]


def test_an_upload_becomes_searchable_and_its_link_leads_to_the_same_bytes(
    packaged: dict[str, Path], ask: Ask
) -> None:
    best = ask(q="a cat").json()["results"][0]

    assert best["image"] == "packaged/chelsea.png"
    assert httpx.get(best["url"]).content == packaged["packaged/chelsea.png"].read_bytes()


def test_a_deleted_picture_is_found_no_more(
    packaged: dict[str, Path], client: Client, bucket: str, state_of: State, wait_for: Wait, ask: Ask
) -> None:
    client.storage.from_(bucket).upload("gone-cat.png", packaged["packaged/chelsea.png"].read_bytes())
    wait_for(lambda: _is(state_of, bucket, "gone-cat.png", "indexed"))
    assert "gone-cat.png" in _found(ask, "a cat")

    client.storage.from_(bucket).remove(["gone-cat.png"])

    wait_for(lambda: _is(state_of, bucket, "gone-cat.png", "deleted"))
    assert "gone-cat.png" not in _found(ask, "a cat")


def test_an_overwritten_picture_loses_its_old_meaning(
    packaged: dict[str, Path], client: Client, bucket: str, state_of: State, wait_for: Wait, ask: Ask
) -> None:
    cat, coffee = (packaged[f"packaged/{name}.png"].read_bytes() for name in ("chelsea", "coffee"))
    client.storage.from_(bucket).upload("either.png", cat)
    wait_for(lambda: _is(state_of, bucket, "either.png", "indexed"))
    cat_hash = state_of(bucket, "either.png")

    client.storage.from_(bucket).upload("either.png", coffee, {"upsert": "true"})

    wait_for(lambda: state_of(bucket, "either.png") != cat_hash)
    wait_for(lambda: _is(state_of, bucket, "either.png", "indexed"))
    assert "either.png" not in _found(ask, "a cat")
    assert "either.png" in _found(ask, "a cup of coffee")


def test_a_copy_is_a_row_of_its_own_without_a_second_embedding(
    client: Client, bucket: str, state_of: State, wait_for: Wait, outcomes: Outcomes
) -> None:
    client.storage.from_(bucket).upload("original.png", picture_bytes((1, 2, 3)))
    wait_for(lambda: _is(state_of, bucket, "original.png", "indexed"))

    client.storage.from_(bucket).copy("original.png", "copies/copy.png")

    wait_for(lambda: _is(state_of, bucket, "copies/copy.png", "indexed"))
    wait_for(lambda: outcomes("copies/copy.png"))
    assert [outcome["embedded"] for outcome in outcomes("original.png")] == [True]
    assert [outcome["embedded"] for outcome in outcomes("copies/copy.png")] == [False]


def test_a_moved_picture_is_found_under_its_new_name_without_a_second_embedding(
    client: Client, bucket: str, state_of: State, wait_for: Wait, outcomes: Outcomes
) -> None:
    client.storage.from_(bucket).upload("here.png", picture_bytes((3, 2, 1)))
    wait_for(lambda: _is(state_of, bucket, "here.png", "indexed"))

    client.storage.from_(bucket).move("here.png", "there +1.png")

    wait_for(lambda: _is(state_of, bucket, "there +1.png", "indexed"))
    wait_for(lambda: _is(state_of, bucket, "here.png", "deleted"))
    wait_for(lambda: outcomes("there +1.png"))
    assert [outcome["embedded"] for outcome in outcomes("there +1.png")] == [False]


def test_a_picture_comes_back_when_it_is_uploaded_again_after_a_delete(
    client: Client, bucket: str, state_of: State, wait_for: Wait
) -> None:
    client.storage.from_(bucket).upload("phoenix.png", picture_bytes((9, 9, 9)))
    wait_for(lambda: _is(state_of, bucket, "phoenix.png", "indexed"))
    client.storage.from_(bucket).remove(["phoenix.png"])
    wait_for(lambda: _is(state_of, bucket, "phoenix.png", "deleted"))

    client.storage.from_(bucket).upload("phoenix.png", picture_bytes((9, 9, 9)))

    wait_for(lambda: _is(state_of, bucket, "phoenix.png", "indexed"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a picture", "not a picture"),
        (b"", "empty"),
        (picture_bytes((5, 5, 5))[:70], "broken picture"),
        (picture_bytes((0, 0, 0), (8000, 8000)), "too many pixels"),
    ],
    ids=["text", "empty", "truncated", "bomb"],
)
def test_what_cannot_be_embedded_stays_on_record_with_the_reason(
    content: bytes, reason: str, client: Client, bucket: str, state_of: State, wait_for: Wait
) -> None:
    client.storage.from_(bucket).upload("bad.png", content)

    wait_for(lambda: _is(state_of, bucket, "bad.png", "failed"))
    row = state_of(bucket, "bad.png")
    assert row is not None
    assert reason in str(row["reason"])


class TestTheWebhook:
    @pytest.fixture
    def url(self, stack: Stack) -> str:
        return stack.index_url

    @pytest.fixture
    def payload(
        self, client: Client, bucket: str, state_of: State, wait_for: Wait, sql: psycopg.Connection
    ) -> dict[str, object]:
        """The webhook of a picture that has been indexed."""
        client.storage.from_(bucket).upload("twice.png", picture_bytes((7, 7, 7)))
        wait_for(lambda: _is(state_of, bucket, "twice.png", "indexed"))
        [record] = sql.execute(
            "select to_jsonb(o) from storage.objects o where bucket_id = %s", (bucket,)
        ).fetchone() or [None]
        return {
            "type": "INSERT",
            "table": "objects",
            "schema": "storage",
            "record": record,
            "old_record": None,
        }

    def test_the_same_event_twice_makes_one_row(
        self, url: str, keys: Keys, payload: dict[str, object], bucket: str, sql: psycopg.Connection
    ) -> None:
        headers = {"x-webhook-secret": keys.webhook_secret}

        answers = [httpx.post(url, json=payload, headers=headers, timeout=30).status_code for _ in range(2)]

        assert answers == [200, 200]
        rows = sql.execute("select state from pixseek.images where bucket = %s", (bucket,)).fetchall()
        assert rows == [("indexed",)]

    @pytest.mark.parametrize("headers", [{}, {"x-webhook-secret": "wrong"}], ids=["missing", "wrong"])
    def test_without_the_right_secret_it_is_refused(self, url: str, headers: dict[str, str]) -> None:
        answer = httpx.post(url, json={"type": "DELETE"}, headers=headers)

        assert answer.status_code == 401

    @pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff"], ids=["empty", "cut", "list", "bytes"])
    def test_a_broken_body_is_refused_for_good(self, url: str, keys: Keys, body: bytes) -> None:
        answer = httpx.post(url, content=body, headers={"x-webhook-secret": keys.webhook_secret})

        assert answer.status_code == 400

    def test_a_moment_beyond_the_calendar_is_refused_for_good(
        self, url: str, keys: Keys, payload: dict[str, object]
    ) -> None:
        record = payload["record"]
        assert isinstance(record, dict)
        event = {**payload, "record": {**record, "updated_at": "0001-01-01T00:00:00+05:00"}}

        answer = httpx.post(url, json=event, headers={"x-webhook-secret": keys.webhook_secret})

        assert answer.status_code == 400

    def test_an_event_that_lies_about_its_object_changes_nothing(
        self, url: str, keys: Keys, payload: dict[str, object], bucket: str, sql: psycopg.Connection
    ) -> None:
        record = payload["record"]
        assert isinstance(record, dict)
        lie = {**record, "owner_id": "mallory", "version": "0", "metadata": {"size": 1}}
        headers = {"x-webhook-secret": keys.webhook_secret}

        answer = httpx.post(url, json={**payload, "record": lie}, headers=headers, timeout=30)

        assert answer.status_code == 200
        [row] = sql.execute(
            "select owner, version from pixseek.images where bucket = %s", (bucket,)
        ).fetchall()
        assert row == (None, record["version"])

    def test_a_delete_that_never_happened_is_not_believed(
        self, url: str, keys: Keys, payload: dict[str, object], bucket: str, state_of: State
    ) -> None:
        event = {**payload, "type": "DELETE", "record": None, "old_record": payload["record"]}

        answer = httpx.post(url, json=event, headers={"x-webhook-secret": keys.webhook_secret}, timeout=30)

        assert answer.status_code == 200
        assert _is(state_of, bucket, "twice.png", "indexed")
