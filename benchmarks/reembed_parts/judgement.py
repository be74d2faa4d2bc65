"""The verdict on all searches of a part, and its lines in the sheet."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.reembed_parts import judging
from benchmarks.reembed_parts.judging import Span, Truth
from benchmarks.reembed_parts.searches import LIMIT, Search

_MOST_DETAILS: Final = 50


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of so many searches, which were not answered as they should be."""

    searches: int
    failed: Sequence[Search]
    mixed: Sequence[Search]
    retried: int
    """In an outage, and answered after it."""
    short: int
    """Answered with fewer pictures than were asked for."""
    by_model: Mapping[str, int]

    def rows(self) -> Iterator[tuple[str, int]]:
        """Figures by their names."""
        yield "searches", self.searches
        for model, count in self.by_model.items():
            yield f"answered by {model}", count
        yield "tried again while the database was away", self.retried
        yield f"answers of fewer than {LIMIT} pictures", self.short
        yield "failed", len(self.failed)
        yield "mixed", len(self.mixed)

    def details(self) -> Iterator[Mapping[str, object]]:
        """What is wrong, one by one, up to a point."""
        for kind, wrong in (("failed", self.failed), ("mixed", self.mixed)):
            for search in wrong[:_MOST_DETAILS]:
                yield {"figure": kind, "what": repr(search)}


def judge(searches: Sequence[Search], truths: Mapping[str, Truth], outages: Sequence[Span]) -> Judgement:
    """By the vectors that are stored, and the times when something was wrong."""
    answers = [search.answer for search in searches if search.answer is not None]
    failed = judging.failed(searches, outages)
    retried = [search for search in searches if search.failures and search not in failed]
    return Judgement(
        len(searches),
        failed,
        judging.mixed(searches, truths),
        len(retried),
        sum(len(answer.ids) < LIMIT for answer in answers),
        Counter(answer.model for answer in answers),
    )
