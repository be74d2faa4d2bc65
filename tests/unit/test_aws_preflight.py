"""What stops a deployment to AWS, told from what AWS and the doctor say."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.aws.account import answering
from infra.aws.errors import AwsError
from infra.aws.preflight import check_limit, stop_at
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
        ("UPDATE_ROLLBACK_FAILED", "roll back"),
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
