"""What would make a deployment fail late, or its functions, looked at before anything is changed."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from infra.aws.account import Account, answering
from infra.aws.errors import AwsError
from infra.aws.osls import check_node
from infra.aws.plan import Plan
from infra.bundle import BundleError, lambda_python

if TYPE_CHECKING:
    from infra.doctor import Finding

_LEFT_AT_LEAST: Final = 10
"""Of an account's concurrency: Lambda lets no more be reserved."""
_STOPS: Final = ("keys.", "database.migrations", "database.pgvector", "database.rest")
"""With the other findings functions work, if not well: they are the doctor's."""


def check_tools(plan: Plan) -> None:
    """Raises `AwsError` for a machine that lacks what deploying needs."""
    check_node()
    try:
        if plan.choice is not None:
            lambda_python()
    except BundleError as exc:
        raise AwsError(str(exc)) from exc


def check_project(variables: Mapping[str, str]) -> None:
    """The Supabase project takes the keys and has the migrations. Raises `AwsError`."""
    from infra.doctor import Deployment, look_at

    deployment = Deployment(variables, calls_model=False)
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
    """Raises `AwsError` when the account has too little to reserve any."""
    if plan.place.reserve_concurrency == "true":
        with answering("lambda:GetAccountSettings", account.region):
            limits = account.client("lambda").get_account_settings()["AccountLimit"]
        check_limit(limits["ConcurrentExecutions"], plan.settings.reembed_workers)


def check_limit(limit: int, wanted: int) -> None:
    """Of an account, and what is to be reserved of it. Raises `AwsError`."""
    if limit < wanted + _LEFT_AT_LEAST:
        raise AwsError(
            f"this account runs at most {limit} functions at once, and Lambda keeps {_LEFT_AT_LEAST} of them "
            f"free: {wanted} cannot be reserved for reembed. Set RESERVE_CONCURRENCY=false, or ask for more "
            "(Service Quotas, AWS Lambda, Concurrent executions)"
        )
