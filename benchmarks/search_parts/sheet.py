"""What the benchmark found: a row a case, the targets, and what only other programs read."""

from dataclasses import dataclass, field
from typing import TypedDict

from benchmarks.report import Target
from benchmarks.search_parts import exact
from benchmarks.search_parts.data import Ids
from benchmarks.search_parts.timing import Run


class Row(TypedDict):
    """A line of the table; None where it makes no sense."""

    set: str
    case: str
    recall10: float | None
    worst_recall10: float | None
    """Of all queries."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    rows: float | None
    """Mean number of rows an answer has."""
    note: str


@dataclass(slots=True)
class Findings:
    """Filled while the benchmark goes on."""

    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    details: list[dict[str, object]] = field(default_factory=list)

    def add(self, data_set: str, case: str, run: Run, truth: Ids | None = None, note: str = "") -> float:
        """A timed case; returns its recall, NaN without truth."""
        recalls = None if truth is None else exact.recalls(truth, run.answers)
        found = sum(map(len, run.answers)) / len(run.answers)
        self.rows.append(
            {
                "set": data_set,
                "case": case,
                "recall10": None if recalls is None else float(recalls.mean()),
                "worst_recall10": None if recalls is None else float(recalls.min()),
                "p50_ms": run.p50_ms,
                "p95_ms": run.p95_ms,
                "p99_ms": run.percentile_ms(99),
                "rows": found,
                "note": note,
            }
        )
        return float("nan") if recalls is None else float(recalls.mean())

    def remark(self, data_set: str, case: str, note: str, **details: object) -> None:
        """A case without searches, such as the build of an index."""
        self.rows.append(
            {
                "set": data_set,
                "case": case,
                "recall10": None,
                "worst_recall10": None,
                "p50_ms": None,
                "p95_ms": None,
                "p99_ms": None,
                "rows": None,
                "note": note,
            }
        )
        self.details.append({"set": data_set, "case": case, **details})

    def at_least(self, name: str, value: float, bar: float) -> None:
        """A target that a figure must reach."""
        self.targets.append(Target(f"search.{name}", float(value), bar, "min"))

    def at_most(self, name: str, value: float, bar: float) -> None:
        """A target that a figure must not pass."""
        self.targets.append(Target(f"search.{name}", float(value), bar, "max"))

    def drop_bars(self) -> None:
        """Keep the figures as rows: the bars are meant for another number of pictures."""
        for target in self.targets:
            self.remark("", target.id, f"{target.value:.3g}", value=target.value)
        self.targets.clear()
