"""Where the time of a search goes, as its `Server-Timing` tells."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np

Stages: TypeAlias = dict[str, float]
"""Milliseconds."""

_REST: Final = "rest"
_NO_PARTS: Final = {"count", "total"}
"""What goes on beside another stage, and what is the sum of some: the time of a search is that of the other
stages and of the rest."""


def read_stages(header: str) -> Stages:
    """Source: W3C, "Server Timing"; metrics without a duration are left out."""
    found = {}
    for metric in header.split(","):
        name, *parameters = (part.strip() for part in metric.split(";"))
        durations = [value.removeprefix("dur=") for value in parameters if value.startswith("dur=")]
        if durations:
            found[name] = float(durations[0])
    return found


def summary(times_ms: Sequence[float], stages: Sequence[Stages]) -> Iterator[tuple[str, float, float]]:
    """Name, p50 and p95 of each stage, and of the rest: HTTP, the server of the function, its framework."""
    names = dict.fromkeys(name for each in stages for name in each)
    columns = {name: [each.get(name, 0.0) for each in stages] for name in names}
    rests = [
        time_ms - sum(ms for name, ms in each.items() if name not in _NO_PARTS)
        for time_ms, each in zip(times_ms, stages, strict=True)
    ]
    for name, column in {**columns, _REST: rests}.items():
        yield name, float(np.percentile(column, 50)), float(np.percentile(column, 95))
