"""What the functions of the database API answer, and what that means."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from shared.hits import Entry, Hit, ImageState, Page
from shared.models import Granted, ObjectRef, Recorded, Standing, StoredObject, ordering_key, preview_ref


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _EntryRow(BaseModel):
    id: int
    bucket: str
    image: str
    is_public: bool
    created_at: datetime
    preview: str | None
    content_type: str | None
    width: int | None
    height: int | None
    taken_at: datetime | None
    average_colour: str | None


class _HitRow(_EntryRow):
    similarity: float


class _Found(_Row):
    path: str
    model: str
    hits: list[_HitRow]
    next_cursor: str | None
    missing: list[int]


class _ShownRow(_EntryRow):
    state: Standing
    reason: str | None
    size_bytes: int | None
    is_own: bool
    ordering_key: str


class _BucketRow(BaseModel):
    name: str
    owner_rule: str


class _StoredRow(_Row):
    name: str
    version: str
    etag: str | None = None
    owner: str | None
    metadata: dict[str, JsonValue]
    size_bytes: int
    created_at: datetime
    updated_at: datetime


class _StandingRow(_Row):
    bucket: str
    name: str
    image_id: int | None
    standing: Standing


class _RemovedRow(_StandingRow):
    old_preview: str | None


class _RecordedRow(_RemovedRow):
    embed_in_s: float | None
    embed_until_s: float | None
    permits_at: datetime | None
    preview: str | None
    has_preview: bool


class _IndexedRow(_Row):
    name: str
    version: str | None
    size_bytes: int | None
    ordering_key: str
    state: Standing
    has_preview: bool


class _StateRow(_Row):
    name: str
    state: Standing
    content_hash: str | None
    reason: str | None


class _FailedRow(_Row):
    image_id: int
    bucket: str
    image: str
    reason: str
    ordering_key: str
    updated_at: datetime


BUCKETS = TypeAdapter(list[_BucketRow])
FAILED = TypeAdapter(list[_FailedRow])
FOUND = TypeAdapter(_Found)
GRANTED = TypeAdapter(Granted)
INDEXED = TypeAdapter(list[_IndexedRow])
NAME = TypeAdapter(str)
NAMES = TypeAdapter(list[str])
NOTHING = TypeAdapter(object)
RECORDED = TypeAdapter(list[_RecordedRow])
REMOVED = TypeAdapter(list[_RemovedRow])
SECONDS = TypeAdapter(float)
SHOWN = TypeAdapter(_ShownRow)
STATES = TypeAdapter(list[_StateRow])
STORED = TypeAdapter(list[_StoredRow])
STANDINGS = TypeAdapter(list[_StandingRow])


def permits_of(rows: Sequence[_RecordedRow]) -> Granted:
    """The permits that came with recorded pictures."""
    waits_s = sorted(row.embed_in_s for row in rows if row.embed_in_s is not None)
    valid_s = next(
        (
            row.embed_until_s - row.embed_in_s
            for row in rows
            if row.embed_until_s is not None and row.embed_in_s is not None
        ),
        None,
    )
    return Granted(waits_s, valid_s, None)


def recorded(row: _RecordedRow) -> Recorded:
    """The answer to a record."""
    return Recorded(
        row.standing,
        preview=_preview(row.bucket, row.preview),
        has_preview=row.has_preview,
        old_preview=_preview(row.bucket, row.old_preview),
        is_permitted=row.embed_in_s is not None,
        permits_at=row.permits_at,
    )


def removed(row: _RemovedRow) -> Recorded:
    """The answer to a removal."""
    return Recorded(row.standing, old_preview=_preview(row.bucket, row.old_preview))


def _preview(bucket: str, name: str | None) -> ObjectRef | None:
    return None if name is None else preview_ref(bucket, name)


def stored_object(ref: ObjectRef, row: _StoredRow) -> StoredObject:
    """Storage's own row of an object."""
    return StoredObject(
        ref,
        row.version,
        row.size_bytes,
        etag=row.etag,
        ordering_key=ordering_key(row.updated_at),
        owner=row.owner,
        metadata=row.metadata,
        created_at=row.created_at,
    )


def page(found: _Found) -> Page:
    """Best first."""
    hits = [Hit(_entry(row), row.similarity) for row in found.hits]
    return Page(hits, found.path, found.next_cursor, found.missing)


def image_state(row: _ShownRow) -> ImageState:
    """One picture."""
    return ImageState(
        _entry(row), row.state, row.reason, row.size_bytes, is_own=row.is_own, ordering_key=row.ordering_key
    )


def _entry(row: _EntryRow) -> Entry:
    return Entry(
        row.id,
        ObjectRef(row.bucket, row.image),
        row.is_public,
        row.created_at,
        _preview(row.bucket, row.preview),
        row.content_type,
        row.width,
        row.height,
        row.taken_at,
        row.average_colour,
    )
