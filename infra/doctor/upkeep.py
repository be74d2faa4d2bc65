"""Whether somebody looks after the index: audits, and how much of what is nearest searches find."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter

from infra.doctor.deployment import Deployment
from infra.doctor.facts import RegisteredBucket, Told
from infra.doctor.findings import DoesNotApply, Finding, ok, some, warning, wrong
from shared.events.objects import is_followed
from shared.models import ObjectRef
from shared.settings import Settings

_OLD: Final = timedelta(days=3)
"""The schedule comes several times a day."""
_STUCK: Final = timedelta(days=1)
_LOOKED_AT: Final = 1000
_FEWEST: Final = 5
"""Pictures that a recall can be told of."""


class PastAudit(Told):
    """An audit, as the database keeps it."""

    bucket: str
    state: str
    reason: str | None
    updated_at: datetime
    ended_at: datetime | None


class PastRecall(Told):
    """What a recall check has shown."""

    model: str
    checked_at: datetime
    recall: float
    floor: float


_AUDITS: Final = TypeAdapter(list[PastAudit])
_RECALLS: Final = TypeAdapter(list[PastRecall])


def look(deployment: Deployment) -> Iterator[Finding]:
    """By the database's clock."""
    if deployment.is_empty:
        raise DoesNotApply("the index is empty")
    now = deployment.facts.now
    active = {model.name for model in deployment.models if model.state == "active"}
    recalls = deployment.call(_RECALLS, "recalls_v1", match_count=_LOOKED_AT)
    of_active = [recall for recall in recalls if recall.model in active]
    yield recall_finding(of_active[:1], deployment.images.get("indexed", 0), now)
    buckets = _followed(deployment.buckets, deployment.settings)
    latest: dict[str, PastAudit] = {}
    for audit in deployment.call(_AUDITS, "latest_audits_v1", match_count=_LOOKED_AT):
        latest.setdefault(audit.bucket, audit)
    yield from audit_findings(buckets, latest, now)


def _followed(buckets: list[RegisteredBucket], settings: Settings) -> list[str]:
    return [
        bucket.name
        for bucket in buckets
        if bucket.provider == settings.storage and is_followed(ObjectRef(bucket.name, ""), settings.buckets)
    ]


def recall_finding(last: Sequence[PastRecall], images: int, now: datetime) -> Finding:
    """`last`: the newest of the active model, if there is one."""
    again = "pixseek audit, or look at the log of the function audit"
    if not last:
        if images < _FEWEST:
            return ok("upkeep.recall", "there are too few pictures to measure a recall")
        return warning(
            "upkeep.recall", "nobody has measured how much of what is nearest searches find", again
        )
    [recall] = last
    said = f"searches found {recall.recall:.1%} of what is nearest, {(now - recall.checked_at).days} days ago"
    if recall.recall < recall.floor:
        mend = (
            "build the index of the active model anew: reindex index concurrently (docs/auditing.md), "
            "then measure again: pixseek audit"
        )
        return wrong("upkeep.recall", f"{said}: less than {recall.floor:.0%}", mend)
    if now - recall.checked_at > _OLD:
        return warning("upkeep.recall", said, again)
    return ok("upkeep.recall", said)


def audit_findings(
    buckets: Sequence[str], latest: Mapping[str, PastAudit], now: datetime
) -> Iterator[Finding]:
    """`latest`: the last audit of each bucket that had one."""
    never = [bucket for bucket in buckets if bucket not in latest]
    old = [
        bucket
        for bucket in buckets
        if bucket in latest and (ended := latest[bucket].ended_at) is not None and now - ended > _OLD
    ]
    if never:
        what = f"buckets that no audit has compared with the index: {some(never)}"
        yield warning("upkeep.audits", what, "pixseek audit, or let the schedule do it")
    if old:
        what = f"the last audit is more than {_OLD.days} days old: {some(old)}"
        yield warning(
            "upkeep.old_audits", what, "pixseek audit; the schedule of the function audit does not run"
        )
    faults = list(_failed(buckets, latest, now))
    yield from faults
    if not (never or old or faults):
        yield ok(
            "upkeep.audits", f"{len(buckets)} buckets are audited" if buckets else "no bucket to audit yet"
        )


def _failed(buckets: Sequence[str], latest: Mapping[str, PastAudit], now: datetime) -> Iterator[Finding]:
    for bucket in buckets:
        audit = latest.get(bucket)
        if audit is None:
            continue
        if audit.state == "failed":
            what = f"the last audit of {bucket} has failed: {audit.reason or 'it did not say why'}"
            yield wrong("upkeep.failed_audit", what, f"mend that, then: pixseek audit {bucket}")
        elif audit.state == "braked":
            what = f"the last audit of {bucket} has stopped before it removed much: {audit.reason or ''}"
            mend = f"look whether so much is gone, then: pixseek audit {bucket} --repair --allow-removals"
            yield wrong("upkeep.braked_audit", what, mend)
        elif audit.ended_at is None and now - audit.updated_at > _STUCK:
            what = f"an audit of {bucket} has not gone on for {(now - audit.updated_at).days} days"
            yield warning("upkeep.stuck_audit", what, f"pixseek audit {bucket}: it goes on where that stood")
