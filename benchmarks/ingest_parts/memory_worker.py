"""Follows some uploads as a function does, and tells the memory that took: for `memory.py`."""

import json
import sys
from pathlib import Path

from functions.index_image.following import follow
from shared.models import Change, ObjectEvent, ObjectRef
from shared.settings import load_settings


def main() -> None:
    """Print a `memory.Worked` as the last line."""
    bucket, *names = sys.argv[1:]
    events = [ObjectEvent(ObjectRef(bucket, name), Change.WRITTEN, "") for name in names]
    outcomes = follow(events, load_settings().times())
    standings = [str(outcome.standing) for outcome in outcomes]
    sys.stdout.write(json.dumps({"peak_mb": _peak_mb(), "standings": standings}) + "\n")


def _peak_mb() -> float:
    """The most so far. Not `getrusage`'s, which begins with that of the process that started this one."""
    status = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
