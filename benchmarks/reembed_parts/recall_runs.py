"""Checks of one index's recall, again and again, and how clear their verdicts are."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final

import numpy as np

from shared.audit_ports import RecallIndex
from shared.audits import Compared, Question, Recall
from shared.recall import FLOOR, check_recall

_AT_ONCE: Final = 4


@dataclass(slots=True)
class Remembering:
    """A `RecallIndex` that asks each question once: the index stays as it is, and so do its answers."""

    index: RecallIndex
    answers: dict[Question, Compared | None] = field(default_factory=dict)

    def sample(self, size: int) -> list[Question]:
        """As the index draws it."""
        return self.index.sample(size)

    def compare(self, question: Question, *, count: int) -> Compared | None:
        """As the index answers."""
        if question not in self.answers:
            self.answers[question] = self.index.compare(question, count=count)
        return self.answers[question]

    def keep_recall(self, recall: Recall) -> None:
        """In the index."""
        self.index.keep_recall(recall)


@dataclass(frozen=True, slots=True)
class Checks:
    """What all of them said of an index."""

    recalls: Sequence[Recall]
    by_kind: Mapping[str, float]
    """Recall of all that was asked."""

    @property
    def alarms(self) -> int:
        """How many raised one."""
        return sum(recall.is_alarming for recall in self.recalls)

    @property
    def lowest(self) -> float:
        """Recall of all that was asked, of the kind that finds least."""
        return min(self.by_kind.values())

    @property
    def margin(self) -> float:
        """Standard errors of a check between what checks find and the floor."""
        found = [recall.recall for recall in self.recalls]
        spread = float(np.std(found))
        return abs(fmean(found) - FLOOR) / spread if spread else math.inf

    def note(self) -> str:
        """For the table."""
        found = [recall.recall for recall in self.recalls]
        kinds = ", ".join(f"{kind} {recall:.3f}" for kind, recall in sorted(self.by_kind.items()))
        asked = fmean(recall.questions for recall in self.recalls)
        return (
            f"{kinds}; {len(found)} checks of {asked:.0f} questions: {min(found):.3f} to {max(found):.3f}, "
            f"{self.alarms} alarms, {self.margin:.1f} standard errors from the floor"
        )


def check(index: RecallIndex, times: int) -> Checks:
    """So many checks with the sample and the floor that they have by themselves."""
    remembering = Remembering(index)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        recalls = list(threads.map(lambda _: check_recall(remembering), range(times)))
    shares: dict[str, list[float]] = {}
    for question, answer in remembering.answers.items():
        if answer is not None and answer.expected:
            shares.setdefault(question.kind, []).append(answer.found / answer.expected)
    return Checks(recalls, {kind: fmean(values) for kind, values in shares.items()})
