"""What AWS does between a queue and a function: batches out, and back what the function names."""

from dataclasses import dataclass, field
from typing import Any, Final

from infra.local.lambdas import Invocation, LambdaFunction
from tests.system.aws.account import REGION

_A_RECEIVE: Final = 10
"""As many as SQS hands out at once."""


@dataclass
class EventSource:
    """A queue that feeds a function, as an event source mapping of the template says."""

    sqs: Any
    queue_url: str
    queue_arn: str
    function: LambdaFunction
    batch_size: int
    reports_failures: bool
    calls: list[Invocation] = field(default_factory=list)

    def poll(self) -> int:
        """One batch, if there is one: how many messages came.

        Those that failed can be seen again at once, as if the visibility timeout were over.
        """
        messages = self._received()
        if messages:
            call = self.function.invoke({"Records": [self._record(message) for message in messages]})
            self.calls.append(call)
            self._settle(messages, self._failed(call, messages))
        return len(messages)

    def drain(self, most: int = 50) -> None:
        """Batches until nothing comes; what fails for ever ends in the dead-letter queue."""
        for _ in range(most):
            if not self.poll():
                return
        raise AssertionError(f"{self.queue_url} is not empty after {most} batches")

    def _received(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while len(messages) < self.batch_size:
            some = self.sqs.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=min(_A_RECEIVE, self.batch_size - len(messages)),
                AttributeNames=["All"],
            ).get("Messages", [])
            if not some:
                break
            messages += some
        return messages

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue_arn,
            "awsRegion": REGION,
        }

    def _failed(self, call: Invocation, messages: list[dict[str, Any]]) -> set[str]:
        """All, when the function failed, or names one that it was not given."""
        everything = {message["MessageId"] for message in messages}
        if call.error is not None:
            return everything
        if not self.reports_failures:
            return set()
        named = {failure["itemIdentifier"] for failure in (call.payload or {}).get("batchItemFailures", [])}
        return named if named <= everything else everything

    def _settle(self, messages: list[dict[str, Any]], failed: set[str]) -> None:
        for message in messages:
            receipt = {"QueueUrl": self.queue_url, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failed:
                self.sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
            else:
                self.sqs.delete_message(**receipt)
