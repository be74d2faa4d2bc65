"""How long a text is for CLIP, counted without the 11 MB that turn it into tokens: docs/decisions/0028."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

from shared.embedding.vocabulary import check_unicode, letter_of_byte, read_merges

_MARKS: Final = 2
_CONTRACTION: Final = re.compile(r"'(?:s|t|re|ve|m|ll|d)")
_RUN: Final = re.compile(r"L+|N|-+|\s+")
_END: Final = "</w>"


class BytePairs:
    """CLIP's merges. Threads share it."""

    def __init__(self) -> None:
        """Raises `SettingsError` when the package with the vocabulary is missing or altered."""
        self._ranks = {pair: rank for rank, pair in enumerate(read_merges())}
        self._letters = letter_of_byte()

    def count(self, text: str) -> int:
        """The tokens of a text, both marks included. Raises `InputError` for broken Unicode."""
        check_unicode(text)
        folded = "".join(character.lower() for character in unicodedata.normalize("NFC", text))
        return _MARKS + sum(self._tokens_of(word) for word in _words(folded))

    def _tokens_of(self, word: str) -> int:
        """Merges the pair that comes first in the vocabulary, wherever it is, until none is left."""
        letters = [self._letters[byte] for byte in word.encode("utf-8")]
        parts = [*letters[:-1], letters[-1] + _END]
        while len(parts) > 1:
            pairs = set(pairwise(parts)) & self._ranks.keys()
            if not pairs:
                break
            parts = _merged(parts, min(pairs, key=self._ranks.__getitem__))
        return len(parts)


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    place = 0
    while place < len(parts):
        is_pair = tuple(parts[place : place + 2]) == pair
        merged.append("".join(pair) if is_pair else parts[place])
        place += 2 if is_pair else 1
    return merged


def _words(text: str) -> Iterator[str]:
    """Contractions, runs of letters, single digits, runs of what is neither; no spaces."""
    kinds = "".join(map(_kind, text))
    place = 0
    while place < len(text):
        found = _CONTRACTION.match(text, place) or _RUN.match(kinds, place)
        end = found.end() if found else len(text)
        if kinds[place] != " ":
            yield text[place:end]
        place = end


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    """Space as Unicode has it, which `str.isspace` has not."""
    category = unicodedata.category(character)[0]
    if category in "LN":
        return category
    return " " if category == "Z" or character in "\t\n\v\f\r\x85" else "-"
