"""What a check finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_NAMED = 3


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and not as well as it could, or not for long."""
    WRONG = "wrong"
    NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a diagnosis. Neither text may hold a secret."""

    check: str
    """Its subject and its name there, with a dot: for programs, so that it stays what it is."""
    level: Level
    what: str
    mend: str | None = None

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.check.partition(".")[0]


class NotLookedAt(Exception):
    """What a check needs cannot be had; the message says why. It is a fault of something else."""


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, what)


def warning(check: str, what: str, mend: str) -> Finding:
    """It works all the same."""
    return Finding(check, Level.WARNING, what, mend)


def wrong(check: str, what: str, mend: str) -> Finding:
    """A fault."""
    return Finding(check, Level.WRONG, what, mend)


def not_looked_at(check: str, why: str) -> Finding:
    """Nobody knows."""
    return Finding(check, Level.NOT_LOOKED_AT, why)


def some(names: Sequence[str]) -> str:
    """The first of many, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
