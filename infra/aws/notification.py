"""The events that a bucket sends to the queue, beside what else it sends."""

from typing import Any, Final

from infra.aws.account import Account, answering, code_of
from infra.aws.errors import AwsError

EVENTS: Final = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")
_REFUSED: Final = "InvalidArgument"


def attach(account: Account, bucket: str, name: str, queue_arn: str) -> None:
    """Raises `AwsError`, also when what the bucket sends elsewhere leaves no room for it."""
    _replace(account, bucket, queue_arn, [{"Id": name, "QueueArn": queue_arn, "Events": list(EVENTS)}])


def detach(account: Account, bucket: str, queue_arn: str) -> bool:
    """Whether there was something to take away: no bucket sends nothing. Raises `AwsError`."""
    return _replace(account, bucket, queue_arn, [])


def _replace(account: Account, bucket: str, queue_arn: str, wanted: list[dict[str, Any]]) -> bool:
    """What goes to this queue; a bucket that a stack made and left has it under another name."""
    sent = _sent(account, bucket)
    queues: list[dict[str, Any]] = sent.get("QueueConfigurations", [])
    changed = [queue for queue in queues if queue["QueueArn"] != queue_arn] + wanted
    if changed != queues:
        _put(account, bucket, {**sent, "QueueConfigurations": changed})
    return changed != queues


def _sent(account: Account, bucket: str) -> dict[str, Any]:
    """Nothing by a bucket that is gone."""
    from botocore.exceptions import ClientError

    with answering("s3:GetBucketNotification", account.region):
        try:
            sent: dict[str, Any] = account.client("s3").get_bucket_notification_configuration(
                Bucket=bucket, ExpectedBucketOwner=account.number
            )
        except ClientError as exc:
            if code_of(exc) == "NoSuchBucket":
                return {}
            raise
    sent.pop("ResponseMetadata", None)
    return sent


def _put(account: Account, bucket: str, sent: dict[str, Any]) -> None:
    from botocore.exceptions import ClientError

    with answering("s3:PutBucketNotification", account.region):
        try:
            account.client("s3").put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=sent, ExpectedBucketOwner=account.number
            )
        except ClientError as exc:
            if code_of(exc) != _REFUSED:
                raise
            said = exc.response["Error"]["Message"]
            raise AwsError(
                f"the bucket {bucket} refuses pixseek's notification: {said}. S3 sends "
                "an event to one place only: if it goes elsewhere already, take that notification away (S3 "
                "console, Properties, Event notifications), or let it go to an SNS topic that feeds both"
            ) from exc
