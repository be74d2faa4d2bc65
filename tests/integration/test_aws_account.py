"""What a deployment does in an AWS account beside osls: secrets, buckets, notifications, stacks (moto)."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import boto3
import pytest
from botocore.exceptions import CredentialRetrievalError
from moto import mock_aws
from moto.cloudformation.models import cloudformation_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from infra.aws.account import Account
from infra.aws.buckets import check_buckets
from infra.aws.errors import AwsError
from infra.aws.notification import EVENTS, attach, detach
from infra.aws.osls import check_node
from infra.aws.parameters import Put, prune_parameters, put_parameters
from infra.aws.plan import Plan, read_plan
from infra.aws.stack import Stack

pytestmark = pytest.mark.long

_REGION = "eu-central-1"
_OTHER = "eu-west-1"
_STACK = "pixseek-prod"


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def account(outside: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:  # noqa: ARG001 -- it comes first
    monkeypatch.setenv("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
    with mock_aws():
        yield Account.connect(_REGION)


def _make_bucket(name: str, region: str = _REGION) -> None:
    where: Any = {"LocationConstraint": region}
    boto3.client("s3", region_name=region).create_bucket(Bucket=name, CreateBucketConfiguration=where)


def _plan(**more: str) -> Plan:
    stage = {
        "AWS_REGION": _REGION,
        "SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
        "SUPABASE_ANON_KEY": "anon",
        "SUPABASE_SERVICE_ROLE_KEY": "service",
        "EMBEDDER": "roboflow",
        "ROBOFLOW_API_KEY": "key",
        "STORAGE": "s3",
        "S3_BUCKET": "photos",
    }
    return read_plan("prod", stage | more)


def test_without_credentials_it_says_where_to_get_some(outside: None) -> None:  # noqa: ARG001 -- it takes them away
    with pytest.raises(AwsError, match="there are no AWS credentials: `aws configure`"):
        Account.connect(_REGION)


def test_a_profile_that_is_not_there_is_named_as_the_cause(
    outside: None,  # noqa: ARG001 -- it takes the others away
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(AwsError, match="AWS_PROFILE names a profile"):
        Account.connect(_REGION)


def test_half_of_a_key_is_told_with_how_to_get_it_whole(
    outside: None,  # noqa: ARG001 -- it takes the other half away
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")

    with pytest.raises(AwsError, match=r"missing: AWS_SECRET_ACCESS_KEY.*`aws configure`"):
        Account.connect(_REGION)


_PRINTS_EXPIRED = """\
echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": "2020-01-01T00:00:00Z"}'"""


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[default]\ncredential_process = sh -c 'echo no ticket >&2; exit 1'", "no ticket"),
        ("[default]\ncredential_process = echo nothing", "cannot be had"),
        ("[default]\ncredential_process = /no/such/program", "/no/such/program"),
        (f"[default]\ncredential_process = {_PRINTS_EXPIRED}", "still expired"),
        ("default", "Unable to parse config file"),
    ],
    ids=["fails", "no JSON", "not there", "expired", "no config"],
)
def test_a_configuration_that_gives_no_credentials_is_told_with_its_cause(
    config: str,
    said: str,
    outside: None,  # noqa: ARG001 -- it takes the others away
    tmp_path: Path,
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(config)

    with pytest.raises(AwsError, match=f"{said}.*`aws configure`"):
        Account.connect(_REGION)


def _has_ended(_: object) -> NoReturn:
    raise CredentialRetrievalError(provider="sso", error_msg="the session has ended")


def test_credentials_that_end_on_the_way_are_told_to_be_renewed(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3.Session, "get_credentials", _has_ended)

    with pytest.raises(AwsError, match=r"the session has ended.*`aws sso login`"):
        account.environment()


def test_a_program_that_is_called_gets_region_and_credentials(account: Account) -> None:
    given = account.environment()

    assert given["AWS_REGION"] == _REGION
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} < given.keys()


def _kept() -> dict[str, tuple[str, str, int]]:
    """Values, types and versions of parameters."""
    listed = boto3.client("ssm", region_name=_REGION).get_parameters_by_path(
        Path="/", Recursive=True, WithDecryption=True
    )
    return {one["Name"]: (one["Value"], one["Type"], one["Version"]) for one in listed["Parameters"]}


def test_secrets_are_put_encrypted(account: Account) -> None:
    put = put_parameters(account, "prod", {"ROBOFLOW_API_KEY": "a", "WEBHOOK_SECRET": "b"})

    assert put == Put({"ROBOFLOW_API_KEY": 1, "WEBHOOK_SECRET": 1}, ("ROBOFLOW_API_KEY", "WEBHOOK_SECRET"))
    assert _kept() == {
        "/pixseek/prod/ROBOFLOW_API_KEY": ("a", "SecureString", 1),
        "/pixseek/prod/WEBHOOK_SECRET": ("b", "SecureString", 1),
    }


def test_secrets_that_have_not_changed_are_left_alone(account: Account) -> None:
    put_parameters(account, "prod", {"ROBOFLOW_API_KEY": "a", "WEBHOOK_SECRET": "b"})

    put = put_parameters(account, "prod", {"ROBOFLOW_API_KEY": "a", "WEBHOOK_SECRET": "c"})

    assert put == Put({"ROBOFLOW_API_KEY": 1, "WEBHOOK_SECRET": 2}, ("WEBHOOK_SECRET",))
    assert _kept()["/pixseek/prod/ROBOFLOW_API_KEY"] == ("a", "SecureString", 1)
    assert _kept()["/pixseek/prod/WEBHOOK_SECRET"] == ("c", "SecureString", 2)


def test_secrets_that_a_stage_no_longer_names_are_deleted_and_no_other_stages(account: Account) -> None:
    for stage in ("prod", "prod-2"):
        put_parameters(account, stage, {"WEBHOOK_SECRET": "b", "WEBHOOK_SECRET_BEFORE": "a"})

    gone = prune_parameters(account, "prod", {"WEBHOOK_SECRET": "b"})

    assert gone == ["WEBHOOK_SECRET_BEFORE"]
    assert set(_kept()) == {
        "/pixseek/prod/WEBHOOK_SECRET",
        "/pixseek/prod-2/WEBHOOK_SECRET",
        "/pixseek/prod-2/WEBHOOK_SECRET_BEFORE",
    }


def test_a_bucket_of_the_stack_need_not_be_there_yet(account: Account) -> None:
    check_buckets(_plan(), account, in_stack=())


def test_a_bucket_that_the_stack_made_is_its_own(account: Account) -> None:
    _make_bucket("photos")
    _make_bucket("photos-previews")

    check_buckets(_plan(), account, in_stack={"photos", "photos-previews"})


def test_a_bucket_that_is_there_is_not_made_again(account: Account) -> None:
    _make_bucket("photos")

    with pytest.raises(AwsError, match="S3_BUCKET_EXISTS=true takes it as it is"):
        check_buckets(_plan(), account, in_stack=())


def test_a_bucket_that_should_be_there_and_is_not_is_named(account: Account) -> None:
    with pytest.raises(AwsError, match=r"no bucket photos: make it.*\n.*no bucket photos-previews"):
        check_buckets(_plan(S3_BUCKET_EXISTS="true"), account, in_stack=())


def test_without_previews_their_bucket_need_not_be_there(account: Account) -> None:
    _make_bucket("photos")

    check_buckets(_plan(S3_BUCKET_EXISTS="true", PREVIEWS="false"), account, in_stack=())


def test_a_bucket_of_another_region_is_named_with_both(account: Account) -> None:
    _make_bucket("photos", _OTHER)
    _make_bucket("photos-previews")

    with pytest.raises(AwsError, match=f"photos lies in {_OTHER}, and AWS_REGION is {_REGION}"):
        check_buckets(_plan(S3_BUCKET_EXISTS="true"), account, in_stack=())


def test_a_bucket_of_another_account_is_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")
    _make_bucket("photos")
    monkeypatch.delenv("MOTO_ACCOUNT_ID")

    with pytest.raises(AwsError, match="photos belongs to another account"):
        check_buckets(_plan(), account, in_stack=())


def _encrypt(bucket: str, **by_default: str) -> None:
    rules: Any = [{"ApplyServerSideEncryptionByDefault": by_default}]
    boto3.client("s3", region_name=_REGION).put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules}
    )


@pytest.fixture
def key(account: Account) -> str:  # noqa: ARG001 -- it is the account's
    """Of the account's own, with which the pictures' bucket encrypts what it gets."""
    kms = boto3.client("kms", region_name=_REGION)
    made = kms.create_key()["KeyMetadata"]
    _make_bucket("photos")
    _encrypt("photos", SSEAlgorithm="aws:kms", KMSMasterKeyID=made["KeyId"])
    return str(made["Arn"])


def test_a_key_that_functions_may_not_use_is_named_with_the_remedy(account: Account, key: str) -> None:
    with pytest.raises(AwsError, match=rf"with {key}: .*S3_KMS_KEY_ARN={key},"):
        check_buckets(_plan(S3_BUCKET_EXISTS="true", PREVIEWS="false"), account, in_stack=())


def test_a_key_that_the_stage_names_is_well(account: Account, key: str) -> None:
    check_buckets(_plan(S3_BUCKET_EXISTS="true", PREVIEWS="false", S3_KMS_KEY_ARN=key), account, in_stack=())


@pytest.mark.parametrize("by_default", [{"SSEAlgorithm": "AES256"}, {"SSEAlgorithm": "aws:kms"}])
def test_a_key_of_awss_own_needs_no_right(account: Account, by_default: dict[str, str]) -> None:
    _make_bucket("photos")
    _encrypt("photos", **by_default)

    check_buckets(_plan(S3_BUCKET_EXISTS="true", PREVIEWS="false"), account, in_stack=())


_QUEUE = f"arn:aws:sqs:{_REGION}:{DEFAULT_ACCOUNT_ID}:{_STACK}-index"
_TOPIC = f"arn:aws:sns:{_REGION}:{DEFAULT_ACCOUNT_ID}:others"


@pytest.fixture
def notifications(account: Account) -> Callable[[], dict[str, Any]]:  # noqa: ARG001 -- it is the account's bucket
    """Of a bucket that tells another's topic of its replicas."""
    _make_bucket("photos")
    boto3.client("sqs", region_name=_REGION).create_queue(QueueName=f"{_STACK}-index")
    boto3.client("sns", region_name=_REGION).create_topic(Name="others")
    s3 = boto3.client("s3", region_name=_REGION)
    others: Any = {"Id": "others", "TopicArn": _TOPIC, "Events": ["s3:Replication:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="photos", NotificationConfiguration={"TopicConfigurations": [others]}
    )
    return lambda: dict(s3.get_bucket_notification_configuration(Bucket="photos"))


def test_a_bucket_sends_its_events_beside_what_else_it_sends(
    account: Account, notifications: Callable[[], dict[str, Any]]
) -> None:
    attach(account, "photos", _STACK, _QUEUE)
    attach(account, "photos", _STACK, _QUEUE)

    [ours] = notifications()["QueueConfigurations"]
    [others] = notifications()["TopicConfigurations"]
    assert ours == {"Id": _STACK, "QueueArn": _QUEUE, "Events": list(EVENTS)}
    assert others["TopicArn"] == _TOPIC


def test_a_bucket_that_sends_no_more_leaves_the_others(
    account: Account, notifications: Callable[[], dict[str, Any]]
) -> None:
    attach(account, "photos", _STACK, _QUEUE)

    assert detach(account, "photos", _QUEUE)

    assert "QueueConfigurations" not in notifications()
    assert len(notifications()["TopicConfigurations"]) == 1


def test_a_bucket_that_is_gone_sends_nothing(account: Account) -> None:
    assert not detach(account, "photos", _QUEUE)


def test_a_bucket_that_is_gone_cannot_be_made_to_send(account: Account) -> None:
    with pytest.raises(AwsError, match="NoSuchBucket"):
        attach(account, "photos", _STACK, _QUEUE)


def test_what_a_stack_left_at_its_bucket_is_replaced(
    account: Account, notifications: Callable[[], dict[str, Any]]
) -> None:
    attach(account, "photos", "a name of CloudFormation's", _QUEUE)

    attach(account, "photos", _STACK, _QUEUE)

    assert [queue["Id"] for queue in notifications()["QueueConfigurations"]] == [_STACK]


@pytest.fixture
def stack(account: Account) -> Stack:
    template = {
        "Resources": {"Photos": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "photos"}}},
        "Outputs": {"BucketName": {"Value": {"Ref": "Photos"}}},
    }
    boto3.client("cloudformation", region_name=_REGION).create_stack(
        StackName=_STACK, TemplateBody=json.dumps(template)
    )
    return Stack(account, _STACK)


def _set_status(status: str) -> None:
    [found] = cloudformation_backends[DEFAULT_ACCOUNT_ID][_REGION].stacks.values()
    found.status = status


def test_a_stack_tells_its_outputs_and_its_buckets(stack: Stack) -> None:
    assert stack.status() == "CREATE_COMPLETE"
    assert stack.outputs() == {"BucketName": "photos"}
    assert stack.buckets() == {"photos"}


def test_a_stack_that_is_not_there_has_nothing(account: Account) -> None:
    stack = Stack(account, _STACK)

    assert (stack.status(), stack.outputs(), stack.buckets()) == (None, {}, set())


def test_a_stack_that_was_never_whole_is_deleted_first(stack: Stack) -> None:
    _set_status("ROLLBACK_COMPLETE")
    said: list[str] = []

    stack.mend(said.append)

    assert stack.status() is None
    assert said == ["the stack pixseek-prod was never whole (ROLLBACK_COMPLETE): deleting it first"]


def test_a_stack_that_is_being_changed_is_left_alone(stack: Stack) -> None:
    _set_status("UPDATE_IN_PROGRESS")

    with pytest.raises(AwsError, match="wait until that is over"):
        stack.mend(lambda _: None)


def test_a_stack_that_is_well_is_left_as_it_is(stack: Stack) -> None:
    said: list[str] = []

    stack.mend(said.append)

    assert stack.status() == "CREATE_COMPLETE"
    assert said == []


class _Asked:
    """Of CloudFormation's client the calls that change a stack, which moto has not."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def rollback_stack(self, **_: str) -> None:
        self.calls.append("RollbackStack")

    def continue_update_rollback(self, **_: str) -> None:
        self.calls.append("ContinueUpdateRollback")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- the others are moto's
        return getattr(boto3.client("cloudformation", region_name=_REGION), name)


@pytest.mark.parametrize(
    ("status", "call"),
    [("UPDATE_FAILED", "RollbackStack"), ("UPDATE_ROLLBACK_FAILED", "ContinueUpdateRollback")],
)
def test_a_stack_that_got_stuck_is_rolled_back_by_the_call_that_takes_it(
    status: str, call: str, stack: Stack, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _Asked()
    monkeypatch.setattr(stack, "_client", asked)
    monkeypatch.setattr(stack, "_wait", lambda _: None)
    _set_status(status)

    stack.mend(lambda _: None)

    assert asked.calls == [call]
    assert account.region == _REGION


@pytest.mark.parametrize(
    ("status", "taken_back"), [("UPDATE_ROLLBACK_COMPLETE", True), ("UPDATE_COMPLETE", False)]
)
def test_a_deployment_that_was_taken_back_is_known(status: str, taken_back: bool, stack: Stack) -> None:
    _set_status(status)

    assert stack.was_rolled_back() is taken_back


@pytest.mark.parametrize(
    ("script", "said"), [("echo v18.19.0", "Node.js is v18.19.0"), ("exit 1", "Node.js is broken")]
)
def test_a_node_that_is_too_old_is_told(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\n{script}\n")
    node.chmod(node.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(AwsError, match=f"{said}: osls needs 20"):
        check_node()


def test_without_node_it_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(AwsError, match=r"Node\.js is missing"):
        check_node()
