"""Roboflow's hosted CLIP, or a Roboflow inference server of one's own."""

import base64
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

from pydantic import JsonValue

from shared.embedding.byte_pairs import BytePairs
from shared.embedding.local import Once
from shared.embedding.manifest import Manifest
from shared.embedding.roboflow_api import RoboflowApi
from shared.embedding.vocabulary import surely_fits
from shared.errors import InputError, OverBudget, PixseekError, SettingsError, Unavailable
from shared.images import Picture
from shared.models import EmbeddingModel, Vector
from shared.ports import Embedder, SpendGuard, View

_TEXTS_A_REQUEST: Final = 64

_Found = TypeVar("_Found")


class RoboflowEmbedder(Embedder):
    """Texts as lists; pictures one a request, many in flight: the default engine of Roboflow's server merges
    the pictures of a list into one.

    A picture is sent as the model looks at it, so that the size of an upload does not matter and the vector
    is that of the local model with the same weights.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        guard: SpendGuard,
        url: str,
        api_key: str | None = None,
        concurrency: int = 16,
    ) -> None:
        """Connects to nothing yet. Raises `SettingsError` for weights that Roboflow does not have."""
        if manifest.roboflow_version is None or manifest.vision is None:
            raise SettingsError(
                f"Roboflow does not run {manifest.id}: choose another CLIP_MODEL, or EMBEDDER=clip"
            )
        self._model = manifest.model()
        self._size_px = manifest.vision.size_px
        self._api = RoboflowApi(
            url, api_key=api_key, version=manifest.roboflow_version, guard=guard, connections=concurrency
        )
        self._threads = Once(lambda: ThreadPoolExecutor(concurrency, thread_name_prefix="roboflow"))
        # Loaded for long texts only: most fit in any case.
        self._byte_pairs = Once(BytePairs)

    @property
    def model(self) -> EmbeddingModel:
        """The space that the vectors belong to: that of the weights, whoever runs them."""
        return self._model

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector a text, in order.

        Raises `InputError` for a text that is too long for the model, `SettingsError` when Roboflow refuses
        us, `Unavailable` when it does not answer in time.
        """
        texts = [self._readable(text) for text in texts]
        parts = [texts[start : start + _TEXTS_A_REQUEST] for start in range(0, len(texts), _TEXTS_A_REQUEST)]
        with self._begun([partial(self._embed_part, part, deadline) for part in parts]) as begun:
            return [vector for future in begun for vector in _result(future, deadline)]

    def view(self, picture: Picture) -> View:
        """A PNG of what the model looks at."""
        return picture.model_view_png(self._size_px)

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        """One unit vector a view, in order, or the error that its own request has met, `Unavailable` if that
        was not answered in time.

        Once Roboflow refuses us (`SettingsError`) or the spend guard does (`OverBudget`), requests that have
        not begun are not made: their views share that error.
        """
        refusals: list[PixseekError] = []
        with self._begun([partial(self._embed_view, view, refusals, deadline) for view in views]) as begun:
            return [_outcome(future, deadline) for future in begun]

    def check(self, *, deadline: float) -> None:
        """Raises `Unavailable` when nothing answers there. Whether it takes our key only a call can tell."""
        self._api.reach(deadline=deadline)

    def _embed_part(self, texts: Sequence[str], deadline: float) -> list[Vector]:
        return self._ask("embed_text", {"text": list(texts)}, expected=len(texts), deadline=deadline)

    def _embed_view(self, view: View, refusals: list[PixseekError], deadline: float) -> Vector | PixseekError:
        if refusals:
            return refusals[0]
        image: JsonValue = {"type": "base64", "value": base64.b64encode(view).decode("ascii")}
        try:
            return self._ask("embed_image", {"image": image}, expected=1, deadline=deadline)[0]
        except PixseekError as exc:
            error = exc.with_traceback(None)  # without its frames, which hold the view
        if isinstance(error, SettingsError | OverBudget):
            refusals.append(error)
        return error

    @contextmanager
    def _begun(self, calls: Sequence[Callable[[], _Found]]) -> Iterator[list[Future[_Found]]]:
        """Many at once, no more than `concurrency` in this process; none begins after the block."""
        futures = [self._threads.get().submit(call) for call in calls]
        try:
            yield futures
        finally:
            for future in futures:
                future.cancel()

    def _readable(self, text: str) -> str:
        """The server refuses a long text in several ways, and takes an end mark in a text for the end."""
        text = text.replace("<|", "< |")
        limit = self._model.context_tokens
        if limit is not None and not surely_fits(text, limit):
            tokens = self._byte_pairs.get().count(text)
            if tokens > limit:
                raise InputError(f"the text is too long for the model: {tokens} tokens, at most {limit}")
        return text

    def _ask(
        self, route: str, body: Mapping[str, JsonValue], *, expected: int, deadline: float
    ) -> list[Vector]:
        rows = self._api.embed(route, body, deadline=deadline)
        if len(rows) != expected:
            raise Unavailable(f"Roboflow answered {len(rows)} vectors for {expected} inputs")
        return [self._unit(row) for row in rows]

    def _unit(self, row: list[float]) -> Vector:
        if len(row) != self._model.dimensions:
            raise SettingsError(
                f"Roboflow answered a vector of {len(row)} numbers, and {self._model.name} has "
                f"{self._model.dimensions}: another model answers at ROBOFLOW_API_URL"
            )
        length = math.hypot(*row)
        if not math.isfinite(length) or length < 1e-6:
            raise Unavailable("Roboflow answered a vector that points nowhere")
        return [value / length for value in row]


def _result(future: Future[_Found], deadline: float) -> _Found:
    """A thread that hangs beyond the caller's time is left behind."""
    done, _ = wait([future], None if math.isinf(deadline) else max(0.0, deadline - time.monotonic()))
    if not done:
        raise Unavailable("Roboflow did not answer in the time that was left")
    return future.result()


def _outcome(future: Future[Vector | PixseekError], deadline: float) -> Vector | PixseekError:
    try:
        return _result(future, deadline)
    except Unavailable as exc:
        return exc.with_traceback(None)
