"""Deploying a stage, again, after half a deployment, and removing it."""

from collections.abc import Iterator
from typing import Final

import pytest
from botocore.exceptions import ClientError
from moto.cloudformation.models import cloudformation_backends
from moto.sqs.models import Queue

from tests.roboflow_api import RoboflowApi
from tests.system.aws.account import ACCOUNT, REGION
from tests.system.aws.checkout import Checkout
from tests.system.aws.deployed import Deployed
from tests.system.aws.described import Described
from tests.system.aws.stages import IN_S3, Supabase, variables

_STAGE: Final = "short-lived"
_STACK: Final = f"pixseek-{_STAGE}"
_BUCKET: Final = "pixseek-short-lived"
_BUCKETS: Final = (_BUCKET, f"{_BUCKET}-previews")
_HERE: Final = {"LocationConstraint": REGION}
_WHOLE: Final = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@pytest.fixture
def stage(checkout: Checkout, in_s3: Deployed, supabase: Supabase, roboflow: RoboflowApi) -> Iterator[str]:
    """One that is not deployed yet, of the bundles of another."""
    assert in_s3.stack
    checkout.write_stage(_STAGE, {**in_bucket(supabase, roboflow), "WEBHOOK_SECRET_BEFORE": "o" * 32})
    yield _STAGE
    checkout.run("remove", "--stage", _STAGE)
    for name in _BUCKETS:
        _forget(checkout, name)


def in_bucket(supabase: Supabase, roboflow: RoboflowApi) -> dict[str, str]:
    return variables(supabase, roboflow, STORAGE="s3", S3_BUCKET=_BUCKET)


def _forget(checkout: Checkout, bucket: str) -> None:
    """moto deletes buckets with their stacks, or keeps them, by its own rules."""
    try:
        checkout.aws.client("s3").delete_bucket(Bucket=bucket)
    except ClientError:
        return


def status(checkout: Checkout, stack: str = _STACK) -> str | None:
    try:
        found = checkout.aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError:
        return None
    return str(found[0]["StackStatus"])


def secrets(checkout: Checkout, stage: str) -> dict[str, str]:
    found = checkout.aws.client("ssm").get_parameters_by_path(Path=f"/pixseek/{stage}", WithDecryption=True)
    return {one["Name"].rpartition("/")[2]: one["Value"] for one in found["Parameters"]}


class TestDeploying:
    def test_again_changes_nothing(self, checkout: Checkout, in_s3: Deployed) -> None:
        before = in_s3.functions

        ran = checkout.run("deploy", "--stage", IN_S3, bundles=False)

        assert ran.code == 0, ran.output
        assert "none has changed" in ran.output
        again = Described(checkout.aws, in_s3.stack).functions
        assert [(one.name, one.environment) for one in again.values()] == [
            (one.name, one.environment) for one in before.values()
        ]

    def test_is_possible_after_half_a_deployment_and_takes_the_secrets_of_now(
        self,
        checkout: Checkout,
        stage: str,
        supabase: Supabase,
        roboflow: RoboflowApi,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(Queue, "create_from_cloudformation_json", _fails)
            half = checkout.run("deploy", "--stage", stage, bundles=False)
        _as_cloudformation_leaves_it("ROLLBACK_COMPLETE")
        checkout.write_stage(stage, {**in_bucket(supabase, roboflow), "WEBHOOK_SECRET": "n" * 32})

        again = checkout.run("deploy", "--stage", stage, bundles=False)

        assert (half.code, "run this again" in half.output) == (1, True)
        assert again.code == 0, again.output
        assert status(checkout) in _WHOLE
        kept = secrets(checkout, stage)
        assert (kept["WEBHOOK_SECRET"], "WEBHOOK_SECRET_BEFORE" in kept) == ("n" * 32, False)

    def test_lets_a_bucket_that_was_there_send_its_events_until_the_stage_is_removed(
        self, checkout: Checkout, stage: str, supabase: Supabase, roboflow: RoboflowApi
    ) -> None:
        s3 = checkout.aws.client("s3")
        _ = [s3.create_bucket(Bucket=name, CreateBucketConfiguration=_HERE) for name in _BUCKETS]
        checkout.write_stage(stage, {**in_bucket(supabase, roboflow), "S3_BUCKET_EXISTS": "true"})

        deployed = checkout.run("deploy", "--stage", stage, bundles=False)
        sends = s3.get_bucket_notification_configuration(Bucket=_BUCKET)
        removed = checkout.run("remove", "--stage", stage)
        sends_no_more = s3.get_bucket_notification_configuration(Bucket=_BUCKET)

        assert deployed.code == 0, deployed.output
        assert [one["QueueArn"].rpartition(":")[2] for one in sends["QueueConfigurations"]] == [
            f"{_STACK}-index"
        ]
        assert removed.code == 0, removed.output
        assert "QueueConfigurations" not in sends_no_more

    def test_stops_before_it_changes_anything_when_a_key_is_wrong(
        self, checkout: Checkout, supabase: Supabase, roboflow: RoboflowApi
    ) -> None:
        wrong = {**in_bucket(supabase, roboflow), "SUPABASE_SERVICE_ROLE_KEY": "no.key.it"}
        checkout.write_stage("wrong", wrong)

        ran = checkout.run("deploy", "--stage", "wrong", bundles=False)

        assert ran.code == 1
        assert "SUPABASE_SERVICE_ROLE_KEY" in ran.output
        assert (status(checkout, "pixseek-wrong"), secrets(checkout, "wrong")) == (None, {})


class TestRemoving:
    def test_leaves_the_pictures_the_other_stages_and_no_secret(
        self, checkout: Checkout, in_s3: Deployed, stage: str
    ) -> None:
        checkout.run("deploy", "--stage", stage, bundles=False)

        ran = checkout.run("remove", "--stage", stage)

        assert ran.code == 0, ran.output
        assert status(checkout) in {None, "DELETE_COMPLETE"}
        assert secrets(checkout, stage) == {}
        assert f"kept: the buckets {_BUCKET}" in ran.output
        assert status(checkout, in_s3.stack) in _WHOLE
        assert secrets(checkout, IN_S3) != {}

    def test_again_finds_nothing_to_do(self, checkout: Checkout, stage: str) -> None:
        ran = checkout.run("remove", "--stage", stage)

        assert ran.code == 0, ran.output
        assert "there is no stack" in ran.output


def _fails(*_: object, **__: object) -> None:
    raise RuntimeError("no queue today")


def _as_cloudformation_leaves_it(status: str) -> None:
    """moto leaves no stack that failed, or one whose creation goes on for ever."""
    for stack in cloudformation_backends[ACCOUNT][REGION].stacks.values():
        stack.status = status if stack.name == _STACK else stack.status
