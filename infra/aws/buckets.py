"""Whether a stage's buckets of S3 are there, ours, and where they have to be."""

from collections.abc import Collection, Iterator
from typing import Final

from infra.aws.account import Account, answering, code_of
from infra.aws.errors import AwsError
from infra.aws.plan import Plan

_NOT_THERE: Final = {"404", "NoSuchBucket", "NotFound"}
_ANOTHERS: Final = {"403", "AccessDenied", "Forbidden"}
_ELSEWHERE: Final = {"301", "400", "PermanentRedirect"}


def check_buckets(plan: Plan, account: Account, in_stack: Collection[str]) -> None:
    """Raises `AwsError` for each bucket that is not as the stage says; `in_stack`: those it made before."""
    exists = plan.place.s3_bucket_exists == "true"
    names = plan.buckets if plan.settings.previews or not exists else plan.buckets[:1]
    faults = [
        fault
        for name in names
        for fault in (
            _faults_of_old(name, account, plan.keys) if exists else _faults_of_new(name, account, in_stack)
        )
    ]
    if faults:
        raise AwsError("\n".join(faults))


def _faults_of_old(name: str, account: Account, keys: Collection[str]) -> Iterator[str]:
    region = region_of(name, account)
    if region is None:
        yield f"S3_BUCKET_EXISTS=true, and there is no bucket {name}: make it, or let the stack (false)"
    elif region != account.region:
        yield (
            f"the bucket {name} lies in {region}, and AWS_REGION is {account.region}: its events go to "
            f"queues of its own region only. Set AWS_REGION={region}, or choose another bucket"
        )
    elif (key := _key_of(name, account)) and key not in keys:
        yield (
            f"what the bucket {name} gets is encrypted with {key}: the functions may use that key only with "
            f"S3_KMS_KEY_ARN={','.join([*sorted(keys), key])}, and where the key's own policy lets the "
            "account's IAM policies decide, as it does unless somebody changed it"
        )


def _faults_of_new(name: str, account: Account, in_stack: Collection[str]) -> Iterator[str]:
    if name not in in_stack and region_of(name, account) is not None:
        yield (
            f"the bucket {name} is there already, and not of this stack: S3_BUCKET_EXISTS=true takes it as "
            "it is; or choose another S3_BUCKET"
        )


def _key_of(name: str, account: Account) -> str | None:
    """The ARN of the account's own key that S3 encrypts with unless told; AWS's keys need no right."""
    from botocore.exceptions import ClientError

    with answering("s3:GetEncryptionConfiguration", account.region):
        try:
            found = account.client("s3").get_bucket_encryption(
                Bucket=name, ExpectedBucketOwner=account.number
            )
        except ClientError as exc:
            if code_of(exc) == "ServerSideEncryptionConfigurationNotFoundError":
                return None
            raise
    [rule] = found["ServerSideEncryptionConfiguration"]["Rules"]
    key_id = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
    if not key_id:
        return None
    with answering("kms:DescribeKey", account.region):
        key = account.client("kms").describe_key(KeyId=key_id)["KeyMetadata"]
    return None if key.get("KeyManager") == "AWS" else str(key["Arn"])


def region_of(name: str, account: Account) -> str | None:
    """Where it lies; None if it is not there. Raises `AwsError` when it is another account's."""
    from botocore.exceptions import ClientError

    with answering("s3:ListBucket", account.region):
        try:
            head = account.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=account.number)
        except ClientError as exc:
            code = code_of(exc)
            headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            if code in _NOT_THERE:
                return None
            if code in _ELSEWHERE and (region := headers.get("x-amz-bucket-region")):
                return str(region)
            if code in _ANOTHERS:
                raise AwsError(
                    f"the bucket {name} belongs to another account (all of AWS shares one list of names), or "
                    "your credentials may not look at it (s3:ListBucket): choose another S3_BUCKET, or ask "
                    "for that right"
                ) from exc
            raise
    return str(head.get("BucketRegion") or account.region)
