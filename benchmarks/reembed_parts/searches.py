"""Searches that were made: what each asked for, how long it took, and what it was told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

SEARCHERS: Final = 16
TEXTS: Final = 300
"""So few that most of those that are asked for are remembered."""
LIMIT: Final = 10


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request without an answer."""

    started_s: float
    ended_s: float
    outcome: str
    """The status, or the name of the error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Pictures, best first, and the model that is said to have found them."""

    model: str
    ids: Sequence[int]
    similarities: Sequence[float]


@dataclass(frozen=True, slots=True)
class Search:
    """One of a searcher's, with what was tried in vain before the answer. Times are of `time.monotonic`."""

    searcher: int
    text: int
    started_s: float
    ended_s: float
    answer: Answer | None
    failures: Sequence[Attempt] = ()

    @property
    def took_s(self) -> float:
        """With all attempts."""
        return self.ended_s - self.started_s


_SEARCH: Final = TypeAdapter(Search)


def text_of(number: int) -> str:
    """What is asked for."""
    return f"a photograph of subject {number}"


def write(search: Search) -> bytes:
    """A line of a log."""
    return _SEARCH.dump_json(search) + b"\n"


def read(log: Path) -> list[Search]:
    """A whole log, in the order in which the searches ended."""
    with log.open("rb") as lines:
        return [_SEARCH.validate_json(line) for line in lines]
