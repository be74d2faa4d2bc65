"""What a check finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_NAMED = 3


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and not as well as it could, or not for long; or only what it takes to look is missing."""
    WRONG = "wrong"
    """It does not work, or nobody can tell whether it does."""
    NOT_LOOKED_AT = "not looked at"
    """This deployment has no such thing, or whoever asks does not want to know."""


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


class DoesNotApply(Exception):
    """The rest of a check is not for this deployment; the message says why."""


class CannotTell(Exception):
    """The rest of a check needs what cannot be had: that is a fault, whatever it would have found."""

    def __init__(self, why: str, mend: str, name: str = "rest") -> None:
        """`name`: of the check, after its subject."""
        super().__init__(why)
        self.why = why
        self.mend = mend
        self.name = name


class FunctionMissing(CannotTell):
    """The database lacks what would tell it."""


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
    """It does not apply."""
    return Finding(check, Level.NOT_LOOKED_AT, why)


def untold(subject: str, error: CannotTell) -> Finding:
    """What ended the rest of a check."""
    return wrong(f"{subject}.{error.name}", error.why, error.mend)


def some(names: Sequence[str]) -> str:
    """The first of many, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
