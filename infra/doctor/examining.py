"""All checks: they run side by side, and what befalls one leaves the others alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeAlias

import httpx

from infra.doctor import buckets, clock, database, embedder, keys, models, search, settings, upkeep, webhook
from infra.doctor.deployment import Deployment
from infra.doctor.findings import Finding, Level, NotLookedAt, not_looked_at, wrong
from shared.errors import PixseekError

_Look: TypeAlias = Callable[[Deployment], Iterator[Finding]]

SUBJECTS: Final[dict[str, _Look]] = {
    "settings": settings.look,
    "keys": keys.look,
    "database": database.look,
    "buckets": buckets.look,
    "search": search.look,
    "webhook": webhook.look,
    "embedder": embedder.look,
    "models": models.look,
    "upkeep": upkeep.look,
    "clock": clock.look,
}
_LEAST_SECRET: Final = 8


def examine(deployment: Deployment, report: Callable[[str], None] = lambda _: None) -> list[Finding]:
    """Every finding, by subject. `report` is told of each subject that is done with; threads share it."""

    def looked_at(subject: str) -> list[Finding]:
        found = look_at(subject, deployment)
        report(subject)
        return found

    with ThreadPoolExecutor(len(SUBJECTS), thread_name_prefix="doctor") as threads:
        return [finding for found in threads.map(looked_at, SUBJECTS) for finding in found]


def look_at(subject: str, deployment: Deployment) -> list[Finding]:
    """One of `SUBJECTS`."""
    return [_without_secrets(finding, deployment) for finding in _found(subject, deployment)]


def is_well(findings: list[Finding]) -> bool:
    """Whether nothing is wrong; warnings are allowed."""
    return all(finding.level is not Level.WRONG for finding in findings)


def _found(subject: str, deployment: Deployment) -> Iterator[Finding]:
    """What a check finds until it cannot go on."""
    try:
        yield from SUBJECTS[subject](deployment)
    except NotLookedAt as exc:
        yield not_looked_at(f"{subject}.rest", str(exc))
    except (PixseekError, httpx.HTTPError) as exc:
        what = f"it ended with {type(exc).__name__}: {exc}"
        yield wrong(f"{subject}.rest", what, "see to what is wrong elsewhere first, then look again")
    except httpx.InvalidURL as exc:
        yield wrong(
            f"{subject}.rest", f"an address is none: {exc}", "correct SUPABASE_URL, SEARCH_URL, WEBHOOK_URL"
        )


def _without_secrets(finding: Finding, deployment: Deployment) -> Finding:
    """Whatever an error has quoted."""
    what, mend = finding.what, finding.mend
    for secret in deployment.secrets:
        if len(secret) >= _LEAST_SECRET:
            what = what.replace(secret, "…")
            mend = mend and mend.replace(secret, "…")
    return replace(finding, what=what, mend=mend)
