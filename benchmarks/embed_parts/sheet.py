"""What the benchmark found: a row a case, and the targets."""

from dataclasses import dataclass, field

from benchmarks.report import Target


@dataclass(slots=True)
class Findings:
    """Filled while the benchmark goes on."""

    rows: list[dict[str, object]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def add(
        self,
        case: str,
        contender: str,
        p50_ms: float | None,
        *,
        ratio: float | None = None,
        peak_mb: float | None = None,
        cosine: float | None = None,
        note: str = "",
    ) -> None:
        """A line of the table. `ratio`: how many times as fast as the contender that it is compared with;
        `peak_mb`: the process's memory so far; `cosine`: the least, with that contender's vectors."""
        self.rows.append(
            {
                "case": case,
                "contender": contender,
                "p50_ms": p50_ms,
                "times as fast": ratio,
                "peak_mb": peak_mb,
                "cosine": cosine,
                "note": note,
            }
        )

    def at_least(self, name: str, value: float, bar: float) -> None:
        """A target that a figure must reach."""
        self.targets.append(Target(f"embed.{name}", float(value), bar, "min"))

    def at_most(self, name: str, value: float, bar: float) -> None:
        """A target that a figure must not pass."""
        self.targets.append(Target(f"embed.{name}", float(value), bar, "max"))
