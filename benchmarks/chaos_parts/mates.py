"""Which healthy pictures a poisoned one has held back."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.chaos_parts.journal import Failure

OwnErrors = Mapping[tuple[str, str], Sequence[float]]
"""When a worker met an error of an object's own that is worth a retry, by worker and name; of `time.time`."""
_RETRIED: Final = {"Unavailable", "ObjectRefused", "OverBudget"}
_NOT_AN_OUTAGE: Final = re.compile(r"the database answered (?!57|08|53|40|55)")
"""Codes of Postgres, but for the classes that mean that it is away, busy, or that somebody else was first."""
_SLACK_S: Final = 0.01
"""A log rounds."""


def held_back(
    mates: Collection[str], lost: Collection[str], failures: Iterable[Failure], own: OwnErrors
) -> list[str]:
    """Mates of poisoned ones that are not searchable, or had to come again for no reason of their own."""
    held = [f"{name}: not searchable" for name in mates if name in lost]
    for failure in failures:
        if failure.is_beside_poison and not _has_reason(failure, own):
            held.append(f"{' '.join(failure.names)}: {failure.worker} wants it again")
    return held


def _has_reason(failure: Failure, own: OwnErrors) -> bool:
    met = [at for name in failure.names for at in own.get((failure.worker, name), ())]
    return any(failure.began_at - _SLACK_S <= at <= failure.ended_at + _SLACK_S for at in met)


def own_errors(folder: Path) -> tuple[dict[tuple[str, str], list[float]], Counter[str]]:
    """From the workers' logs; and how often each error was met, in words."""
    own: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    told: Counter[str] = Counter()
    for log in sorted([*folder.glob("lambda-*.log"), *folder.glob("function-*.log")]):
        for entry in _entries(log):
            error, detail = entry.get("error", ""), entry.get("detail", "")
            told[f"{entry['message']}: {error}: {detail}"] += 1
            is_own = error in _RETRIED and not _NOT_AN_OUTAGE.search(detail)
            if entry["message"] == "image_not_indexed" and is_own:
                own[log.stem, entry["image"]].append(_moment(entry["timestamp"]))
    return own, told


def _entries(log: Path) -> Iterator[dict[str, str]]:
    """Of what went wrong."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{") and '"WARNING"' in line:
            try:
                yield json.loads(line)
            except ValueError:
                continue  # its writer was killed


def _moment(timestamp: str) -> float:
    """As Powertools writes it."""
    return datetime.strptime(timestamp, "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
