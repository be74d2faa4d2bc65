"""What exists: objects and their events, pictures on record, models, hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

Vector: TypeAlias = Sequence[float]
"""A unit vector of a model's space. A plain sequence, so that only some embedders need numpy."""


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


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What storage says of an object that is there."""

    ref: ObjectRef
    version: str
    ordering_key: str
    size_bytes: int
    owner: str | None
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What the uploader says of it: a bucket's rule may take the owner from there."""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What the index keeps of a picture beside its vector."""

    stored: StoredObject
    content_hash: str
    """sha256 of the bytes, hexadecimal."""
    content_type: str
    width: int
    height: int


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


@dataclass(frozen=True, slots=True)
class Hit:
    """A picture that a search found."""

    image_id: int
    ref: ObjectRef
    similarity: float


def ordering_key(updated_at: datetime) -> str:
    """The ordering key of a store that dates its versions: fixed width, so that text order is time order."""
    return updated_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
