"""What a part of the benchmark found: its lines of the table, its targets, and what went wrong one by one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict

from benchmarks.report import Target

Found: TypeAlias = tuple[Sequence["Row"], Sequence[Target], Sequence[Mapping[str, object]]]
"""Rows, targets and details of a half."""


class Row(TypedDict):
    """A line of the table."""

    part: str
    what: str
    value: float | int | None
    note: str


@dataclass(slots=True)
class Sheet:
    """A part's, filled while it goes on."""

    part: str
    rows: list[Row] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    details: list[Mapping[str, object]] = field(default_factory=list)

    def add(self, what: str, value: float | None, note: str = "") -> None:
        """A figure, NaN if there is none; its unit is the end of its name."""
        value = None if value is None or math.isnan(value) else value
        self.rows.append({"part": self.part, "what": what, "value": value, "note": note})

    def target(self, name: str, value: float, bar: float, direction: Literal["min", "max"]) -> None:
        """A figure and its bar, under the issue's id."""
        self.targets.append(Target(name, value, bar, direction))
