"""Whether buckets outside of Supabase can be listed and read from here."""

import os
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import httpx

from infra.doctor.deployment import Deployment
from infra.doctor.findings import CannotTell, Finding, ok, warning, wrong
from shared.errors import PixseekError, SettingsError
from shared.models import PREVIEWS_SUFFIX, Lane, ObjectRef
from shared.ports import ObjectStore
from shared.settings import Settings

_DEFAULT_REGION: Final = "us-east-1"
CREDENTIALS: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINERCREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINERCREDENTIALS_FULL_URI",
)
"""Where the store takes them from; it reads no ~/.aws, which the commands do (infra.cli.aws_credentials)."""
_NO_OBJECT: Final = "pixseek-doctor"


def store_findings(settings: Settings, deployment: Deployment, buckets: Sequence[str]) -> Iterator[Finding]:
    """A list and a head of each, with the credentials of this machine."""
    from shared.wiring import build_adapters

    try:
        store = build_adapters(settings, Lane.INDEXING).store
    except PixseekError as exc:
        yield wrong("buckets.store", str(exc), "correct the settings of STORAGE (.env.example)")
        return
    wanted = [*buckets, *(f"{name}{PREVIEWS_SUFFIX}" for name in buckets if settings.previews)]
    for bucket in wanted:
        found = _region_finding(deployment, bucket) if settings.storage == "s3" else None
        yield found or _store_finding(store, bucket, deployment)


def _store_finding(store: ObjectStore, bucket: str, deployment: Deployment) -> Finding:
    """A bucket of previews in a folder of this machine is made with the first of them."""
    if deployment.settings.storage == "local" and bucket.endswith(PREVIEWS_SUFFIX):
        return ok("buckets.store", f"{bucket} is made when it is needed")
    try:
        store.list_page(bucket, limit=1)
        store.heads([ObjectRef(bucket, _NO_OBJECT)])
    except PixseekError as exc:
        return _store_fault(bucket, deployment, exc)
    return ok("buckets.store", f"{bucket} can be listed and read with this machine's credentials")


def _store_fault(bucket: str, deployment: Deployment, error: PixseekError) -> Finding:
    if deployment.settings.storage == "s3" and not any(os.environ.get(name) for name in CREDENTIALS):
        what = (
            f"whether {bucket} can be read cannot be told from here: this machine has no credentials of AWS"
        )
        mend = f"aws configure, or aws sso login, or name a profile in AWS_PROFILE; then: {deployment.again}"
        return warning("buckets.credentials", what, mend)
    mend = "look at region, endpoint and credentials (AWS_*, or Google's), and at the bucket's policy"
    if isinstance(error, SettingsError):
        mend = "make the bucket, correct its name, or let the function's role list and read it"
    return wrong("buckets.store", f"{bucket}: {error}", mend)


def _region_finding(deployment: Deployment, bucket: str) -> Finding | None:
    """S3 tells everybody where a bucket lies, and whether there is one of that name."""
    wanted = _variable(deployment, "AWS_REGION", "AWS_DEFAULT_REGION") or _DEFAULT_REGION
    endpoint = _variable(deployment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") or s3_endpoint(wanted)
    try:
        answer = deployment.http.head(f"{endpoint.rstrip('/')}/{quote(bucket, safe='')}")
    except httpx.HTTPError as exc:
        mend = "look at AWS_REGION and AWS_ENDPOINT_URL, and at the network of this machine"
        raise CannotTell(f"{endpoint} does not answer ({type(exc).__name__})", mend) from exc
    region = answer.headers.get("x-amz-bucket-region")
    if answer.status_code == httpx.codes.NOT_FOUND:
        mend = f"aws s3 mb s3://{bucket} --region {wanted}, or correct BUCKETS"
        return wrong("buckets.store", f"there is no bucket {bucket} in S3", mend)
    if region and region != wanted:
        what = f"bucket {bucket} lies in {region}, and AWS_REGION is {wanted}"
        return wrong("buckets.region", what, f"AWS_REGION={region}, and deploy again there")
    return None


def s3_endpoint(region: str) -> str:
    """Of the region's partition: the ones apart know nothing of the others' buckets."""
    if region.startswith("cn-"):
        return f"https://s3.{region}.amazonaws.com.cn"
    return (
        f"https://s3.{region}.amazonaws.com" if region.startswith("us-gov-") else "https://s3.amazonaws.com"
    )


def _variable(deployment: Deployment, *names: str) -> str | None:
    """The deployment's, or else that of this machine, whose credentials are used as well."""
    return next(
        (found for name in names if (found := deployment.variables.get(name) or os.environ.get(name))), None
    )
