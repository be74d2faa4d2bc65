"""What a deployment does around osls (moto): which secrets functions read, which bucket sends its events.

osls itself runs in tests/system.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pytest
from moto import mock_aws
from moto.cloudformation.models import cloudformation_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from infra import npm
from infra.aws import deploying, osls, preflight
from infra.aws.errors import AwsError
from infra.aws.plan import Plan, read_plan

pytestmark = pytest.mark.long

_REGION = "eu-central-1"
_QUEUE = f"arn:aws:sqs:{_REGION}:{DEFAULT_ACCOUNT_ID}:pixseek-prod-index"
_STAGE = {
    "AWS_REGION": _REGION,
    "SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "EMBEDDER": "roboflow",
    "ROBOFLOW_API_KEY": "key",
    "STORAGE": "s3",
    "S3_BUCKET": "photos",
}


def _plan(**more: str) -> Plan:
    return read_plan("prod", _STAGE | more)


@dataclass
class _Osls:
    """Notes what it is told; a removed stack is gone, and its buckets stay."""

    told: list[Mapping[str, str]] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, plan: Plan, told: Mapping[str, str], *command: str) -> None:
        self.told.append(told)
        self.commands.append(command)
        if command[0] == "remove":
            cloudformation_backends[DEFAULT_ACCOUNT_ID][_REGION].stacks.clear()
        assert plan.stage == "prod"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Osls]:
    """In an account of moto's, and without what is looked at and built before."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    program = _Osls()
    monkeypatch.setattr(osls, "run", program.run)
    for step in ("check_tools", "check_project", "check_concurrency", "_bundle"):
        monkeypatch.setattr(deploying, step, lambda *_: None)
    with mock_aws():
        boto3.client("sqs", region_name=_REGION).create_queue(QueueName="pixseek-prod-index")
        yield program


def _s3() -> Any:  # noqa: ANN401 -- boto3 makes clients at run time
    return boto3.client("s3", region_name=_REGION)


@pytest.fixture
def deployed(program: _Osls) -> _Osls:
    """A stage with a bucket that its stack made, and that sends its events."""
    for name in ("photos", "photos-previews", "scans", "scans-previews"):
        _s3().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": _REGION})
    sent = {"QueueConfigurations": [{"QueueArn": _QUEUE, "Events": ["s3:ObjectCreated:*"]}]}
    _s3().put_bucket_notification_configuration(Bucket="photos", NotificationConfiguration=sent)
    template = {
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"BucketName": {"Value": "photos"}},
    }
    boto3.client("cloudformation", region_name=_REGION).create_stack(
        StackName="pixseek-prod", TemplateBody=json.dumps(template)
    )
    return program


def _sends(bucket: str) -> list[str]:
    sent = _s3().get_bucket_notification_configuration(Bucket=bucket)
    return [one["QueueArn"] for one in sent.get("QueueConfigurations", [])]


_THERE = {"S3_BUCKET_EXISTS": "true"}


def test_a_machine_without_npm_is_told_so_before_anything_is_changed(
    program: _Osls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v22.0.0\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(npm, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(deploying, "check_tools", preflight.check_tools)

    with pytest.raises(AwsError, match="npm is missing: install"):
        deploying.deploy(_plan(), _quiet)

    assert program.commands == []
    kept = boto3.client("ssm", region_name=_REGION).get_parameters_by_path(Path="/", Recursive=True)
    assert kept["Parameters"] == []


def test_functions_are_to_read_the_versions_that_this_deployment_put(program: _Osls) -> None:
    deploying.deploy(_plan(), _quiet)
    deploying.deploy(_plan(ROBOFLOW_API_KEY="another"), _quiet)

    versions = [
        {name: value for name, value in told.items() if name.endswith("_VERSION")} for told in program.told
    ]
    assert versions == [
        {"SUPABASE_SERVICE_ROLE_KEY_VERSION": "1", "ROBOFLOW_API_KEY_VERSION": "1"},
        {"SUPABASE_SERVICE_ROLE_KEY_VERSION": "1", "ROBOFLOW_API_KEY_VERSION": "2"},
    ]


@pytest.mark.parametrize(
    ("status", "command"),
    [("UPDATE_ROLLBACK_COMPLETE", ("deploy", "--force")), ("UPDATE_COMPLETE", ("deploy",))],
)
def test_what_was_taken_back_is_deployed_again_though_osls_has_sent_it(
    status: str, command: tuple[str, ...], deployed: _Osls
) -> None:
    [stack] = cloudformation_backends[DEFAULT_ACCOUNT_ID][_REGION].stacks.values()
    stack.status = status

    deploying.deploy(_plan(**_THERE), _quiet)

    assert deployed.commands == [command]


@pytest.mark.usefixtures("deployed")
def test_the_bucket_of_before_sends_no_more_when_another_takes_its_place() -> None:
    said: list[str] = []

    deploying.deploy(_plan(S3_BUCKET="scans", **_THERE), said.append)

    assert (_sends("photos"), _sends("scans")) == ([], [_QUEUE])
    assert "photos sends no more events to pixseek" in said


@pytest.mark.usefixtures("deployed")
def test_the_bucket_of_before_sends_no_more_when_pictures_lie_in_supabase() -> None:
    deploying.deploy(_plan(STORAGE="supabase", WEBHOOK_SECRET="s" * 32), _quiet)

    assert _sends("photos") == []


def _fails(*_: object) -> NoReturn:
    raise AwsError("AWS refuses it")


@pytest.mark.usefixtures("deployed")
def test_the_bucket_of_before_sends_no_more_though_what_comes_next_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deploying, "prune_parameters", _fails)

    with pytest.raises(AwsError):
        deploying.deploy(_plan(S3_BUCKET="scans", **_THERE), _quiet)

    assert _sends("photos") == []


@pytest.mark.usefixtures("deployed")
def test_a_bucket_that_cannot_be_told_to_send_no_more_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "detach", _fails)

    with pytest.raises(AwsError, match=r"photos may still send .* take that notification away .* refuses it"):
        deploying.deploy(_plan(S3_BUCKET="scans", **_THERE), _quiet)


@pytest.mark.usefixtures("deployed")
def test_a_removed_stages_bucket_sends_no_more_though_what_comes_next_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deploying, "prune_parameters", _fails)

    with pytest.raises(AwsError):
        deploying.remove(_plan(S3_BUCKET="scans"), _quiet)

    assert _sends("photos") == []


@pytest.mark.usefixtures("deployed")
def test_the_same_bucket_goes_on_sending() -> None:
    deploying.deploy(_plan(**_THERE), _quiet)

    assert _sends("photos") == [_QUEUE]


@pytest.mark.parametrize("more", [{}, _THERE, {"S3_BUCKET": "scans"}])
def test_a_bucket_that_stays_sends_no_more_once_its_stage_is_removed(
    more: dict[str, str], deployed: _Osls
) -> None:
    deploying.remove(_plan(**more), _quiet)

    assert deployed.commands == [("remove",)]
    assert _sends("photos") == []


@pytest.mark.usefixtures("deployed")
def test_a_removal_that_broke_off_before_that_does_it_the_next_time() -> None:
    cloudformation_backends[DEFAULT_ACCOUNT_ID][_REGION].stacks.clear()

    deploying.remove(_plan(), _quiet)

    assert _sends("photos") == []


def test_a_stage_whose_bucket_is_gone_can_be_removed(program: _Osls) -> None:
    said: list[str] = []

    deploying.remove(_plan(**_THERE), said.append)

    assert program.commands == []
    assert "photos sends no more events to pixseek" not in said


def _quiet(_: str) -> None:
    pass
