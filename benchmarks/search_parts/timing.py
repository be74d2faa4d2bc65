"""Searches timed one by one, contenders in turn."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.search_parts.data import Floats

Search = Callable[[int], Sequence[int]]
"""The number of a query → the ids found, nearest first."""

_TURN: Final = 50
_WARM_UP: Final = 6
"""psycopg prepares a statement at its sixth run."""


@dataclass(slots=True)
class Run:
    """What one contender answered, and in what time."""

    times_ms: list[float] = field(default_factory=list)
    answers: list[Sequence[int]] = field(default_factory=list)

    def percentile_ms(self, percent: float) -> float:
        """0 to 100."""
        return float(np.percentile(self.times_ms, percent))

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.percentile_ms(50)

    @property
    def p95_ms(self) -> float:
        """The time that one in twenty exceeds."""
        return self.percentile_ms(95)

    def time(self, search: Search, number: int) -> None:
        """Add one search."""
        started = time.perf_counter()
        answer = search(number)
        self.times_ms.append(1000 * (time.perf_counter() - started))
        self.answers.append(answer)

    def short(self, count: int) -> int:
        """How many answers have fewer ids than that."""
        return sum(len(answer) < count for answer in self.answers)


def in_turn(
    contenders: Mapping[str, Search], count: int, *, limits: Mapping[str, int] | None = None
) -> dict[str, Run]:
    """Contenders take turns of some queries, so that a busy machine slows all of them alike.

    Not query by query: a scan of a whole table between two searches would leave none of them a warm cache.
    `limits`: contenders that are spared the later queries.
    """
    last = {name: min(count, (limits or {}).get(name, count)) for name in contenders}
    for search in contenders.values():
        warm_up(search)
    runs = {name: Run() for name in contenders}
    for start in range(0, count, _TURN):
        for name, search in contenders.items():
            for number in range(start, min(start + _TURN, last[name])):
                runs[name].time(search, number)
    return runs


def warm_up(search: Search) -> None:
    """Until statement and plan are as they will stay."""
    for number in range(_WARM_UP):
        search(number)


def in_a_row(search: Search, numbers: Iterable[int]) -> Run:
    """One contender alone, warm already."""
    run = Run()
    for number in numbers:
        run.time(search, number)
    return run


def literals(vectors: Floats) -> list[str]:
    """Vectors as clients send them."""
    return ["[" + ",".join(f"{value:.9g}" for value in vector) + "]" for vector in vectors.tolist()]
