"""What all entries of this function share: one run within its time, its outcomes in the log."""

import time
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Final, TypeAlias

from shared import auditing, indexing, recall
from shared.audits import Audit, AuditState
from shared.errors import NotNow, PixseekError
from shared.events.objects import is_followed
from shared.indexing import Outcome
from shared.mending import Follow
from shared.models import Lane, ObjectEvent, ObjectRef
from shared.settings import Settings, Times, load_settings
from shared.telemetry import Fact, log_failure, log_metric, log_outcome
from shared.wiring import Adapters, AuditAdapters, build_audits, load_adapters

Report: TypeAlias = Mapping[str, object]
"""What a run came to: of each bucket, of the recall, and how many old tombstones lost their names."""

_SHARE_OF_AUDITS: Final = 0.7
"""Of the time: large buckets take all they get, and the recall is to be checked as well."""
_SCRUBBED_AT_ONCE: Final = 10_000


def run(times: Times) -> Report:
    """Audit the buckets, first those that wait longest, as far as the time goes; check the recall.

    What is not done with goes on in the next run. Raises `SettingsError`, and `Unavailable` when the
    database does not answer at all.
    """
    settings = load_settings()
    adapters, audits = load_adapters(Lane.INDEXING), build_audits(settings, Lane.INDEXING)
    follow = _follow(adapters, settings, times)
    audit_by = time.monotonic() + _SHARE_OF_AUDITS * (times.begin_by - time.monotonic())
    audited = {
        bucket: _audit(bucket, adapters, audits, settings, follow, audit_by)
        for bucket in _due(audits, settings)
        if time.monotonic() <= audit_by
    }
    return {
        "audits": audited,
        "recall": _check_recall(adapters, audits, times),
        "scrubbed": _scrub(audits, times),
    }


def _due(audits: AuditAdapters, settings: Settings) -> list[str]:
    buckets = [
        bucket for bucket in audits.index.buckets() if is_followed(ObjectRef(bucket, ""), settings.buckets)
    ]
    return audits.index.longest_unaudited(buckets)


def _follow(adapters: Adapters, settings: Settings, times: Times) -> Follow | None:
    """Reads what has to be read; without an embedder that is left to whoever has one."""
    try:
        embedder = adapters.embedders.active(deadline=times.deadline)
    except PixseekError as exc:
        log_failure("stale_and_previews_left", exc)
        return None

    def follow(events: Sequence[ObjectEvent], *, deadline: float) -> list[Outcome]:
        return indexing.apply(
            events,
            store=adapters.store,
            embedder=embedder,
            index=adapters.database,
            with_previews=settings.previews,
            begin_by=times.begin_by,
            deadline=min(deadline, times.deadline),
        )

    return follow


def _audit(
    bucket: str,
    adapters: Adapters,
    audits: AuditAdapters,
    settings: Settings,
    follow: Follow | None,
    begin_by: float,
) -> Mapping[str, Fact]:
    started = perf_counter()
    try:
        audit = auditing.audit(
            bucket,
            store=adapters.store,
            index=audits.index,
            repair=True,
            with_previews=settings.previews,
            follow=follow,
            begin_by=begin_by,
        )
    except NotNow as exc:
        log_outcome("audit_skipped", bucket=bucket, reason=str(exc))
        return {"state": "skipped", "reason": str(exc)}
    except PixseekError as exc:
        log_failure("audit_failed", exc, bucket=bucket)
        return {"state": "failed", "error": type(exc).__name__}
    facts = _facts(audit)
    _log(audit, {**facts, "took_ms": round(1000 * (perf_counter() - started), 1)})
    return facts


def _facts(audit: Audit) -> dict[str, Fact]:
    progress = audit.progress
    return {
        "state": audit.state,
        "stage": progress.stage,
        "reason": audit.reason,
        "objects": progress.objects,
        "images": progress.images,
        "left": sum(audit.left.values()),
        **{f"found_{kind}": count for kind, count in progress.faults.items()},
        **{f"repaired_{kind}": count for kind, count in progress.repaired.items()},
    }


def _log(audit: Audit, facts: Mapping[str, Fact]) -> None:
    log_outcome("bucket_audited", bucket=audit.bucket, **facts)
    if audit.state is AuditState.BRAKED:
        log_failure("audit_braked", PixseekError(audit.reason or ""), bucket=audit.bucket)
    if audit.state is AuditState.PAUSED:
        return
    log_metric("faults_left", sum(audit.left.values()), "Count", bucket=audit.bucket)
    for kind, count in audit.progress.faults.items():
        log_metric("faults", count, "Count", bucket=audit.bucket, fault=kind)


def _check_recall(adapters: Adapters, audits: AuditAdapters, times: Times) -> Mapping[str, Fact]:
    try:
        checked = recall.check_recall(audits.recalls, begin_by=times.begin_by)
        model = adapters.database.active_model()
    except PixseekError as exc:
        log_failure("recall_unchecked", exc)
        return {"error": type(exc).__name__}
    facts: dict[str, Fact] = {
        "questions": checked.questions,
        "recall": checked.recall,
        "short_share": checked.short_share,
        "floor": checked.floor,
        "is_alarming": checked.is_alarming,
        "reason": checked.reason,
    }
    log_outcome("recall_checked", model=model, **facts)
    if checked.questions:
        log_metric("recall", checked.recall, "None", model=model)
        log_metric("short_share", checked.short_share, "None", model=model)
    if checked.is_alarming:
        log_failure("recall_below_floor", PixseekError(checked.reason or ""), model=model)
    return facts


def _scrub(audits: AuditAdapters, times: Times) -> int | None:
    """As many as there are, within the time."""
    scrubbed = 0
    try:
        while True:
            some = audits.forgetting.scrub(limit=_SCRUBBED_AT_ONCE)
            scrubbed += some
            if some < _SCRUBBED_AT_ONCE or time.monotonic() > times.begin_by:
                break
    except PixseekError as exc:
        log_failure("tombstones_not_scrubbed", exc)
        return None
    log_outcome("tombstones_scrubbed", tombstones=scrubbed)
    return scrubbed
