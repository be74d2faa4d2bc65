"""Whether all clocks tell the same time: links and tokens are good for a while."""

import time
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
from pydantic import TypeAdapter

from infra.doctor.deployment import Deployment
from infra.doctor.facts import Facts
from infra.doctor.findings import CannotTell, Finding, not_looked_at, ok, untold, wrong

MOST_S: Final = 30.0
_NTP: Final = "set the clock by the network (timedatectl set-ntp true)"


def look(deployment: Deployment) -> Iterator[Finding]:
    """That of this machine beside those of the database and of the search function."""
    try:
        began = time.time()
        # Anew: what was answered before is from another moment.
        now = deployment.call(TypeAdapter(Facts), "doctor_v1").now
        yield clock_finding("database", now, began, time.time())
    except CannotTell as exc:
        yield untold("clock", exc)
    yield _function(deployment)


def _function(deployment: Deployment) -> Finding:
    if not deployment.variables.get("SEARCH_URL"):
        return not_looked_at("clock.function", "SEARCH_URL is not set")
    url = deployment.address("SEARCH_URL")
    began = time.time()
    try:
        date = deployment.http.get(f"{url}/health").headers["Date"]
        return clock_finding("function", parsedate_to_datetime(date), began, time.time())
    except (httpx.HTTPError, KeyError, ValueError):
        mend = "set SEARCH_URL to the search function's address, without a path"
        return wrong("clock.function", f"{url} does not tell its time", mend)


def clock_finding(whose: str, told: datetime, began: float, ended: float) -> Finding:
    """`told` between the times `began` and `ended` of this machine."""
    behind_s, ahead_s = began - told.timestamp(), told.timestamp() - ended
    apart_s = max(behind_s, ahead_s, 0.0)
    if apart_s <= MOST_S:
        return ok(f"clock.{whose}", f"the clock of the {whose} and that of this machine agree")
    way = "behind" if behind_s > 0 else "ahead of"
    what = f"the clock of the {whose} is {apart_s:.0f} s {way} that of this machine: links and tokens fail"
    return wrong(f"clock.{whose}", what, f"{_NTP}: that of this machine, unless another agrees with it")
