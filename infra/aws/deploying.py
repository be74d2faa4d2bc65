"""Deploys a stage to AWS, or removes it: each step says what it does, and can be done again."""

from collections.abc import Callable, Mapping
from typing import Final

from infra.aws import osls
from infra.aws.account import Account
from infra.aws.buckets import check_buckets
from infra.aws.errors import AwsError
from infra.aws.notification import attach, detach
from infra.aws.outcome import outcome
from infra.aws.parameters import prune_parameters, put_parameters
from infra.aws.plan import Plan
from infra.aws.preflight import check_concurrency, check_project, check_tools
from infra.aws.stack import Stack
from infra.bundle import ENTRIES, BundleError, build
from infra.local.home import ROOT

_BUNDLES: Final = ROOT / "build" / "aws"
_BUCKET: Final = "BucketName"
"""The output that names the bucket of before."""
Report = Callable[[str], None]


def deploy(plan: Plan, report: Report) -> None:
    """Raises `AwsError`."""
    report(f"checking: this machine, {plan.settings.supabase_url}, AWS in {plan.place.aws_region}")
    check_tools(plan)
    check_project(plan.variables, plan.stage)
    account = Account.connect(plan.place.aws_region)
    stack = Stack(account, plan.stack)
    check_buckets(plan, account, stack.buckets())
    check_concurrency(plan, account)
    before = stack.outputs().get(_BUCKET)
    stack.mend(report)
    _bundle(plan, report)
    versions = osls.versions_told(put_secrets(plan, account, report))
    force = ("--force",) if stack.was_rolled_back() else ()
    osls.run(plan, {**account.environment(), **versions}, "deploy", *force)
    if before and before not in plan.buckets:  # at once: the stack does not name it any more
        _send_no_more(plan, account, before, report)
    for name in prune_parameters(account, plan.stage, plan.secrets):
        report(f"secrets: {name} is not in .env.{plan.stage} any more, and deleted")
    _send_events(plan, account, report)
    for line in outcome(plan, stack.outputs()):
        report(line)


def put_secrets(plan: Plan, account: Account, report: Report) -> Mapping[str, int]:
    """Only those that differ; the versions of all. Raises `AwsError`."""
    put = put_parameters(account, plan.stage, plan.secrets)
    told = f"{', '.join(put.changed)} to Parameter Store" if put.changed else "none has changed"
    report(f"secrets: {told}")
    return put.versions


def remove(plan: Plan, report: Report) -> None:
    """Pictures stay. Raises `AwsError`."""
    account = Account.connect(plan.place.aws_region)
    stack = Stack(account, plan.stack)
    sending = {stack.outputs().get(_BUCKET), *plan.buckets[:1]}
    if stack.status() is None:
        report(f"there is no stack {plan.stack} in {account.region}")
    else:
        osls.run(plan, account.environment(), "remove")
    for bucket in sorted(filter(None, sending)):
        _send_no_more(plan, account, bucket, report)
    gone = prune_parameters(account, plan.stage, {})
    report(f"secrets: {len(gone)} deleted from Parameter Store")
    if plan.buckets:
        report(f"kept: the buckets {' and '.join(plan.buckets)} with all that is in them, and the index")
        report("to deploy this stage again with them, set S3_BUCKET_EXISTS=true")
    else:
        report("kept: the pictures in Supabase Storage, and the index")
        report("next: `make deploy-supabase` with WEBHOOK_URL empty, so that the database posts nowhere")


def _bundle(plan: Plan, report: Report) -> None:
    if plan.choice is None:
        return
    try:
        for function in ENTRIES:
            report(f"bundling: {function} for {plan.choice.arch}")
            build(function, plan.choice, _BUNDLES)
    except BundleError as exc:
        raise AwsError(str(exc)) from exc


def _send_events(plan: Plan, account: Account, report: Report) -> None:
    """A bucket of the stack has its notification from there."""
    if plan.place.s3_bucket_exists == "true" and plan.buckets:
        attach(account, plan.buckets[0], plan.stack, _queue_arn(plan, account))
        report(f"{plan.buckets[0]} sends its events to the queue {plan.stack}-index")


def _send_no_more(plan: Plan, account: Account, bucket: str, report: Report) -> None:
    """Else S3 refuses every other notification for it, once the queue is gone. Raises `AwsError` that names
    the bucket: the next run may not know of it.
    """
    try:
        was_sending = detach(account, bucket, _queue_arn(plan, account))
    except AwsError as exc:
        raise AwsError(
            f"{bucket} may still send its events to the queue {plan.stack}-index: take that notification "
            f"away (S3 console, {bucket}, Properties, Event notifications), and run this again. "
            f"The cause: {exc}"
        ) from exc
    if was_sending:
        report(f"{bucket} sends no more events to pixseek")


def _queue_arn(plan: Plan, account: Account) -> str:
    return f"arn:{account.partition}:sqs:{account.region}:{account.number}:{plan.stack}-index"
