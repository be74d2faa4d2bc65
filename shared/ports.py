"""What the use-cases need from the outside; adapters offer it."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, cast

from shared.errors import PixseekError
from shared.hits import ImageState, Page, Query
from shared.images import Picture
from shared.models import (
    EmbeddingModel,
    ImageRecord,
    IndexedObject,
    ObjectEvent,
    ObjectRef,
    Recorded,
    Result,
    Standing,
    StoredObject,
    UploadLink,
    Vector,
)

View: TypeAlias = bytes
"""A picture as one embedder sends it to its model."""


class OpenObject(Protocol):
    """An object whose bytes are about to be read."""

    @property
    def stored(self) -> StoredObject:
        """What is known of it before a byte of it is read."""

    def read(self) -> bytes:
        """Its bytes, `stored.size_bytes` of them. Raises `Unavailable`."""


class ObjectLinks(Protocol):
    """Where objects can be fetched, and put. Raises `Unavailable` when the store does not answer."""

    @property
    def knows_callers(self) -> bool:
        """Whether the store itself decides who may do what; else all is done with our own rights."""

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str | None) -> list[str | None]:
        """An expiring link to each object, in order; None for one that is gone or not the caller's to read.

        Without a token they are made with our own rights: the caller's were checked. A store that knows no
        callers makes them all so, also to what is not there. Raises `AccessDenied` for a token that the store
        refuses.
        """

    def upload_link(self, ref: ObjectRef, *, content_type: str, caller_token: str | None) -> UploadLink:
        """An expiring right to upload one object. Raises `AccessDenied`, `InputError` for a store without."""


class ObjectStore(ObjectLinks, Protocol):
    """A bucket store.

    Every method raises `Unavailable` when the store does not answer or refuses an object that is there, and
    `SettingsError` when it refuses us altogether.
    """

    def heads(self, refs: Sequence[ObjectRef]) -> list[StoredObject | None]:
        """What is stored under these names now, in order; None where nothing is."""

    def open(self, ref: ObjectRef) -> AbstractContextManager[OpenObject]:
        """An object, its bytes not read yet: the caller looks at the size first.

        Raises `ObjectGone`, `ObjectRefused`.
        """

    def put(self, ref: ObjectRef, data: bytes, *, content_type: str) -> None:
        """Write an object, over what is there. A missing bucket is made, private, where the store can."""

    def delete(self, refs: Sequence[ObjectRef], *, caller_token: str | None = None) -> None:
        """Delete objects; what is not there, or not the caller's to delete, is no error.

        Without a token with our own rights, as does a store that knows no callers.
        """

    def list_page(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """The next `limit` objects of a bucket whose names come after `after`, by the names' UTF-8 bytes.

        Fewer mean that there are no more.
        """


class SpendGuard(Protocol):
    """Says when a model that costs money may be called."""

    def acquire(self, *, deadline: float) -> None:
        """Return when one call may be made. Raises `OverBudget` when that is not before the deadline."""


class TextEmbedder(Protocol):
    """Texts to unit vectors of one model.

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


class Embedder(TextEmbedder, Protocol):
    """Pictures to unit vectors of the same space, too."""

    def view(self, picture: Picture) -> View:
        """What the model looks at of a picture, small enough to keep many."""

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        """One unit vector a view, in order, each of `model.dimensions` floats; in its place the error that it
        has met, so that it does not cost the others theirs.
        """

    def embed_pictures(self, pictures: Sequence[Picture], *, deadline: float = math.inf) -> list[Vector]:
        """The same from pictures. Raises the first error."""
        embedded = self.embed_views([self.view(picture) for picture in pictures], deadline=deadline)
        for vector in embedded:
            if isinstance(vector, PixseekError):
                raise vector
        return cast("list[Vector]", embedded)

    def check(self, *, deadline: float) -> None:
        """Raises what would keep it from embedding now, as far as that can be known without a call that
        costs.
        """
        self.embed_texts(["a picture"], deadline=deadline)


class Embedders(Protocol):
    """The embedders of a deployment, by their models. Every method raises `SettingsError` for a model that
    none is configured for.
    """

    def active(self, *, deadline: float, afresh: bool = False) -> Embedder:
        """That of the model which searches use, as it was known a moment ago, or is `afresh`.

        Raises `Unavailable` when the database does not tell.
        """

    def named(self, model: str) -> Embedder:
        """That of a model."""


class ImageIndex(Protocol):
    """The record of all pictures. Every write may come twice, late or out of order.

    Every method answers in the order of what it is given, and raises `Unavailable` when the database does not
    answer.
    """

    def record(
        self, images: Sequence[ImageRecord], *, model: str, deadline: float = math.inf
    ) -> list[Recorded]:
        """Put objects on record, unless something newer is known; reuse vectors of the same bytes.

        What is pending is the caller's to embed before the deadline, as far as it is permitted.
        """

    def store(self, results: Sequence[Result], *, model: str, deadline: float = math.inf) -> list[Standing]:
        """Make recorded pictures searchable, unless they have changed since, or say why they are not.

        Vectors are paid for: until the deadline it is tried again.
        """

    def release(self, images: Sequence[ImageRecord], *, model: str) -> None:
        """Leave recorded pictures to whoever comes next: what hinders us is not their fault."""

    def fail_unread(self, events: Sequence[ObjectEvent], reason: str) -> None:
        """Keep objects that we may not read on record as failed; what can be searched stays so."""

    def remove(self, events: Sequence[ObjectEvent]) -> list[Recorded]:
        """Take objects out of the index; events older than their removal change nothing any more."""


class ImageCatalogue(Protocol):
    """What the index has, page by page. Raises `Unavailable` when the database does not answer."""

    def list_images(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[IndexedObject]:
        """The next `limit` images of a bucket after a name, by the names' UTF-8 bytes, tombstones too."""

    def orphan_previews(self, bucket: str, names: Sequence[str]) -> list[ObjectRef]:
        """Those of some previews of a bucket's pictures, at most 1000, that no picture needs."""


class ImageSearch(Protocol):
    """Pictures of the index, with the caller's rights.

    Every method raises `AccessDenied` for a caller without rights, and `Unavailable` when the database does
    not answer before the deadline.
    """

    def nearest(self, query: Query, *, model: str, caller_token: str, deadline: float = math.inf) -> Page:
        """At most `limit` pictures that reach the least similarity, best first; or the texts that are not
        remembered.

        Raises `InputError` for what does not fit the model, `UnknownImage`, `NotIndexed`.
        """

    def image(self, image_id: int, *, caller_token: str, deadline: float = math.inf) -> ImageState:
        """One picture. Raises `UnknownImage`."""

    def image_named(self, ref: ObjectRef, *, caller_token: str, deadline: float = math.inf) -> ImageState:
        """The same by its name in its bucket. Raises `UnknownImage`."""

    def cursor_model(self, cursor: str, *, deadline: float = math.inf) -> str:
        """The model of the search that a cursor goes on with. Raises `InputError` for what is no cursor."""


class QueryMemory(Protocol):
    """Vectors of texts that were searched for. Raises `Unavailable` when the database does not answer."""

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        """Spare the next search for this text the call to the model."""

    def count_spared(self) -> None:
        """Count a call that was spared."""

    def count_asked(self, texts: Sequence[str]) -> None:
        """Count what was asked: a model that comes later learns first what is asked most."""


class RequestCounter(Protocol):
    """Counts how often somebody asks. Raises `Unavailable` when the database does not answer."""

    def count_request(self, caller: str, *, per_minute: int, deadline: float = math.inf) -> float:
        """Count a request; how many seconds its caller has to wait, 0 if it may be answered."""


class BucketRules(Protocol):
    """Who owns a picture of a bucket. Raises `Unavailable` when the database does not answer."""

    def owner_rule(self, bucket: str) -> str | None:
        """The rule of a bucket; None for an unknown one."""


class Admission(Protocol):
    """A request that is being counted."""

    def wait(self) -> None:
        """Return when the request may be answered, before anything is spent on it. Raises `RateLimited`."""
