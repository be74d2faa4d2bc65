"""The embedder that needs no key and no download: what `make demo` and the tests search with."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.embedding.lite0 import SIZE_PX, Lite0
from shared.embedding.local import Once, cores, embed_runs, runs
from shared.embedding.use3 import LANGUAGES, Use3
from shared.errors import PixseekError
from shared.images import Picture
from shared.models import EmbeddingModel, Vector
from shared.ports import Embedder, View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL: Final = EmbeddingModel(
    name="pixseek/lite0-use3-conse-v1", dimensions=512, similarity_floor=0.30, languages=LANGUAGES
)
LABEL_VECTORS: Final = Path(__file__).with_name("label_vectors.npy")

_SQUARES: Final = 2
_PICTURES_A_RUN: Final = 8
_TEXTS_A_RUN: Final = 256
_LIKELIEST: Final = 10
_TEMPERATURE: Final = 2.0


class OfflineEmbedder(Embedder):
    """Pictures by the ImageNet classes that they resemble, texts by their meaning, in one space.

    ConSE (Norouzi et al. 2014, arXiv 1312.5650): EfficientNet-Lite0 tells how much a picture resembles each
    of 1000 classes; its vector is the sum of the likeliest ten classes' text vectors, so weighted. A text's
    vector is that of the multilingual Universal Sentence Encoder. Both are taken from the classes' mean.
    """

    def __init__(self, *, threads: int | None = None) -> None:
        """Loads nothing yet. `threads` compute one call; by default as many as this process has cores."""
        count = threads or cores()
        self._labels = Once(_load_labels)
        self._lite0 = Once(lambda: Lite0(count))
        self._use3 = Once(lambda: Use3(count))

    @property
    def model(self) -> EmbeddingModel:
        """512 dimensions, 16 languages; below a similarity of 0.30 nothing matches."""
        return MODEL

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector of 512 floats a text, in order; the text is taken as written.

        Raises `InputError` for broken Unicode, `SettingsError` when the weights are missing or not the
        expected ones.
        """
        vectors: list[Vector] = []
        for run in runs(texts, _TEXTS_A_RUN, deadline):
            vectors += _unit(self._use3.get().encode(run) - self._labels.get().mean(axis=0))
        return vectors

    def view(self, picture: Picture) -> View:
        """Its middle and the whole of it, 288 x 288 RGB bytes each."""
        return picture.centre_square(SIZE_PX) + picture.padded_square(SIZE_PX)

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        """One unit vector of 512 floats a view, in order, or an error in its place.

        That is `Unavailable` for those that the deadline left no time for, `SettingsError` when the weights
        are missing or not the expected ones.
        """
        return embed_runs(views, _PICTURES_A_RUN, deadline, self._embed_run)

    def _embed_run(self, views: Sequence[View]) -> list[Vector]:
        import numpy as np

        squares = np.frombuffer(b"".join(views), np.uint8).reshape(-1, SIZE_PX, SIZE_PX, 3)
        weights = _class_weights(self._lite0.get().logits(squares))
        labels = self._labels.get()
        by_square = weights @ (labels - labels.mean(axis=0))
        return _unit(by_square.reshape(len(views), _SQUARES, -1).mean(axis=1))


def _load_labels() -> "NDArray[np.float32]":
    import numpy as np

    labels: NDArray[np.float32] = np.load(LABEL_VECTORS, allow_pickle=False).astype(np.float32)
    return labels


def _class_weights(logits: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """How likely each class is, (n, 1000): a softened softmax, nothing but its ten largest kept."""
    import numpy as np

    weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / _TEMPERATURE)
    tenth = np.partition(weights, -_LIKELIEST, axis=1)[:, -_LIKELIEST, None]
    weights[weights < tenth] = 0
    shares: NDArray[np.float32] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _unit(vectors: "NDArray[np.float32]") -> list[Vector]:
    import numpy as np

    return list((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist())
