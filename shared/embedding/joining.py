"""A text that is being embedded is not embedded again beside it."""

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from shared.errors import PixseekError, Unavailable
from shared.images import Picture
from shared.models import EmbeddingModel, Vector
from shared.ports import Embedder, View


class JoiningEmbedder(Embedder):
    """Threads that ask for the same text at the same time share one call, and its error."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Vector]] = {}

    @property
    def model(self) -> EmbeddingModel:
        """The embedder's."""
        return self._embedder.model

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector a text, in order. Raises what the embedder raises."""
        own: dict[str, Future[Vector]] = {}
        with self._lock:
            for text in texts:
                if text not in self._under_way:
                    own[text] = self._under_way[text] = Future()
            wanted = [self._under_way[text] for text in texts]
        if own:
            self._embed(own, deadline)
        return [_result(vector, deadline) for vector in wanted]

    def view(self, picture: Picture) -> View:
        """The embedder's. Raises what that raises."""
        return self._embedder.view(picture)

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        """One unit vector a view, in order, or the error that the embedder has met with it."""
        return self._embedder.embed_views(views, deadline=deadline)

    def check(self, *, deadline: float) -> None:
        """Raises what would keep the embedder from embedding now."""
        self._embedder.check(deadline=deadline)

    def _embed(self, own: dict[str, Future[Vector]], deadline: float) -> None:
        try:
            vectors = self._embedder.embed_texts(list(own), deadline=deadline)
            for future, vector in zip(own.values(), vectors, strict=True):
                future.set_result(vector)
        except BaseException as exc:
            for future in own.values():
                if not future.done():
                    future.set_exception(exc)
            raise
        finally:
            with self._lock:
                for text in own:
                    del self._under_way[text]


def _result(vector: Future[Vector], deadline: float) -> Vector:
    left_s = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
    try:
        return vector.result(left_s)
    except TimeoutError as exc:
        if vector.done():  # at the last moment
            return vector.result()
        raise Unavailable("the text was not embedded in time") from exc
