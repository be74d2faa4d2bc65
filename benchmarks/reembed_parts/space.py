"""What two models make of pictures and texts: topics around a common mean, so that all have neighbours."""

import hashlib
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

VERSIONS: Final = {"ViT-B-16": 512, "ViT-L-14": 768}
"""As the API names the models, and how many numbers their vectors have."""
_TOPICS: Final = 200
_PARTS: Final = (0.6, 0.5, 0.4)
"""Of a vector: what all pictures have in common, or all texts; its topic; its own."""


class Space:
    """A model's. Everything in it depends on the model and the content alone."""

    def __init__(self, version: str) -> None:
        """Raises `KeyError` for a model that is none of `VERSIONS`."""
        self._version = version
        self._dimensions = VERSIONS[version]

    def picture(self, content: bytes) -> Floats:
        """The vector of a picture's bytes, of length 1."""
        return self._vector(0, content)

    def text(self, text: str) -> Floats:
        """The vector of a text, of length 1."""
        return self._vector(1, text.encode())

    def _vector(self, kind: int, content: bytes) -> Floats:
        digest = hashlib.sha256(content).digest()
        topic = int.from_bytes(digest[:8]) % _TOPICS
        common, own_topic, own = _PARTS
        vector = common * self._means[kind] + own_topic * self._topics[topic]
        return _unit(vector + own * self._drawn(digest, 1)[0])

    @cached_property
    def _means(self) -> Floats:
        return self._drawn(b"means", 2)

    @cached_property
    def _topics(self) -> Floats:
        return self._drawn(b"topics", _TOPICS)

    def _drawn(self, seed: bytes, count: int) -> Floats:
        """Directions."""
        digest = hashlib.sha256(self._version.encode() + seed).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8]))
        return _unit(random.standard_normal((count, self._dimensions), np.float32))


def _unit(vectors: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths
