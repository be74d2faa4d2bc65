"""A picture's way from Supabase Storage: the database webhook, the route of the HTTP API, and the search."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.search_world import wait_until
from tests.system.aws.colours import painted
from tests.system.aws.deployed import Deployed
from tests.system.aws.http_api import Answer, Request
from tests.system.aws.stages import Supabase

_INDEXED = ("indexed", None)


@pytest.fixture
def bucket(supabase: Supabase) -> str:
    """A public one."""
    name = f"open-{uuid4().hex[:8]}"
    supabase.project.client.storage.create_bucket(name)
    supabase.project.client.rpc("put_bucket_v1", {"bucket_name": name, "is_public": True}).execute()
    return name


def webhook(deployed: Deployed, headers: dict[str, str], payload: Any = None) -> Answer:  # noqa: ANN401 -- JSON
    content = json.dumps({} if payload is None else payload).encode()
    headers = {"Content-Type": "application/json", **headers}
    return deployed.request(Request("POST", "/webhooks/supabase", {}, headers, content))


def search(deployed: Deployed, words: str, bucket: str) -> list[str]:
    answer = deployed.request(Request("GET", "/search", {"q": words, "bucket": bucket}))
    return [result["image"] for result in json.loads(answer.content)["results"]]


class TestAPicture:
    def test_that_is_uploaded_is_found_by_anyone(
        self, in_supabase: Deployed, supabase: Supabase, bucket: str
    ) -> None:
        supabase.project.client.storage.from_(bucket).upload("a rose.png", painted("red"))
        wait_until(lambda: supabase.state("a rose.png", bucket) == _INDEXED)

        found = search(in_supabase, "something red", bucket)

        assert found == ["a rose.png"]

    def test_that_is_removed_is_found_no_more(
        self, in_supabase: Deployed, supabase: Supabase, bucket: str
    ) -> None:
        supabase.project.client.storage.from_(bucket).upload("gone.png", painted("red"))
        wait_until(lambda: supabase.state("gone.png", bucket) == _INDEXED)

        supabase.project.client.storage.from_(bucket).remove(["gone.png"])
        wait_until(lambda: supabase.state("gone.png", bucket) == ("deleted", None))

        assert search(in_supabase, "something red", bucket) == []

    def test_that_is_none_is_recorded_with_the_reason(
        self, in_supabase: Deployed, supabase: Supabase, bucket: str
    ) -> None:
        assert "webhook" in in_supabase.functions

        supabase.project.client.storage.from_(bucket).upload("a paper.png", b"%PDF-1.7\n")
        wait_until(lambda: (supabase.state("a paper.png", bucket) or ("", ""))[0] == "failed")

        _, reason = supabase.state("a paper.png", bucket) or (None, None)
        assert reason


class TestTheWebhook:
    @pytest.mark.parametrize("headers", [{}, {"X-Webhook-Secret": ""}, {"X-Webhook-Secret": "wrong" * 8}])
    def test_refuses_whoever_does_not_know_the_secret(
        self, headers: dict[str, str], in_supabase: Deployed
    ) -> None:
        answer = webhook(in_supabase, headers)

        assert (answer.status, json.loads(answer.content)) == (401, {"error": "AccessDenied"})

    def test_tells_whoever_knows_it_what_is_wrong_once(
        self, in_supabase: Deployed, supabase: Supabase
    ) -> None:
        answer = webhook(in_supabase, {"X-Webhook-Secret": supabase.keys.webhook_secret}, {"no": "webhook"})

        assert (answer.status, json.loads(answer.content)) == (400, {"error": "InputError"})

    def test_has_no_other_method(self, in_supabase: Deployed) -> None:
        answer = in_supabase.request(Request("GET", "/webhooks/supabase"))

        assert answer.status == 404
