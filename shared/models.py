"""What exists: objects and their events, pictures on record, models, hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal, TypeAlias

Provider: TypeAlias = Literal["supabase", "s3", "gcs", "local"]
"""Whose buckets hold the pictures."""

Vector: TypeAlias = Sequence[float]
"""A unit vector of a model's space. A plain sequence, so that only some embedders need numpy."""

PREVIEWS_SUFFIX = "-previews"
"""A bucket `photos` has its previews in `photos-previews`; those are nobody's pictures."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Where an object lies: its bucket and its name there, as stored (not URL-encoded)."""

    bucket: str
    name: str


class Change(StrEnum):
    """What an event says of its object. A hint: storage has the last word."""

    WRITTEN = "written"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """A storage event, decoded. Events come twice, late, out of order or never."""

    ref: ObjectRef
    change: Change
    ordering_key: str
    """Ranks the events of one object, compared as text."""
    is_of_sweep: bool = False
    """No event came: a sweep found it. The key is the index's own, as the sweep saw it; should the index have
    learned of anything else since, that is newer."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What storage says of an object that is there."""

    ref: ObjectRef
    version: str | None
    """Differs whenever the bytes do; None where the database asks storage itself."""
    size_bytes: int
    etag: str | None = None
    """As HTTP has it, without quotes: what was read is what is there if it is still the same."""
    ordering_key: str | None = None
    """None where storage cannot tell: then it is the event's."""
    owner: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What the uploader says of it: a bucket's rule may take the owner from there."""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UploadLink:
    """Where a client may put one object, once, without a key of its own."""

    url: str
    method: str
    headers: Mapping[str, str]
    """To be sent with it."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is known of a picture beside its pixels."""

    content_type: str
    width: int
    height: int
    """In pixels, upright."""
    average_colour: str
    """`#rrggbb`."""
    taken_at: datetime | None
    """As its camera says; in UTC when that names no zone."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What the index keeps of an object beside its vector: a picture, or why it is none."""

    stored: StoredObject
    ordering_key: str
    content_hash: str | None = None
    """sha256 of the bytes, hexadecimal; None when they were not read."""
    facts: PictureFacts | None = None
    reason: str | None = None
    """Why it cannot be embedded."""
    is_of_sweep: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """The index's answer to a record or a removal."""

    standing: "Standing"
    preview: ObjectRef | None = None
    """Where the picture's preview belongs."""
    has_preview: bool = False
    old_preview: ObjectRef | None = None
    """The preview of what was there before; nobody needs it any more."""
    permits_at: datetime | None = None
    is_permitted: bool = True
    """A pending one without a permit cannot be embedded now; more are free at `permits_at`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker has achieved for a picture that it recorded."""

    image: ImageRecord
    vector: "Vector | None" = None
    reason: str | None = None
    """Why there is no vector."""
    may_retry: bool = False
    preview: ObjectRef | None = None
    """Where its preview was written."""


@dataclass(frozen=True, slots=True)
class IndexedObject:
    """What the index has under a name of a bucket, as a sweep compares it."""

    ref: ObjectRef
    standing: "Standing"
    version: str | None
    size_bytes: int | None
    ordering_key: str
    has_preview: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture on record that cannot be searched, and why."""

    image_id: int
    ref: ObjectRef
    reason: str
    ordering_key: str
    failed_at: datetime


class Standing(StrEnum):
    """Where a picture stands, as the index answers to every write."""

    PENDING = "pending"
    """On record; the caller's to embed."""
    WAITING = "waiting"
    """On record; somebody else is embedding the same bytes."""
    INDEXED = "indexed"
    """Searchable."""
    FAILED = "failed"
    """On record with the reason why it cannot be embedded."""
    BLOCKED = "blocked"
    """On record, and shown to nobody."""
    DELETED = "deleted"
    """Gone, with a tombstone that older events cannot bring back."""
    OUTDATED = "outdated"
    """The index knows something newer; nothing was changed."""
    CHANGED = "changed"
    """Storage has something else under this name by now; nothing was changed."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A vector space. `name` names the weights, not who runs them."""

    name: str
    dimensions: int
    similarity_floor: float
    """Below this cosine a picture does not show what was asked for. Each model has its own."""
    languages: tuple[str, ...]
    """BCP 47 codes of the languages whose sentences it understands."""
    context_tokens: int | None = None
    """How much of a text it can read, the marks for start and end included; None for a text of any length."""


class Lane(StrEnum):
    """Who spends: the guard keeps one from using up what the other needs."""

    SEARCH = "search"
    INDEXING = "indexing"


@dataclass(frozen=True, slots=True)
class Granted:
    """Calls that the spend guard granted, counted from the moment of its answer."""

    waits_s: Sequence[float]
    """When each call may be made, soonest first."""
    valid_s: float | None
    """How long after that it may still be made; None for ever."""
    frees_at: datetime | None
    """When there are more, if they are fewer than were asked for."""


def ordering_key(updated_at: datetime) -> str:
    """The ordering key of a store that dates its versions: fixed width, so that text order is time order."""
    return updated_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def generation_key(generation: str | int) -> str:
    """The ordering key of Google's store, which numbers its versions: text order is number order."""
    return str(int(generation)).zfill(20)


def preview_ref(bucket: str, name: str) -> ObjectRef:
    """Where a preview of a bucket's pictures lies."""
    return ObjectRef(bucket + PREVIEWS_SUFFIX, name)
