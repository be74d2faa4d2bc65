"""How long the database lets a search take."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from infra.doctor.findings import Finding, ok, warning

_LEAST_S: Final = 3.0
"""A search that has to look at all of 100,000 pictures takes a tenth of it."""
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?")
_SECONDS: Final = {"us": 1e-6, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def timeout_findings(timeouts: Mapping[str, str | None]) -> Iterator[Finding]:
    """A role without one has that of `authenticator`, as whom every call comes in."""
    short = {}
    for role in ("anon", "authenticated", "service_role"):
        set_to = timeouts.get(role) or timeouts.get("authenticator") or "0"
        if 0 < _seconds(set_to) < _LEAST_S:
            short[role] = set_to
    if short:
        what = ", ".join(f"{role} has {set_to} for a statement" for role, set_to in short.items())
        mend = " ".join(f"alter role {role} set statement_timeout = '8s';" for role in short)
        yield warning(
            "database.timeouts", f"{what}: searches may be cut off", f"{mend} notify pgrst, 'reload config';"
        )
    else:
        yield ok("database.timeouts", "statements have time enough")


def _seconds(setting: str) -> float:
    """From Postgres' way of writing it; without a unit it is milliseconds. 0 is no limit."""
    found = _TIME.fullmatch(setting.strip())
    return float(found[1]) * _SECONDS[found[2] or "ms"] if found else 0.0
