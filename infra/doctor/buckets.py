"""Whether the buckets that are followed are there, and as open as the index takes them to be."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from infra.doctor.deployment import Deployment
from infra.doctor.findings import Finding, NotLookedAt, ok, warning, wrong
from infra.doctor.stores import store_findings
from shared.models import PREVIEWS_SUFFIX
from shared.settings import Settings


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RegisteredBucket(_Row):
    """As the index knows it."""

    name: str
    provider: str
    is_public: bool


class _StoredBucket(_Row):
    id: str
    public: bool | None


class _Image(_Row):
    has_preview: bool


_REGISTERED: Final = TypeAdapter(list[RegisteredBucket])
_STORED: Final = TypeAdapter(list[_StoredBucket])
_IMAGES: Final = TypeAdapter(list[_Image])
_LOOKED_AT: Final = 100


def look(deployment: Deployment) -> Iterator[Finding]:
    """Those of BUCKETS, or else all that the index knows of this storage."""
    settings = deployment.settings
    registered = {row.name: row for row in deployment.call(_REGISTERED, "list_buckets_v1")}
    followed = sorted(settings.buckets) or [
        row.name for row in registered.values() if row.provider == settings.storage
    ]
    yield from _registered(followed, registered, settings)
    if settings.storage == "supabase":
        stored = _stored(deployment)
        yield from _in_supabase(followed, registered, stored)
        yield from _lost_previews(deployment, [name for name in followed if name in registered], stored)
    else:
        yield from store_findings(settings, deployment, followed)


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
            mend = f"correct STORAGE, or: select put_bucket_v1('{name}', provider => '{settings.storage}');"
            yield wrong("buckets.provider", what, mend)


def _in_supabase(
    followed: list[str], registered: Mapping[str, RegisteredBucket], stored: Mapping[str, bool]
) -> Iterator[Finding]:
    """The bucket of the previews is made with the first of them."""
    faults: list[Finding] = []
    for name in followed:
        faults += _bucket_findings(name, registered.get(name), stored)
    yield from faults
    if not faults and followed:
        yield ok(
            "buckets.storage", f"{len(followed)} followed buckets are in Storage, as open as in the index"
        )


def _bucket_findings(
    name: str, registered: RegisteredBucket | None, stored: Mapping[str, bool]
) -> Iterator[Finding]:
    previews = name + PREVIEWS_SUFFIX
    if name not in stored:
        mend = "make it in the dashboard (Storage), or by make deploy-supabase; or correct BUCKETS"
        yield wrong("buckets.storage", f"there is no bucket {name} in Storage", mend)
        return
    is_public = registered is not None and registered.is_public
    to_private = f"select put_bucket_v1('{name}', is_public => false);"
    to_public = f"select put_bucket_v1('{name}', is_public => true);"
    if is_public and not stored[name]:
        what = f"bucket {name} is private in Storage, and the index shows its pictures to everybody"
        mend = f"{to_private} or, if everybody may see them, make it public in the dashboard"
        yield wrong("buckets.open_in_index", what, mend)
    if stored[name] and registered is not None and not is_public:
        what = f"bucket {name} is public in Storage, and private in the index"
        mend = f"make it private in the dashboard: whoever knows a name reads it; or {to_public}"
        yield warning("buckets.open_in_storage", what, mend)
    if stored.get(previews) and not stored[name]:
        what = f"bucket {previews} is public, and {name} is private: everybody can read the previews"
        mend = f"make {previews} private in the dashboard (Storage, the bucket's menu, Edit)"
        yield wrong("buckets.open_previews", what, mend)


def _lost_previews(
    deployment: Deployment, buckets: Sequence[str], stored: Mapping[str, bool]
) -> Iterator[Finding]:
    """A bucket of previews that some picture needs."""
    for name in buckets:
        if name + PREVIEWS_SUFFIX in stored:
            continue
        page = deployment.call(_IMAGES, "list_images_v1", bucket_name=name, page_size=_LOOKED_AT)
        if any(row.has_preview for row in page):
            what = f"there is no bucket {name}{PREVIEWS_SUFFIX} in Storage, and pictures had theirs there"
            yield wrong("buckets.previews", what, f"pixseek audit {name} --repair makes it and them anew")


def _stored(deployment: Deployment) -> Mapping[str, bool]:
    """Whether each bucket of Storage is public."""
    answer = deployment.get("/storage/v1/bucket", deployment.variable("SUPABASE_SERVICE_ROLE_KEY"))
    if answer.is_error:
        raise NotLookedAt(f"Storage answers {answer.status_code} to a list of its buckets")
    try:
        rows = _STORED.validate_python(json.loads(answer.content))
    except ValueError as exc:
        raise NotLookedAt("Storage answers in an unknown form") from exc
    return {row.id: bool(row.public) for row in rows}
