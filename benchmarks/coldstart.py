"""How long a cold start takes and how large the zips are, beside handlers that port the guide plainly:
`python -m benchmarks.coldstart`.

`ROUNDS` cold starts of each function, 15 unless the environment says otherwise.
"""

import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.coldstart_parts import plot
from benchmarks.coldstart_parts.figures import rows_of, targets_of
from benchmarks.coldstart_parts.running import running
from benchmarks.coldstart_parts.starting import measure
from benchmarks.coldstart_parts.subjects import subjects
from benchmarks.coldstart_parts.zips import made

_ROUNDS: Final = 15
_PLOT: Final = Path(__file__).parents[1] / "docs" / "plots" / "cold-start.svg"


def main() -> int:
    """Measure, print, draw, write build/bench/coldstart.json. 1 when a target is missed."""
    rounds = int(os.environ.get("ROUNDS", _ROUNDS))
    with tempfile.TemporaryDirectory() as folder:
        with report.step("zips"):
            zips = made(Path(folder))
        with running() as up:
            all_subjects = subjects(up, zips)
            with report.step(f"{rounds} cold starts of each of {len(all_subjects)} functions"):
                measured = measure(all_subjects, rounds)
    rows = rows_of(measured)
    if rounds >= _ROUNDS:
        plot.draw(_PLOT, rows)
    details = [
        {"function": name, **asdict(start)} for name, each in measured.items() for start in each.starts
    ]
    return report.publish("coldstart", rows, targets_of(measured), details=details)


if __name__ == "__main__":
    sys.exit(main())
