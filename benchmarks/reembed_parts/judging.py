"""Whether searches went on as they should while the model changed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.reembed_parts.searches import Answer, Attempt, Search

TOLERANCE: Final = 0.002


class Span(NamedTuple):
    """Of `time.monotonic`."""

    began_s: float
    ended_s: float

    @property
    def took_s(self) -> float:
        """How long it is."""
        return self.ended_s - self.began_s

    def meets(self, event: Search | Attempt) -> bool:
        """Whether it was under way within."""
        return event.started_s <= self.ended_s and event.ended_s >= self.began_s

    def holds(self, search: Search) -> bool:
        """Whether it began and ended within."""
        return self.began_s <= search.started_s and search.ended_s <= self.ended_s


class Truth(Protocol):
    """What a model's vectors say."""

    def cosines(self, text: int, ids: Sequence[int]) -> ArrayLike:
        """Of a text and some pictures; NaN for a picture that the model has no vector of."""


@dataclass(frozen=True, slots=True)
class Cosines:
    """A model's, as a table."""

    table: NDArray[np.float32]
    """A row a text, a column a picture; the pictures are numbered from 1."""

    def cosines(self, text: int, ids: Sequence[int]) -> ArrayLike:
        """Of a text and some pictures."""
        _, count = self.table.shape
        return [self.table[text, each - 1] if 1 <= each <= count else math.nan for each in ids]


def failed(searches: Iterable[Search], outages: Sequence[Span] = ()) -> list[Search]:
    """Those without an answer, or with an empty one, and those that were refused while nothing was wrong:
    who was under way in an outage may ask again.
    """
    return [search for search in searches if not _is_well(search, outages)]


def mixed(searches: Iterable[Search], truths: Mapping[str, Truth]) -> list[Search]:
    """Those whose similarities are not all cosines of one model, or of another than the answer names."""
    return [
        search
        for search in searches
        if search.answer is not None and found_by(search.text, search.answer, truths) != search.answer.model
    ]


def found_by(text: int, answer: Answer, truths: Mapping[str, Truth]) -> str | None:
    """The model whose cosines an answer's similarities are; that it names, should several have the same."""
    models = [
        model
        for model, truth in truths.items()
        if np.allclose(truth.cosines(text, answer.ids), answer.similarities, rtol=0, atol=TOLERANCE)
    ]
    return answer.model if answer.model in models else next(iter(models), None)


def p99_s(searches: Iterable[Search], within: Span) -> float:
    """Of those that began and ended within; NaN for none."""
    return percentile_s((search for search in searches if within.holds(search)), 99)


def percentile_s(searches: Iterable[Search], percent: float) -> float:
    """Of their times; NaN for none."""
    times = [search.took_s for search in searches]
    return float(np.percentile(times, percent)) if times else math.nan


def slowest_s(searches: Iterable[Search], spans: Sequence[Span]) -> float:
    """Of those that were under way in any span; NaN for none."""
    times = [search.took_s for search in searches if any(span.meets(search) for span in spans)]
    return max(times, default=math.nan)


def followed_s(searches: Sequence[Search], switch: Span, until_s: float, model: str) -> float:
    """How long after a switch the last searcher still got an answer of another model, as far as was looked;
    NaN when nobody got one of this.
    """
    after = [
        search
        for search in searches
        if search.answer is not None and search.started_s >= switch.ended_s and search.ended_s <= until_s
    ]
    if all(_model_of(search) != model for search in after):
        return math.nan
    late = [search.ended_s for search in after if _model_of(search) != model]
    return max(late, default=switch.ended_s) - switch.ended_s


def _model_of(search: Search) -> str | None:
    return search.answer.model if search.answer else None


def _is_well(search: Search, outages: Sequence[Span]) -> bool:
    return (
        search.answer is not None
        and bool(search.answer.ids)
        and all(any(outage.meets(attempt) for outage in outages) for attempt in search.failures)
    )
