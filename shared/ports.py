"""What the use-cases need from the outside; adapters offer it."""

import math
from collections.abc import Sequence
from typing import Protocol

from shared.images import Picture
from shared.models import (
    EmbeddingModel,
    Hit,
    ImageRecord,
    ObjectEvent,
    ObjectRef,
    Standing,
    StoredObject,
    Vector,
)


class ObjectStore(Protocol):
    """A bucket store. Every method raises `Unavailable` when the store does not answer."""

    def head(self, ref: ObjectRef) -> StoredObject | None:
        """What is stored under this name now; None when nothing is."""

    def read(self, ref: ObjectRef) -> bytes:
        """The object's bytes. Raises `ObjectGone`."""

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str) -> list[str | None]:
        """An expiring link to each object, in order; None for one that is gone or not the caller's to read.

        Raises `AccessDenied` for a token that the store refuses.
        """


class SpendGuard(Protocol):
    """Says when a model that costs money may be called."""

    def acquire(self, *, deadline: float) -> None:
        """Return when one call may be made. Raises `OverBudget` when that is not before the deadline."""


class Embedder(Protocol):
    """Texts and pictures to unit vectors of one model.

    Whatever runs the model, a text longer than `model.context_tokens` is cut there, its end mark kept, where
    the tokens are at hand, and else refused; a deadline (`time.monotonic`) is kept also when a provider
    hangs. Raises `Unavailable` when it cannot be reached, `InputError` for what it can never embed,
    `SettingsError` when an operator must act.
    """

    @property
    def model(self) -> EmbeddingModel:
        """The space that the vectors belong to."""

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector a text, in order, each of `model.dimensions` floats."""

    def embed_pictures(self, pictures: Sequence[Picture], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector a picture, in order, each of `model.dimensions` floats."""


class ImageIndex(Protocol):
    """The record of all pictures. Every write may come twice, late or out of order.

    Every method raises `Unavailable` when the database does not answer.
    """

    def record(self, image: ImageRecord, *, model: str, deadline: float = math.inf) -> Standing:
        """Put a picture on record, unless something newer is known; reuse a vector of the same bytes.

        A pending one comes with the permit to embed it before the deadline; without one it raises
        `OverBudget`.
        """

    def store(self, image: ImageRecord, vector: Vector, *, model: str) -> Standing:
        """Make a recorded picture searchable, unless it has changed since."""

    def give_back(self, image: ImageRecord, reason: str, *, may_retry: bool, model: str) -> Standing:
        """Say that a recorded picture could not be embedded, for now or for good."""

    def release(self, image: ImageRecord, *, model: str) -> None:
        """Leave a recorded picture to whoever comes next: what hinders us is not its fault."""

    def fail(self, stored: StoredObject, *, content_hash: str | None, reason: str) -> Standing:
        """Keep an object that is no picture on record, with the reason."""

    def remove(self, event: ObjectEvent) -> Standing:
        """Take an object out of the index; events older than its removal change nothing any more."""


class ImageSearch(Protocol):
    """Nearest pictures, with the caller's rights."""

    def nearest_to_text(self, text: str, *, model: str, limit: int, caller_token: str) -> list[Hit] | None:
        """As `nearest`, for a text whose vector is remembered; None for one that is not."""

    def nearest(self, vector: Vector, *, model: str, limit: int, caller_token: str) -> list[Hit]:
        """At most `limit` pictures above the model's floor that the caller may see, best first.

        Raises `AccessDenied` for a caller without rights, `InputError` for a vector that does not fit the
        model, `Unavailable` when the database does not answer.
        """


class QueryMemory(Protocol):
    """Vectors of texts that were searched for. Raises `Unavailable` when the database does not answer."""

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        """Spare the next search for this text the call to the model."""

    def count_spared(self) -> None:
        """Count a call that was spared."""
