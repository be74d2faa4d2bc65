"""Whether buckets outside of Supabase can be listed and read from here."""

import os
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import httpx

from infra.doctor.deployment import Deployment
from infra.doctor.findings import Finding, NotLookedAt, ok, wrong
from shared.errors import PixseekError, SettingsError
from shared.models import PREVIEWS_SUFFIX, Lane, ObjectRef
from shared.ports import ObjectStore
from shared.settings import Settings

_DEFAULT_REGION: Final = "us-east-1"
_S3: Final = "https://s3.amazonaws.com"
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
        yield found or _store_finding(store, bucket, settings)


def _store_finding(store: ObjectStore, bucket: str, settings: Settings) -> Finding:
    """A bucket of previews in a folder of this machine is made with the first of them."""
    if settings.storage == "local" and bucket.endswith(PREVIEWS_SUFFIX):
        return ok("buckets.store", f"{bucket} is made when it is needed")
    try:
        store.list_page(bucket, limit=1)
        store.heads([ObjectRef(bucket, _NO_OBJECT)])
    except SettingsError as exc:
        mend = "make the bucket, correct its name, or let the function's role list and read it"
        return wrong("buckets.store", f"{bucket}: {exc}", mend)
    except PixseekError as exc:
        mend = "look at region, endpoint and credentials (AWS_*, or Google's), and at the bucket's policy"
        return wrong("buckets.store", f"{bucket}: {exc}", mend)
    return ok("buckets.store", f"{bucket} can be listed and read with this machine's credentials")


def _region_finding(deployment: Deployment, bucket: str) -> Finding | None:
    """S3 tells everybody where a bucket lies, and whether there is one of that name."""
    wanted = _variable(deployment, "AWS_REGION", "AWS_DEFAULT_REGION") or _DEFAULT_REGION
    endpoint = _variable(deployment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") or _S3
    try:
        answer = deployment.http.head(f"{endpoint.rstrip('/')}/{quote(bucket, safe='')}")
    except httpx.HTTPError as exc:
        raise NotLookedAt(f"{endpoint} does not answer ({type(exc).__name__})") from exc
    region = answer.headers.get("x-amz-bucket-region")
    if answer.status_code == httpx.codes.NOT_FOUND:
        mend = f"aws s3 mb s3://{bucket} --region {wanted}, or correct BUCKETS"
        return wrong("buckets.store", f"there is no bucket {bucket} in S3", mend)
    if region and region != wanted:
        what = f"bucket {bucket} lies in {region}, and AWS_REGION is {wanted}"
        return wrong("buckets.region", what, f"AWS_REGION={region}, and deploy again there")
    return None


def _variable(deployment: Deployment, *names: str) -> str | None:
    """The deployment's, or else that of this machine, whose credentials are used as well."""
    return next(
        (found for name in names if (found := deployment.variables.get(name) or os.environ.get(name))), None
    )
