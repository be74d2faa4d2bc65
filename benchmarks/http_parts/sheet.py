"""What the benchmark found: a row a case, and the targets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from benchmarks.http_parts.load import Load
from benchmarks.http_parts.stages import Stages, summary
from benchmarks.report import Target
from benchmarks.search_parts import exact
from benchmarks.search_parts.data import Ids
from benchmarks.search_parts.timing import Run


class Row(TypedDict):
    """A line of the table; None where it makes no sense."""

    case: str
    recall10: float | None
    p50_ms: float | None
    p95_ms: float | None
    per_s: float | None
    """Answers a second."""
    note: str


@dataclass(slots=True)
class Sheet:
    """Filled while the benchmark goes on."""

    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def add(self, case: str, run: Run, truth: Ids, note: str = "") -> None:
        """A contender."""
        recall = exact.recall(truth, run.answers)
        self._add(case, recall10=recall, p50_ms=run.p50_ms, p95_ms=run.p95_ms, note=note)

    def add_stages(self, case: str, run: Run, stages: Sequence[Stages]) -> None:
        """Where its time goes. The searches to get warm come first, and do not count."""
        for stage, p50_ms, p95_ms in summary(run.times_ms, stages[-len(run.times_ms) :]):
            self._add(f"{case}: {stage}", p50_ms=p50_ms, p95_ms=p95_ms)

    def add_load(self, case: str, load: Load) -> None:
        """Many callers."""
        outcome = ", ".join(f"{kind}: {count}" for kind, count in load.errors.items()) or "no errors"
        outcome += f"; the callers took {load.processor_s / load.elapsed_s:.0%} of a core"
        self._add(
            f"{case}, {load.callers} callers",
            p50_ms=load.p50_ms,
            p95_ms=load.p95_ms,
            per_s=load.per_s,
            note=f"{load.answered} answers in {load.elapsed_s:.0f} s, {outcome}",
        )

    def remark(self, case: str, note: str, p50_ms: float | None = None, p95_ms: float | None = None) -> None:
        """Another figure."""
        self._add(case, p50_ms=p50_ms, p95_ms=p95_ms, note=note)

    def target(self, name: str, value: float, bar: float, direction: Literal["min", "max"]) -> None:
        """A figure and its bar."""
        self.targets.append(Target(f"http.{name}", float(value), bar, direction))

    def drop_ratios(self) -> None:
        """Keep them as rows: their bars are meant for another number of pictures."""
        for target in self.targets:
            if "_ratio_to_" in target.id:
                self.remark(target.id, f"{target.value:.3g}")
        self.targets = [target for target in self.targets if "_ratio_to_" not in target.id]

    def _add(
        self,
        case: str,
        *,
        recall10: float | None = None,
        p50_ms: float | None = None,
        p95_ms: float | None = None,
        per_s: float | None = None,
        note: str = "",
    ) -> None:
        self.rows.append(
            {
                "case": case,
                "recall10": recall10,
                "p50_ms": p50_ms,
                "p95_ms": p95_ms,
                "per_s": per_s,
                "note": note,
            }
        )
