"""Roboflow's hosted CLIP, or a Roboflow inference server of one's own."""

import base64
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from pydantic import JsonValue

from shared.embedding.local import Once
from shared.embedding.manifest import Manifest
from shared.embedding.roboflow_api import RoboflowApi
from shared.embedding.tokens import clip_tokens, surely_fits
from shared.errors import InputError, SettingsError, Unavailable
from shared.images import Picture
from shared.models import EmbeddingModel, Vector
from shared.ports import SpendGuard

_TEXTS_A_REQUEST: Final = 64

Call = Callable[[], list[list[float]]]


class RoboflowEmbedder:
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
        self._tokens = Once(lambda: clip_tokens(context_tokens=None))

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
        calls = [self._text_call(list(part), deadline) for part in parts]
        vectors = self._run(calls, deadline)
        return [
            vector
            for part, rows in zip(parts, vectors, strict=True)
            for vector in self._unit(rows, expected=len(part))
        ]

    def embed_pictures(self, pictures: Sequence[Picture], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector a picture, in order. Raises as `embed_texts` does."""
        calls = [self._picture_call(picture, deadline) for picture in pictures]
        return [self._unit(rows, expected=1)[0] for rows in self._run(calls, deadline)]

    def _text_call(self, texts: list[str], deadline: float) -> Call:
        return lambda: self._api.embed("embed_text", {"text": list(texts)}, deadline=deadline)

    def _picture_call(self, picture: Picture, deadline: float) -> Call:
        def call() -> list[list[float]]:
            png = base64.b64encode(picture.model_view_png(self._size_px)).decode("ascii")
            image: dict[str, JsonValue] = {"type": "base64", "value": png}
            return self._api.embed("embed_image", {"image": image}, deadline=deadline)

        return call

    def _run(self, calls: Sequence[Call], deadline: float) -> list[list[list[float]]]:
        """Many at once, no more than `concurrency` in this process. The first failure ends the rest."""
        futures = [self._threads.get().submit(call) for call in calls]
        try:
            return [_result(future, deadline) for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _readable(self, text: str) -> str:
        """The server refuses a long text in several ways, and takes an end mark in a text for the end."""
        text = text.replace("<|", "< |")
        limit = self._model.context_tokens
        if limit is not None and not surely_fits(text, limit):
            [tokens] = self._tokens.get().ids([text])
            if len(tokens) > limit:
                raise InputError(f"the text is too long for the model: {len(tokens)} tokens, at most {limit}")
        return text

    def _unit(self, rows: list[list[float]], *, expected: int) -> list[Vector]:
        if len(rows) != expected:
            raise Unavailable(f"Roboflow answered {len(rows)} vectors for {expected} inputs")
        return [self._unit_vector(row) for row in rows]

    def _unit_vector(self, row: list[float]) -> Vector:
        if len(row) != self._model.dimensions:
            raise SettingsError(
                f"Roboflow answered a vector of {len(row)} numbers, and {self._model.name} has "
                f"{self._model.dimensions}: another model answers at ROBOFLOW_API_URL"
            )
        length = math.hypot(*row)
        if not math.isfinite(length) or length < 1e-6:
            raise Unavailable("Roboflow answered a vector that points nowhere")
        return [value / length for value in row]


def _result(future: Future[list[list[float]]], deadline: float) -> list[list[float]]:
    """A thread that hangs beyond the caller's time is left behind."""
    done, _ = wait([future], None if math.isinf(deadline) else max(0.0, deadline - time.monotonic()))
    if not done:
        raise Unavailable("Roboflow did not answer in the time that was left")
    return future.result()
