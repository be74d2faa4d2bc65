"""CLIP and its kin from local ONNX files: a picture tower and a text tower, each loaded when it is first
needed.

Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", arXiv
2103.00020.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from shared.embedding.local import Once, cores, embed_runs, runs
from shared.embedding.manifest import Manifest, Text, Vision
from shared.embedding.onnx_file import OnnxFile
from shared.embedding.tokens import Tokens, clip_tokens, read_tokens
from shared.errors import PixseekError, SettingsError
from shared.images import Picture
from shared.models import EmbeddingModel, Vector
from shared.ports import Embedder, View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PICTURES_A_RUN: Final = 8
_TEXTS_A_RUN: Final = 32

_Item = TypeVar("_Item")


class ClipEmbedder(Embedder):
    """The towers of one set of weights. Threads share it."""

    def __init__(self, manifest: Manifest, folder: Path, *, threads: int | None = None) -> None:
        """Loads nothing yet. `threads` compute one call; by default as many as this process has cores."""
        count = threads or cores()
        self._manifest = manifest
        self._model = manifest.model()
        self._vision = Once(lambda: VisionTower(_needed(manifest.vision, manifest, "picture"), folder, count))
        self._text = Once(lambda: TextTower(_needed(manifest.text, manifest, "text"), folder, count))

    @property
    def model(self) -> EmbeddingModel:
        """The space that the vectors belong to."""
        return self._model

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector a text, in order; what is past the model's context is not read.

        Raises `InputError` for broken Unicode, `SettingsError` for missing or wrong weights.
        """
        vectors: list[Vector] = []
        for run in runs(texts, _TEXTS_A_RUN, deadline):
            vectors += self._unit(self._text.get().encode(run))
        return vectors

    def view(self, picture: Picture) -> View:
        """Size x size RGB bytes, as the manifest says. Raises `SettingsError` if it has no picture tower."""
        vision = _needed(self._manifest.vision, self._manifest, "picture")
        look = Picture.model_view if vision.view == "shorter_side" else Picture.stretched
        return look(picture, vision.size_px, vision.resample)

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        """One unit vector a view, in order, or an error in its place.

        That is `Unavailable` for those that the deadline left no time for, `SettingsError` for missing or
        wrong weights.
        """
        return embed_runs(views, _PICTURES_A_RUN, deadline, self._embed_run)

    def _embed_run(self, views: Sequence[View]) -> list[Vector]:
        return self._unit(self._vision.get().encode(views))

    def _unit(self, vectors: "NDArray[np.float32]") -> list[Vector]:
        import numpy as np

        if vectors.shape[1:] != (self._model.dimensions,):
            raise SettingsError(
                f"the weights give vectors of shape {vectors.shape[1:]}, and {self._model.name} has "
                f"{self._model.dimensions} dimensions: their folder holds other weights"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or lengths.min(initial=1) < 1e-6:
            raise SettingsError(f"the weights of {self._manifest.id} give vectors that point nowhere")
        return list((vectors / lengths).tolist())


class VisionTower:
    """Views to vectors, ready to run."""

    def __init__(self, vision: Vision, folder: Path, threads: int) -> None:
        """Raises `SettingsError`."""
        import numpy as np

        self._vision = vision
        self._file = OnnxFile(folder / vision.file, threads)
        if len(self._file.inputs) != 1:
            raise SettingsError(
                f"{folder / vision.file} is no picture tower: it takes {', '.join(self._file.inputs)}"
            )
        levels = np.arange(256)[:, None] / 255
        # Each level of each channel as the model wants it: a table, since there are but 256.
        self._table = ((levels - vision.mean) / vision.std).astype(np.float32)

    def encode(self, views: Sequence[View]) -> "NDArray[np.float32]":
        """(n, dimensions), not normalised."""
        [name] = self._file.inputs
        return self._file.run({name: self.pixels(views)}, output=self._vision.output)

    def pixels(self, views: Sequence[View]) -> "NDArray[np.float32]":
        """What the model sees: (n, 3, size, size)."""
        import numpy as np

        size = self._vision.size_px
        levels = np.frombuffer(b"".join(views), np.uint8).reshape(-1, size, size, 3)
        channels = [self._table[levels[..., channel], channel] for channel in range(3)]
        return np.stack(channels, axis=1)


class TextTower:
    """Texts to vectors, ready to run."""

    def __init__(self, text: Text, folder: Path, threads: int) -> None:
        """Raises `SettingsError`."""
        self._text = text
        self._folder = folder
        self._file = OnnxFile(folder / text.file, threads)
        length = self._file.fixed_length()
        if length is not None and length < text.context_tokens:
            raise SettingsError(
                f"{folder / text.file} reads {length} tokens, and its manifest says {text.context_tokens}"
            )
        self._tokens = _tokens(text, folder)
        self._projection = None if text.projection is None else _projection(folder / text.projection)

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """(n, dimensions), not normalised. Raises `InputError` for broken Unicode."""
        import numpy as np

        wanted = [text.lower() for text in texts] if self._text.is_lower_case else texts
        rows = self._tokens.ids(wanted)
        # Shorter is faster, and what stands behind the end mark has no influence; some files have a fixed
        # length.
        longest = self._text.context_tokens if self._text.pads_to_context else max(map(len, rows))
        length = self._file.fixed_length() or longest
        ids = np.full((len(rows), length), self._text.pad_id, np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        # Sentences have one segment.
        known = {"attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: known.get(name, ids) for name in self._file.inputs}
        found = self._file.run(feeds, output=self._text.output)
        if self._text.pooling == "mean":
            found = self._mean(found, mask)
        return found if self._projection is None else self._projected(found, self._projection)

    def _mean(self, states: "NDArray[np.float32]", mask: "NDArray[np.int64]") -> "NDArray[np.float32]":
        """Of the tokens' states, without those of the padding."""
        if states.ndim != 3:
            raise SettingsError(f"{self._folder / self._text.file} gives no states of tokens, to be pooled")
        shares = mask[..., None].astype(states.dtype)
        pooled: NDArray[np.float32] = (states * shares).sum(axis=1) / shares.sum(axis=1)
        return pooled

    def _projected(
        self, vectors: "NDArray[np.float32]", projection: "NDArray[np.float32]"
    ) -> "NDArray[np.float32]":
        if vectors.shape[1:] != projection.shape[1:]:
            raise SettingsError(
                f"the projection in {self._folder} is for vectors of shape {projection.shape[1:]}, and "
                f"{self._text.file} gives {vectors.shape[1:]}"
            )
        return vectors @ projection.T


def _needed(part: _Item | None, manifest: Manifest, tower: str) -> _Item:
    if part is None:
        raise SettingsError(f"the weights {manifest.id} have no {tower} tower")
    return part


def _tokens(text: Text, folder: Path) -> Tokens:
    path = folder / text.tokenizer
    if not path.exists() and text.has_clips_tokens:
        return clip_tokens(context_tokens=text.context_tokens)
    return read_tokens(path, context_tokens=text.context_tokens)


def _projection(path: Path) -> "NDArray[np.float32]":
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        weights: NDArray[np.float32] = load_file(path)["linear.weight"]
    except (OSError, SafetensorError, KeyError) as exc:
        raise SettingsError(f"{path} holds no projection (linear.weight): {exc}") from exc
    return weights
