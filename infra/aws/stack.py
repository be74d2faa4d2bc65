"""What CloudFormation keeps together, and how it is mended after a deployment that failed."""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from infra.aws.account import Account, answering, code_of
from infra.aws.errors import AwsError

Step: TypeAlias = Literal["deploy", "delete", "roll back", "go on rolling back", "wait"]

_NEVER_WHOLE: Final = {
    "CREATE_FAILED",
    "DELETE_FAILED",
    "REVIEW_IN_PROGRESS",
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
}
_STUCK: Final[Mapping[str, Step]] = {
    "UPDATE_FAILED": "roll back",
    "UPDATE_ROLLBACK_FAILED": "go on rolling back",
}


def step_before(status: str | None) -> Step:
    """What has to come before a deployment, by the stack's status; None: there is no stack."""
    if status in _NEVER_WHOLE:
        return "delete"
    if status and status.endswith("_IN_PROGRESS"):
        return "wait"
    return _STUCK.get(status or "", "deploy")


class Stack:
    """One, by its name."""

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._account = account
        self._client = account.client("cloudformation")

    def status(self) -> str | None:
        """None when it is not there. Raises `AwsError`."""
        found = self._described()
        return None if found is None else str(found["StackStatus"])

    def was_rolled_back(self) -> bool:
        """Whether the last deployment was taken back: osls remembers it as done. Raises `AwsError`."""
        return self.status() == "UPDATE_ROLLBACK_COMPLETE"

    def outputs(self) -> dict[str, str]:
        """By their names. Raises `AwsError`."""
        listed = (self._described() or {}).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in listed}  # type: ignore[attr-defined]

    def buckets(self) -> set[str]:
        """The names of the buckets that it made. Raises `AwsError`."""
        if self._described() is None:
            return set()
        with answering("cloudformation:ListStackResources", self._account.region):
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
            return {
                resource["PhysicalResourceId"]
                for page in pages
                for resource in page["StackResourceSummaries"]
                if resource["ResourceType"] == "AWS::S3::Bucket"
                and not resource["ResourceStatus"].startswith("DELETE")
                and resource.get("PhysicalResourceId")
            }

    def mend(self, report: Callable[[str], None]) -> None:
        """Bring it to where it can be deployed. Raises `AwsError`."""
        status = self.status()
        step = step_before(status)
        if step == "wait":
            raise AwsError(f"the stack {self.name} is being changed ({status}): wait until that is over")
        if step == "delete":
            report(f"the stack {self.name} was never whole ({status}): deleting it first")
            with answering("cloudformation:DeleteStack", self._account.region):
                self._client.delete_stack(StackName=self.name)
            self._wait("stack_delete_complete")
        if step == "roll back":
            report(f"the stack {self.name} got stuck ({status}): rolling it back first")
            with answering("cloudformation:RollbackStack", self._account.region):
                self._client.rollback_stack(StackName=self.name)
            self._wait("stack_rollback_complete")
        if step == "go on rolling back":
            report(f"the stack {self.name} got stuck ({status}): going on with its rollback first")
            with answering("cloudformation:ContinueUpdateRollback", self._account.region):
                self._client.continue_update_rollback(StackName=self.name)
            self._wait("stack_rollback_complete")

    def _wait(self, waiter: str) -> None:
        from botocore.exceptions import WaiterError

        try:
            self._client.get_waiter(waiter).wait(StackName=self.name)
        except WaiterError as exc:
            raise AwsError(
                f"the stack {self.name} could not be mended: its events in the console (CloudFormation, "
                f"{self._account.region}) say which part is in the way. Mend that, and run this again"
            ) from exc

    def _described(self) -> dict[str, object] | None:
        from botocore.exceptions import ClientError

        with answering("cloudformation:DescribeStacks", self._account.region):
            try:
                answer = self._client.describe_stacks(StackName=self.name)
            except ClientError as exc:
                if code_of(exc) == "ValidationError":  # how CloudFormation says that there is none
                    return None
                raise
        found: dict[str, object] = answer["Stacks"][0]
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found
