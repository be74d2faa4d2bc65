"""Whether the buckets that are followed are there, and as open as the index takes them to be."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import TypeAdapter

from infra.doctor.answers import LOOK_AT_PROJECT
from infra.doctor.deployment import Deployment
from infra.doctor.facts import RegisteredBucket, Told
from infra.doctor.findings import CannotTell, Finding, ok, warning, wrong
from infra.doctor.policies import policy_findings
from infra.doctor.stores import store_findings
from shared.models import PREVIEWS_SUFFIX
from shared.settings import Settings


class _StoredBucket(Told):
    id: str
    public: bool | None


class _Image(Told):
    state: str
    has_preview: bool


_STORED: Final = TypeAdapter(list[_StoredBucket])
_IMAGES: Final = TypeAdapter(list[_Image])
_LOOKED_AT: Final = 1000


def look(deployment: Deployment) -> Iterator[Finding]:
    """Those of BUCKETS, or else all that the index knows of this storage."""
    settings = deployment.settings
    registered = {row.name: row for row in deployment.buckets}
    followed = sorted(settings.buckets) or [
        row.name for row in registered.values() if row.provider == settings.storage
    ]
    if not deployment.is_empty:
        yield from _registered(followed, registered, settings)
    if settings.storage == "supabase":
        stored = _stored(deployment)
        left = [name for name in followed if name in stored or _is_missed(name, deployment)]
        yield from _in_supabase(left, registered, stored, deployment)
        yield from _lost_previews(deployment, [name for name in left if name in registered], stored)
        yield from policy_findings(deployment.facts.storage, deployment.deploys_supabase)
    else:
        yield from store_findings(settings, deployment, followed)


def _is_missed(bucket: str, deployment: Deployment) -> bool:
    """Of one that Storage lacks: whether somebody counts on it. The index forgets pictures, no buckets."""
    return bucket in deployment.settings.buckets or any(
        image.state != "deleted" for image in _images(deployment, bucket)
    )


def _images(deployment: Deployment, bucket: str) -> list[_Image]:
    return deployment.call(_IMAGES, "list_images_v1", bucket_name=bucket, page_size=_LOOKED_AT)


def _registered(
    followed: list[str], registered: Mapping[str, RegisteredBucket], settings: Settings
) -> Iterator[Finding]:
    if not followed:
        yield ok("buckets.followed", "all buckets are followed, and the index knows none yet")
    for name in followed:
        row = registered.get(name)
        if row is None:
            mend = f"it comes with its first picture; what was there before: pixseek backfill {name}"
            yield warning("buckets.registered", f"the index does not know bucket {name} yet", mend)
        elif row.provider != settings.storage:
            what = f"the index takes bucket {name} to be of {row.provider}, and STORAGE is {settings.storage}"
            mend = "correct STORAGE, or BUCKETS: a bucket of another store takes another name"
            yield wrong("buckets.provider", what, mend)


def _in_supabase(
    followed: list[str],
    registered: Mapping[str, RegisteredBucket],
    stored: Mapping[str, bool],
    deployment: Deployment,
) -> Iterator[Finding]:
    """The bucket of the previews is made with the first of them."""
    faults: list[Finding] = []
    for name in followed:
        faults += _bucket_findings(name, registered.get(name), stored, deployment)
    yield from faults
    if not faults and followed:
        yield ok(
            "buckets.storage", f"{len(followed)} followed buckets are in Storage, as open as in the index"
        )


def _bucket_findings(
    name: str, registered: RegisteredBucket | None, stored: Mapping[str, bool], deployment: Deployment
) -> Iterator[Finding]:
    previews = name + PREVIEWS_SUFFIX
    if name not in stored:
        mend = f"make it in the dashboard (Storage), or by {deployment.deploys_supabase}; or correct BUCKETS"
        yield wrong("buckets.storage", f"there is no bucket {name} in Storage", mend)
        return
    is_public = registered is not None and registered.is_public
    if is_public and not stored[name]:
        what = f"bucket {name} is private in Storage, and the index shows its pictures to everybody"
        closing = _turning(name, deployment, is_public=False)
        mend = f"{closing} or, if everybody may see them, make it public in the dashboard"
        yield wrong("buckets.open_in_index", what, mend)
    if stored[name] and registered is not None and not is_public:
        what = f"bucket {name} is public in Storage, and private in the index"
        opening = _turning(name, deployment, is_public=True)
        mend = f"make it private in the dashboard: whoever knows a name reads it; or {opening}"
        yield warning("buckets.open_in_storage", what, mend)
    if stored.get(previews) and not stored[name]:
        what = f"bucket {previews} is public, and {name} is private: everybody can read the previews"
        mend = f"make {previews} private in the dashboard (Storage, the bucket's menu, Edit)"
        yield wrong("buckets.open_previews", what, mend)


def _turning(bucket: str, deployment: Deployment, *, is_public: bool) -> str:
    """What makes the index take it so. A stage's next deployment would take back what SQL has set."""
    if deployment.stage is None:
        return f"select put_bucket_v1('{bucket}', is_public => {str(is_public).lower()});"
    moved = f"put {bucket} into" if is_public else f"take {bucket} out of"
    return f"{moved} PUBLIC_BUCKETS in .env.{deployment.stage}, then: {deployment.deploys_supabase};"


def _lost_previews(
    deployment: Deployment, buckets: Sequence[str], stored: Mapping[str, bool]
) -> Iterator[Finding]:
    """A bucket of previews that some picture needs."""
    for name in buckets:
        if name + PREVIEWS_SUFFIX in stored:
            continue
        if any(row.has_preview and row.state != "deleted" for row in _images(deployment, name)):
            what = f"there is no bucket {name}{PREVIEWS_SUFFIX} in Storage, and pictures had theirs there"
            yield wrong("buckets.previews", what, f"make it and them anew: pixseek audit {name} --repair")


def _stored(deployment: Deployment) -> Mapping[str, bool]:
    """Whether each bucket of Storage is public."""
    answer = deployment.get("/storage/v1/bucket")
    if answer.is_error:
        raise CannotTell(f"Storage answers {answer.status_code} to a list of its buckets", LOOK_AT_PROJECT)
    try:
        rows = _STORED.validate_python(json.loads(answer.content))
    except ValueError as exc:
        raise CannotTell("Storage answers in an unknown form", LOOK_AT_PROJECT) from exc
    return {row.id: bool(row.public) for row in rows}
