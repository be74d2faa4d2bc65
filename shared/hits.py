"""What a search asks for, and the pictures that it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.models import ObjectRef, Standing, Vector


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a query is made of: a text, a picture's file, a vector, or a stored image."""

    text: str | None = None
    picture: bytes | None = None
    vector: Vector | None = None
    image_id: int | None = None
    weight: float = 1.0
    """How much it counts; below 0 it leads away."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, and among what."""

    parts: Sequence[Part]
    limit: int
    cursor: str | None = None
    """Of the page before."""
    min_similarity: float | None = None
    """None: the model's own floor."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """As the database names them: bucket, prefix, since, until."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of the index as its viewers see it."""

    image_id: int
    ref: ObjectRef
    is_public: bool
    """In a public bucket: everybody may see it."""
    created_at: datetime
    preview: ObjectRef | None = None
    content_type: str | None = None
    width: int | None = None
    height: int | None = None
    taken_at: datetime | None = None
    average_colour: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A picture that a search found."""

    entry: Entry
    similarity: float


@dataclass(frozen=True, slots=True)
class Page:
    """Hits, best first, and how they were found."""

    hits: Sequence[Hit]
    path: str
    next_cursor: str | None
    missing: Sequence[int] = ()
    """The places of the texts whose vectors are not remembered: then nothing was searched."""


@dataclass(frozen=True, slots=True)
class ImageState:
    """One picture, and where it stands."""

    entry: Entry
    standing: Standing
    reason: str | None
    size_bytes: int | None
    is_own: bool
    """The caller's."""
    ordering_key: str


@dataclass(frozen=True, slots=True)
class Links:
    """Where a picture and its preview can be fetched for a while; None where not."""

    url: str | None
    preview_url: str | None
