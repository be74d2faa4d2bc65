"""A picture's way through AWS: bucket, queue, index function, database, and the search function's answers."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.bucket_servers import closed_port
from tests.picture_files import png_header
from tests.system.aws.colours import painted
from tests.system.aws.deployed import Deployed
from tests.system.aws.http_api import Answer, Request
from tests.system.aws.stages import BUCKET, Supabase, User

_PDF: Final = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"
_BOMB: Final = png_header(60_000, 60_000)
_INDEXED: Final = ("indexed", None)


@pytest.fixture
def user(supabase: Supabase) -> User:
    return supabase.user()


@pytest.fixture(autouse=True)
def _empty_queues(in_s3: Deployed) -> Iterator[None]:
    """No test leaves another something to do."""
    yield
    in_s3.event_source("index").drain()
    assert in_s3.waiting(in_s3.dead_letters_url) == 0


def put(deployed: Deployed, name: str, content: bytes) -> None:
    deployed.aws.client("s3").put_object(Bucket=BUCKET, Key=name, Body=content)


def delete(deployed: Deployed, name: str) -> None:
    deployed.aws.client("s3").delete_object(Bucket=BUCKET, Key=name)


def search(deployed: Deployed, words: str, user: User) -> Answer:
    return deployed.request(Request("GET", "/search", {"q": words}, user.headers))


def results(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.content
    found: list[dict[str, Any]] = json.loads(answer.content)["results"]
    return found


def found(deployed: Deployed, words: str, user: User) -> list[str]:
    """The names of the pictures, without their folder."""
    return [result["image"].rpartition("/")[2] for result in results(search(deployed, words, user))]


class TestAPicture:
    def test_that_is_put_is_found_by_what_it_shows(self, in_s3: Deployed, user: User) -> None:
        put(in_s3, user.path("a rose.png"), painted("red"))
        put(in_s3, user.path("the sea.png"), painted("blue"))

        in_s3.event_source("index").drain()

        assert found(in_s3, "something red", user) == ["a rose.png"]

    def test_is_hidden_from_others_and_from_who_is_not_signed_in(
        self, in_s3: Deployed, user: User, supabase: Supabase
    ) -> None:
        put(in_s3, user.path("a secret.png"), painted("lime"))
        in_s3.event_source("index").drain()

        anonymous = in_s3.request(Request("GET", "/search", {"q": "lime"}))

        assert found(in_s3, "lime", supabase.user()) == []
        assert anonymous.status == 401

    def test_can_be_looked_at_by_the_link_that_comes_with_it(self, in_s3: Deployed, user: User) -> None:
        put(in_s3, user.path("linked.png"), painted("orange"))
        in_s3.event_source("index").drain()
        [result] = results(search(in_s3, "orange", user))

        looked_at = httpx.get(result["url"])

        assert looked_at.content == painted("orange")

    def test_is_found_by_a_picture_that_looks_like_it(self, in_s3: Deployed, user: User) -> None:
        put(in_s3, user.path("a lemon.png"), painted("yellow"))
        in_s3.event_source("index").drain()
        form = httpx.Request("POST", "https://api.example", files={"picture": painted("yellow", (30, 90))})
        headers = {**user.headers, **form.headers}

        answer = in_s3.request(Request("POST", "/search", {}, headers, form.read()))

        assert [result["image"] for result in results(answer)] == [user.path("a lemon.png")]

    @pytest.mark.parametrize("name", ["a+b c.png", "süß/ñandú.png", "100%25.png", "日本/ねこ.png"])
    def test_may_have_any_name(self, name: str, in_s3: Deployed, user: User) -> None:
        put(in_s3, user.path(name), painted("purple"))

        in_s3.event_source("index").drain()

        assert [result["image"] for result in results(search(in_s3, "purple", user))] == [user.path(name)]

    def test_that_is_overwritten_is_found_by_what_it_shows_now(self, in_s3: Deployed, user: User) -> None:
        put(in_s3, user.path("changed.png"), painted("red"))
        in_s3.event_source("index").drain()

        put(in_s3, user.path("changed.png"), painted("blue"))
        in_s3.event_source("index").drain()

        assert found(in_s3, "red", user) == []
        assert found(in_s3, "blue", user) == ["changed.png"]

    def test_that_is_deleted_is_found_no_more(self, in_s3: Deployed, user: User) -> None:
        put(in_s3, user.path("short lived.png"), painted("red"))
        in_s3.event_source("index").drain()

        delete(in_s3, user.path("short lived.png"))
        in_s3.event_source("index").drain()

        assert found(in_s3, "red", user) == []

    def test_can_be_uploaded_and_deleted_by_its_owner(self, in_s3: Deployed, user: User) -> None:
        wanted = json.dumps({"bucket": BUCKET, "content_type": "image/png"}).encode()
        headers = {**user.headers, "Content-Type": "application/json"}
        upload = json.loads(in_s3.request(Request("POST", "/uploads", {}, headers, wanted)).content)
        httpx.request(upload["method"], upload["url"], headers=upload["headers"], content=painted("navy"))
        in_s3.event_source("index").drain()
        [result] = results(search(in_s3, "navy", user))

        deleted = in_s3.request(Request("DELETE", f"/images/{result['id']}", {}, user.headers))
        in_s3.event_source("index").drain()

        assert deleted.status == 204, in_s3.logs()["search"]
        assert found(in_s3, "navy", user) == []


class TestWhatIsNoPicture:
    @pytest.mark.parametrize(
        ("name", "content"),
        [("a paper.jpg", _PDF), ("a bomb.png", _BOMB), ("nothing.png", b"")],
        ids=["a PDF", "a decompression bomb", "no bytes"],
    )
    def test_is_recorded_with_the_reason_and_does_not_come_again(
        self, name: str, content: bytes, in_s3: Deployed, user: User, supabase: Supabase
    ) -> None:
        put(in_s3, user.path(name), content)
        source = in_s3.event_source("index")

        source.drain()

        state, reason = supabase.state(user.path(name)) or (None, None)
        assert (state, bool(reason)) == ("failed", True)
        assert [call.payload for call in source.calls] == [{"batchItemFailures": []}]
        assert in_s3.waiting(in_s3.dead_letters_url) == 0

    def test_keeps_no_other_of_its_batch_back(self, in_s3: Deployed, user: User, supabase: Supabase) -> None:
        put(in_s3, user.path("bad.jpg"), _PDF)
        put(in_s3, user.path("good.png"), painted("teal"))
        source = in_s3.event_source("index")

        source.drain()

        assert len(source.calls) == 1
        assert supabase.state(user.path("good.png")) == _INDEXED

    @pytest.mark.parametrize("body", ["no JSON", "{}", '{"Event": "s3:TestEvent"}'])
    def test_nor_a_notification_does_not_come_again(self, body: str, in_s3: Deployed) -> None:
        source = in_s3.event_source("index")
        source.sqs.send_message(QueueUrl=source.queue_url, MessageBody=body)

        source.drain()

        assert [call.payload for call in source.calls] == [{"batchItemFailures": []}]


class TestAnOutage:
    def test_of_the_bucket_leaves_events_to_be_redriven(
        self, in_s3: Deployed, user: User, supabase: Supabase
    ) -> None:
        put(in_s3, user.path("patient.png"), painted("red"))
        with closed_port() as nobody:
            cut_off = in_s3.started("index", AWS_ENDPOINT_URL=nobody, AWS_ENDPOINT_URL_SSM=in_s3.aws.url)
            with cut_off as function:
                source = in_s3.event_source("index", function)
                source.drain()
        tries, dead = len(source.calls), in_s3.waiting(in_s3.dead_letters_url)

        in_s3.redrive()
        in_s3.event_source("index").drain()

        assert (tries, dead) == (in_s3.most_receives, 1)
        assert supabase.state(user.path("patient.png")) == _INDEXED

    def test_of_one_object_brings_its_message_back_alone(
        self, in_s3: Deployed, user: User, supabase: Supabase
    ) -> None:
        in_s3.aws.kept_from_functions.add("withheld.png")
        put(in_s3, user.path("withheld.png"), painted("red"))
        put(in_s3, user.path("given.png"), painted("red"))
        source = in_s3.event_source("index")

        source.poll()
        [failures] = [call.payload["batchItemFailures"] for call in source.calls]
        given = supabase.state(user.path("given.png"))
        in_s3.aws.kept_from_functions.clear()
        again = source.poll()

        assert (len(failures), given) == (1, _INDEXED)
        assert again == 1
        assert supabase.state(user.path("withheld.png")) == _INDEXED
