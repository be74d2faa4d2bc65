"""What would make a deployment fail late, or its functions, looked at before anything is changed."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Final

from infra.aws import osls
from infra.aws.account import Account, answering, code_of
from infra.aws.errors import AwsError
from infra.aws.plan import Plan
from infra.bundle import BundleError, lambda_python

if TYPE_CHECKING:
    from infra.doctor import Finding

_LEFT_AT_LEAST: Final = 10
"""Of an account's concurrency: Lambda lets no more be reserved."""
_STOPS: Final = ("keys.", "database.migrations", "database.pgvector", "database.rest")
"""With the other findings functions work, if not well: they are the doctor's."""


def check_tools(plan: Plan) -> None:
    """Fetches osls, too. Raises `AwsError` for a machine that lacks what deploying needs."""
    osls.program()
    try:
        if plan.choice is not None:
            lambda_python()
    except BundleError as exc:
        raise AwsError(str(exc)) from exc


def check_project(variables: Mapping[str, str], stage: str) -> None:
    """The Supabase project takes the keys and has the migrations. Raises `AwsError`."""
    from infra.doctor import Deployment, look_at

    with closing(Deployment(variables, stage, calls_model=False)) as deployment:
        for subject in ("keys", "database"):
            stop_at(look_at(subject, deployment))


def stop_at(findings: "Iterable[Finding]") -> None:
    """Raises `AwsError` that holds what stops a deployment, and how to mend it."""
    from infra.doctor import Level

    wrong = [
        f"{finding.what}: {finding.mend}" if finding.mend else finding.what
        for finding in findings
        if finding.level in (Level.WRONG, Level.NOT_LOOKED_AT) and finding.check.startswith(_STOPS)
    ]
    if wrong:
        raise AwsError("\n".join(wrong))


def check_concurrency(plan: Plan, account: Account) -> None:
    """Raises `AwsError` when too little of the account's is left to reserve what the stage wants."""
    if not plan.reserved:
        return
    with answering("lambda:GetAccountSettings", account.region):
        limits = account.client("lambda").get_account_settings()["AccountLimit"]
    held = sum(_reserved(name, account) for name in plan.reserved)
    check_limit(limits["UnreservedConcurrentExecutions"] + held, sum(plan.reserved.values()))


def _reserved(function: str, account: Account) -> int:
    """What a function holds already; a new one nothing."""
    from botocore.exceptions import ClientError

    with answering("lambda:GetFunctionConcurrency", account.region):
        try:
            answer = account.client("lambda").get_function_concurrency(FunctionName=function)
        except ClientError as exc:
            if code_of(exc) == "ResourceNotFoundException":
                return 0
            raise
    return int(answer.get("ReservedConcurrentExecutions", 0))


def check_limit(free: int, wanted: int) -> None:
    """What others left of the account's, and what is to be reserved of it. Raises `AwsError`."""
    if free < wanted + _LEFT_AT_LEAST:
        raise AwsError(
            f"of the functions that this account runs at once, {free} are not set aside for others, and "
            f"Lambda keeps {_LEFT_AT_LEAST} of them free: {wanted} cannot be reserved. Set "
            "RESERVE_CONCURRENCY=false, or ask for more (Service Quotas, AWS Lambda, Concurrent executions)"
        )
