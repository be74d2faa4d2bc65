"""All checks: they run side by side, and what befalls one leaves the others alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypeAlias

import httpx

from infra.doctor import buckets, clock, database, embedder, keys, models, search, upkeep, webhook
from infra.doctor.deployment import Deployment
from infra.doctor.findings import CannotTell, DoesNotApply, Finding, Level, not_looked_at, ok, untold, wrong
from infra.doctor.secrets import without_secrets
from shared.errors import PixseekError, SettingsError
from shared.settings import parse_settings

_Look: TypeAlias = Callable[[Deployment], Iterator[Finding]]


def _look_at_settings(deployment: Deployment) -> Iterator[Finding]:
    """All variables that the functions read, by themselves."""
    try:
        settings = parse_settings(deployment.variables)
    except SettingsError as exc:
        what = str(exc).removesuffix(" See .env.example.")
        yield wrong("settings.parse", what, "correct them; .env.example explains each, then deploy again")
    else:
        said = f"AUTH={settings.auth}, STORAGE={settings.storage}, EMBEDDER={settings.embedder}"
        yield ok("settings.parse", said)


SUBJECTS: Final[dict[str, _Look]] = {
    "settings": _look_at_settings,
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


def examine(deployment: Deployment, report: Callable[[str], None] = lambda _: None) -> list[Finding]:
    """Every finding, by subject. `report` is told of each subject that is done with; threads share it."""

    def looked_at(subject: str) -> list[Finding]:
        found = look_at(subject, deployment)
        report(subject)
        return found

    try:
        with ThreadPoolExecutor(len(SUBJECTS), thread_name_prefix="doctor") as threads:
            return [finding for found in threads.map(looked_at, SUBJECTS) for finding in found]
    finally:
        deployment.close()


def look_at(subject: str, deployment: Deployment) -> list[Finding]:
    """One of `SUBJECTS`."""
    variables = deployment.variables
    return [
        replace(
            finding,
            what=without_secrets(finding.what, variables),
            mend=finding.mend and without_secrets(finding.mend, variables),
        )
        for finding in _found(subject, deployment)
    ]


def is_well(findings: list[Finding]) -> bool:
    """Whether nothing is wrong; warnings are allowed."""
    return all(finding.level is not Level.WRONG for finding in findings)


def _found(subject: str, deployment: Deployment) -> Iterator[Finding]:
    """What a check finds until it cannot go on. Of a library's error the type alone is told: what it says may
    quote a key, in whatever form."""
    rest = f"{subject}.rest"
    try:
        yield from SUBJECTS[subject](deployment)
    except DoesNotApply as exc:
        yield not_looked_at(rest, str(exc))
    except CannotTell as exc:
        yield untold(subject, exc)
    except PixseekError as exc:
        yield wrong(rest, f"it cannot be told: {exc}", f"mend that, then: {deployment.again}")
    except httpx.HTTPError as exc:
        what = f"it cannot be told: a call ended with {type(exc).__name__}"
        mend = f"once more: {deployment.again}; if it stays so, look at the logs of whom it called"
        yield wrong(rest, what, mend)
    except Exception as exc:  # noqa: BLE001 -- one check's own fault may not hide what the others have found
        what = f"it cannot be told: {type(exc).__name__} is an error of pixseek doctor itself"
        yield wrong(
            rest, what, "file an issue that names the check and this error; look at it by hand meanwhile"
        )
