"""What the functions of the database API say of audits, and what they are told."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared.audits import FaultKind, Progress, Stage
from shared.database.arguments import ref_item
from shared.models import ObjectRef, Standing, StoredObject, preview_ref


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _ProgressRow(_Row):
    stage: Stage
    position: str
    objects: int
    images: int
    faults: dict[FaultKind, int]
    examples: dict[FaultKind, list[str]]
    repaired: dict[FaultKind, int]


class _BegunRow(_ProgressRow):
    audit_id: int


class _AuditedRow(_Row):
    name: str
    version: str | None
    size_bytes: int | None
    ordering_key: str
    state: Standing
    has_preview: bool
    preview: str | None
    has_vector: bool
    is_given_up: bool
    is_stuck: bool


class _RegisteredRow(_Row):
    bucket: str
    name: str
    standing: Standing
    old_preview: str | None


class _RemovalRow(_Row):
    name: str
    ordering_key: str


class _CountRow(_Row):
    removals: int
    live: int


class _PreviewRow(_Row):
    preview: str
    image: str | None
    fault: FaultKind


class _EndedRow(BaseModel):
    bucket: str
    ended_at: datetime | None


class _BucketRow(BaseModel):
    name: str
    provider: str


BEGUN = TypeAdapter(_BegunRow)
AUDITED = TypeAdapter(list[_AuditedRow])
REGISTERED = TypeAdapter(list[_RegisteredRow])
REMOVALS = TypeAdapter(list[_RemovalRow])
REMOVAL_COUNTS = TypeAdapter(list[_CountRow])
PREVIEWS = TypeAdapter(list[_PreviewRow])
ENDED = TypeAdapter(list[_EndedRow])
BUCKETS = TypeAdapter(list[_BucketRow])
COUNT = TypeAdapter(int)


def progress_item(progress: Progress) -> dict[str, object]:
    """For `keep_audit_v1`."""
    return {
        "stage": progress.stage,
        "position": progress.position,
        "objects": progress.objects,
        "images": progress.images,
        "faults": dict(progress.faults),
        "examples": {kind: list(names) for kind, names in progress.examples.items()},
        "repaired": dict(progress.repaired),
    }


def object_item(stored: StoredObject, ordering_key: str) -> dict[str, object]:
    """For `register_images_v1`; the ordering key is that of its row."""
    return {
        **ref_item(stored.ref),
        "version": stored.version,
        "etag": stored.etag,
        "size_bytes": stored.size_bytes,
        "ordering_key": ordering_key,
        "owner": stored.owner,
        "metadata": dict(stored.metadata),
        "created_at": stored.created_at and stored.created_at.isoformat(),
    }


def preview(bucket: str, name: str | None) -> ObjectRef | None:
    """Where a preview lies, if there is one."""
    return None if name is None else preview_ref(bucket, name)
