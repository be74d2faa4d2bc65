"""The real adapters, with faults let in between."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from shared.errors import PixseekError
from shared.images import Picture
from shared.models import EmbeddingModel, ImageRecord, ObjectRef, Recorded, Result, Standing, Vector
from shared.ports import Embedder, ImageIndex, ObjectStore, OpenObject, View


class FaultyStore:
    """A store whose acts may meet an error, or something else, first; all else is the store's own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.before_open: Callable[[ObjectRef], None] = lambda _: None
        self.after_open: Callable[[ObjectRef], None] = lambda _: None
        self.before_put: Callable[[ObjectRef], None] = lambda _: None
        self.before_delete: Callable[[], None] = lambda: None
        self.opened: list[ObjectRef] = []
        self.heads = store.heads
        self.list_page = store.list_page
        self.links = store.links
        self.upload_link = store.upload_link
        self.knows_callers = store.knows_callers

    @contextmanager
    def open(self, ref: ObjectRef) -> Iterator[OpenObject]:
        self.before_open(ref)
        self.opened.append(ref)
        with self._store.open(ref) as found:
            yield found
        self.after_open(ref)

    def put(self, ref: ObjectRef, data: bytes, *, content_type: str) -> None:
        self.before_put(ref)
        self._store.put(ref, data, content_type=content_type)

    def delete(self, refs: Sequence[ObjectRef], *, caller_token: str | None = None) -> None:
        self.before_delete()
        self._store.delete(refs, caller_token=caller_token)


class FaultyEmbedder(Embedder):
    """An embedder that counts, and answers an error for some views."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.errors: dict[View, PixseekError] = {}
        self.asked: list[View] = []

    @property
    def model(self) -> EmbeddingModel:
        return self._embedder.model

    def embed_texts(self, texts: Sequence[str], *, deadline: float = float("inf")) -> list[Vector]:
        return self._embedder.embed_texts(texts, deadline=deadline)

    def view(self, picture: Picture) -> View:
        return self._embedder.view(picture)

    def embed_views(
        self, views: Sequence[View], *, deadline: float = float("inf")
    ) -> list[Vector | PixseekError]:
        self.asked += views
        vectors = self._embedder.embed_views(views, deadline=deadline)
        return [self.errors.get(view, vector) for view, vector in zip(views, vectors, strict=True)]


class FaultyIndex:
    """An index whose calls may meet an error first."""

    def __init__(self, index: ImageIndex) -> None:
        self._index = index
        self.before_record: Callable[[Sequence[ImageRecord]], None] = lambda _: None
        self.before_store: Callable[[], None] = lambda: None
        self.remove = index.remove
        self.release = index.release
        self.fail_unread = index.fail_unread

    def record(
        self, images: Sequence[ImageRecord], *, model: str, deadline: float = float("inf")
    ) -> list[Recorded]:
        self.before_record(images)
        return self._index.record(images, model=model, deadline=deadline)

    def store(
        self, results: Sequence[Result], *, model: str, deadline: float = float("inf")
    ) -> list[Standing]:
        self.before_store()
        return self._index.store(results, model=model, deadline=deadline)
