"""A benchmark's result: a table for the reader, a file for other programs, an exit code for `make`."""

import json
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.table import Table

FOLDER: Final = Path(__file__).parents[1] / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its bar."""

    id: str
    value: float
    target: float
    direction: Literal["min", "max"]
    """`min`: the value must be at least the target; `max`: at most."""

    @property
    def met(self) -> bool:
        """Whether the bar is reached. NaN reaches none."""
        return self.value >= self.target if self.direction == "min" else self.value <= self.target


def publish(
    name: str,
    rows: Sequence[Mapping[str, object]],
    targets: Sequence[Target],
    *,
    details: Sequence[Mapping[str, object]] = (),
) -> int:
    """Print the rows and the targets, write them and the details to `build/bench/<name>.json`.

    Returns 1 when a target is missed, else 0.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = {
        "machine": _machine(),
        "rows": list(rows),
        "targets": [_published(target) for target in targets],
        "details": list(details),
    }
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

    console = Console()
    console.print(_rows_table(rows))
    console.print(_targets_table(targets))
    console.print(f"written to {path}", highlight=False, soft_wrap=True)
    return int(not all(target.met for target in targets))


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and when it is done how long it took."""
    console = Console()
    started = time.perf_counter()
    with console.status(text):
        yield
    console.print(f"{text}  {time.perf_counter() - started:.1f} s", highlight=False)


def _published(target: Target) -> dict[str, object]:
    """What was not measured is null: JSON has no NaN."""
    return {**asdict(target), "value": None if math.isnan(target.value) else target.value}


def _machine() -> dict[str, object]:
    return {
        "platform": platform.platform(terse=True),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _rows_table(rows: Sequence[Mapping[str, object]]) -> Table:
    columns = list(rows[0]) if rows else []
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    return table


def _targets_table(targets: Sequence[Target]) -> Table:
    table = Table("target", "value", "bar", "")
    for target in targets:
        sign = "≥" if target.direction == "min" else "≤"
        met = "[green]met[/]" if target.met else "[bold red]missed[/]"
        table.add_row(target.id, _cell(target.value), f"{sign} {_cell(target.target)}", met)
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
