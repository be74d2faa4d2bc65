"""What stops a deployment to AWS, told from what AWS and the doctor say."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.aws.account import Account, answering
from infra.aws.errors import AwsError
from infra.aws.plan import Plan, read_plan
from infra.aws.preflight import check_concurrency, check_limit, stop_at
from infra.aws.stack import Step, step_before
from infra.doctor import Finding, Level


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (None, "deploy"),
        ("CREATE_COMPLETE", "deploy"),
        ("UPDATE_COMPLETE", "deploy"),
        ("UPDATE_ROLLBACK_COMPLETE", "deploy"),
        ("ROLLBACK_COMPLETE", "delete"),
        ("ROLLBACK_FAILED", "delete"),
        ("CREATE_FAILED", "delete"),
        ("DELETE_FAILED", "delete"),
        ("REVIEW_IN_PROGRESS", "delete"),
        ("UPDATE_FAILED", "roll back"),
        ("UPDATE_ROLLBACK_FAILED", "go on rolling back"),
        ("UPDATE_IN_PROGRESS", "wait"),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "wait"),
    ],
)
def test_what_a_failed_deployment_leaves_is_mended_first(status: str | None, step: Step) -> None:
    assert step_before(status) == step


def _wrong(check: str) -> Finding:
    return Finding(check, Level.WRONG, f"{check} is broken", "mend it")


@pytest.mark.parametrize(
    "check", ["keys.service", "keys.exchanged", "database.migrations", "database.pgvector"]
)
def test_a_wrong_key_or_database_stops_a_deployment_with_the_cure(check: str) -> None:
    with pytest.raises(AwsError, match=f"^{check} is broken: mend it$"):
        stop_at([Finding("keys.url", Level.OK, "it answers"), _wrong(check)])


def test_what_could_not_be_looked_at_stops_a_deployment() -> None:
    with pytest.raises(AwsError, match=r"^doctor_v1 is answered with 500$"):
        stop_at([Finding("database.rest", Level.NOT_LOOKED_AT, "doctor_v1 is answered with 500")])


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(AwsError, match=r"keys\.anon is broken: mend it\nkeys\.service is broken: mend it"):
        stop_at([_wrong("keys.anon"), _wrong("keys.service")])


@pytest.mark.parametrize(
    "finding",
    [
        _wrong("database.changed"),
        Finding("database.newer", Level.WARNING, "there are more migrations", "update"),
        Finding("keys.service", Level.OK, "it is taken"),
    ],
)
def test_what_lets_functions_work_does_not_stop_a_deployment(finding: Finding) -> None:
    stop_at([finding])


def test_a_new_account_has_nothing_to_reserve() -> None:
    with pytest.raises(AwsError, match="RESERVE_CONCURRENCY=false"):
        check_limit(10, 4)


def test_what_is_left_of_a_limit_is_enough() -> None:
    check_limit(14, 4)


class _Lambda:
    """Of its API what tells of concurrency; a function that holds none is not there yet."""

    def __init__(self, unreserved: int, **held: int) -> None:
        self._unreserved = unreserved
        self._held = held

    def get_account_settings(self) -> dict[str, dict[str, int]]:
        return {
            "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": self._unreserved}
        }

    def get_function_concurrency(self, *, FunctionName: str) -> dict[str, int]:  # noqa: N803 -- boto3's name
        held = self._held.get(FunctionName.rpartition("-")[2])
        if held is None:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetFunctionConcurrency")
        return {"ReservedConcurrentExecutions": held}


class _Account(Account):
    def __init__(self, functions: _Lambda) -> None:
        self.region = "eu-central-1"
        self._functions = functions

    def client(self, service: str) -> Any:  # noqa: ANN401 -- as boto3's
        return {"lambda": self._functions}[service]


_STAGE = {
    "AWS_REGION": "eu-central-1",
    "SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "EMBEDDER": "roboflow",
    "ROBOFLOW_API_KEY": "key",
    "STORAGE": "s3",
    "S3_BUCKET": "photos",
    "REEMBED_WORKERS": "8",
}


def _plan(**more: str) -> Plan:
    return read_plan("prod", _STAGE | more)


@pytest.mark.parametrize(
    "functions", [_Lambda(18), _Lambda(14, reembed=4), _Lambda(10, reembed=8)], ids=["new", "more", "again"]
)
def test_what_a_stage_holds_already_is_its_own(functions: _Lambda) -> None:
    check_concurrency(_plan(), _Account(functions))


@pytest.mark.parametrize("functions", [_Lambda(17), _Lambda(13, reembed=4)], ids=["new", "more"])
def test_what_others_have_reserved_cannot_be_reserved_again(functions: _Lambda) -> None:
    with pytest.raises(AwsError, match=r"17 are not set aside for others.*8 cannot be reserved"):
        check_concurrency(_plan(), _Account(functions))


def test_webhooks_are_reserved_for_too() -> None:
    plan = _plan(STORAGE="supabase", WEBHOOK_SECRET="0a1b2c3d4e5f60718293a4b5c6d7e8f9")

    with pytest.raises(AwsError, match="58 cannot be reserved"):
        check_concurrency(plan, _Account(_Lambda(60)))


def test_an_account_from_which_nothing_is_reserved_is_not_asked() -> None:
    check_concurrency(_plan(RESERVE_CONCURRENCY="false"), _Account(_Lambda(0)))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDenied", "may not call ssm:PutParameter: ask for that right"),
        ("ExpiredToken", r"are not taken \(ExpiredToken\): `aws configure`"),
        ("TooManyUpdates", r"refuses ssm:PutParameter \(TooManyUpdates\): no"),
    ],
)
def test_a_refusal_of_aws_names_the_call(code: str, said: str) -> None:
    refusal = ClientError({"Error": {"Code": code, "Message": "no"}}, "PutParameter")

    with pytest.raises(AwsError, match=said), answering("ssm:PutParameter", "eu-central-1"):
        raise refusal


def test_an_aws_that_does_not_answer_is_told_with_its_region() -> None:
    error = EndpointConnectionError(endpoint_url="https://ssm.eu-nowhere-1.amazonaws.com")

    with pytest.raises(AwsError, match=r"eu-nowhere-1"), answering("ssm:PutParameter", "eu-nowhere-1"):
        raise error
