"""CLIP's vocabulary, from the package that carries it, and how texts are prepared for it."""

import gzip
import unicodedata
from typing import Final

from shared.embedding.weights import package_file, read_checked
from shared.errors import InputError

_PACKAGE: Final = "clip"
_FILE: Final = "bpe_simple_vocab_16e6.txt.gz"
_SHA256: Final = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
_SIZE: Final = 49408
_MERGES: Final = slice(1, _SIZE - 2 * 256 - 2 + 1)
"""The lines that hold the pairs that CLIP merges."""


def read_merges() -> list[tuple[str, str]]:
    """The pairs that are merged, the first ones first. Raises `SettingsError`.

    Source: Radford et al. 2021, arXiv 2103.00020.
    """
    packed = read_checked(package_file(_PACKAGE, _FILE), _SHA256)
    lines = gzip.decompress(packed).decode("utf-8").split("\n")[_MERGES]
    return [(first, second) for first, _, second in (line.partition(" ") for line in lines)]


def letter_of_byte() -> dict[int, str]:
    """A printable letter for each byte, in the order of CLIP's vocabulary: first those that are printable."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return {
        **{byte: chr(byte) for byte in printable},
        **{byte: chr(256 + place) for place, byte in enumerate(others)},
    }


def check_unicode(text: str) -> None:
    """Raises `InputError` for broken Unicode."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError("the text is not valid Unicode: it holds half of a surrogate pair")


def surely_fits(text: str, context_tokens: int) -> bool:
    """Whether a text is so short that it fits in any case: no byte is more than one token.

    Broken Unicode does not: `check_unicode` refuses it.
    """
    try:
        return len(unicodedata.normalize("NFC", text).lower().encode("utf-8")) + 2 <= context_tokens
    except UnicodeEncodeError:
        return False
