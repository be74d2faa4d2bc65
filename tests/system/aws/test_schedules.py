"""What the scheduler starts: re-embedding, which calls more of itself, and audits."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.system.aws.colours import painted
from tests.system.aws.deployed import Deployed
from tests.system.aws.lambda_api import LambdaApi
from tests.system.aws.stages import BUCKET, Supabase, User

_MODEL: Final = "openai/clip-vit-base-patch16"


@pytest.fixture
def user(supabase: Supabase) -> User:
    return supabase.user()


@pytest.fixture
def indexed(in_s3: Deployed, user: User) -> str:
    """A picture that is searchable, and like no other."""
    name = user.path("here.png")
    in_s3.aws.client("s3").put_object(Bucket=BUCKET, Key=name, Body=painted(f"#{user.user_id[:6]}"))
    in_s3.event_source("index").drain()
    return name


@pytest.fixture
def _much_to_do(supabase: Supabase, called_later: LambdaApi) -> Iterator[None]:
    """More pictures than one instance is meant for, of which nothing is in the bucket."""
    called_later.asked.clear()
    supabase.sql(
        b"insert into pixseek.images (bucket, name, ordering_key, state) "
        b"select %s, 'many/' || n, '', 'pending' from generate_series(1, 600) n",
        BUCKET,
    )
    yield
    supabase.sql(b"delete from pixseek.images where name like 'many/%%' and bucket = %s", BUCKET)


@pytest.fixture
def _picture_of_others(supabase: Supabase) -> Iterator[None]:
    """One that waits to be embedded, in a bucket that the stage does not follow."""
    supabase.project.client.rpc("put_bucket_v1", {"bucket_name": "of-others", "provider": "s3"}).execute()
    supabase.sql(
        b"insert into pixseek.images (bucket, name, ordering_key, state) "
        b"values ('of-others', 'theirs.png', '', 'pending')"
    )
    yield
    supabase.sql(b"delete from pixseek.images where bucket = 'of-others'")


@contextmanager
def events_lost(deployed: Deployed) -> Iterator[None]:
    """Whatever happens in the bucket, nobody is told."""
    s3 = deployed.aws.client("s3")
    try:
        s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
        yield
    finally:
        deployed.fill_gaps()


class TestReembedding:
    def test_fills_in_a_vector_that_is_missing(
        self, in_s3: Deployed, supabase: Supabase, indexed: str
    ) -> None:
        supabase.sql(
            b"delete from pixseek.vectors where image_id in (select id from pixseek.images where name = %s)",
            indexed,
        )
        was_there = supabase.has_vector(indexed)

        call = in_s3.call_scheduled("reembed")

        assert call.error is None
        assert call.payload[_MODEL]["indexed"] == 1
        assert (was_there, supabase.has_vector(indexed)) == (False, True)

    @pytest.mark.usefixtures("_much_to_do")
    def test_calls_more_of_itself_when_there_is_much_to_do(
        self, in_s3: Deployed, called_later: LambdaApi
    ) -> None:
        first = in_s3.call_scheduled("reembed")
        [asked] = called_later.asked
        second = in_s3.invoke("reembed", asked.payload)

        assert (first.error, second.error) == (None, None)
        assert (asked.function_arn, asked.kind) == (in_s3.functions["reembed"].arn, "Event")
        assert len(called_later.asked) == 1

    @pytest.mark.usefixtures("_picture_of_others")
    def test_leaves_pictures_of_buckets_alone_that_are_not_the_stages(self, in_s3: Deployed) -> None:
        call = in_s3.call_scheduled("reembed")

        assert call.error is None
        assert (call.payload[_MODEL]["later"], call.payload[_MODEL].get("error")) == (0, None)


class TestTheAudit:
    def test_finds_a_picture_of_which_nobody_was_told(
        self, in_s3: Deployed, supabase: Supabase, user: User
    ) -> None:
        name = f"~{user.user_id}/unheard of.png"  # the last of a list
        with events_lost(in_s3):
            in_s3.aws.client("s3").put_object(Bucket=BUCKET, Key=name, Body=painted("red"))

        audit = in_s3.call_scheduled("audit")
        in_s3.call_scheduled("reembed")

        assert audit.error is None
        assert audit.payload["audits"][BUCKET]["state"] == "done"
        assert supabase.state(name) == ("indexed", None)

    def test_forgets_a_picture_that_is_gone(self, in_s3: Deployed, supabase: Supabase, indexed: str) -> None:
        with events_lost(in_s3):
            in_s3.aws.client("s3").delete_object(Bucket=BUCKET, Key=indexed)

        audit = in_s3.call_scheduled("audit")

        assert audit.error is None
        assert supabase.state(indexed) == ("deleted", None)

    @pytest.mark.usefixtures("_much_to_do")
    def test_that_removes_too_much_stops_and_rings_the_alarm(self, in_s3: Deployed) -> None:
        group = f"/aws/lambda/{in_s3.functions['audit'].name}"
        filters = [
            one.properties["FilterPattern"]
            for one in in_s3.of_kind("AWS::Logs::MetricFilter")
            if one.properties["LogGroupName"] == group
        ]

        audit = in_s3.call_scheduled("audit")

        lines = [json.loads(line) for line in in_s3.running("audit").log.splitlines() if line.startswith("{")]
        assert audit.payload["audits"][BUCKET]["state"] == "braked"
        assert '{ $.message = "audit_braked" }' in filters
        assert "audit_braked" in [line.get("message") for line in lines]
