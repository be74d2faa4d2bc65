"""What all entries of this function share: events in, the index follows, each outcome in the log."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Final

from shared import indexing
from shared.errors import PixseekError, SettingsError, Unavailable
from shared.events.objects import is_followed
from shared.gathering import Gathered
from shared.indexing import Outcome
from shared.models import Lane, ObjectEvent
from shared.settings import Times, load_settings
from shared.telemetry import Fact, log_failure, log_outcome
from shared.wiring import Adapters, load_adapters

_BATCHES_AT_ONCE: Final = 2
"""One decodes while another waits for the model."""
_NOT_OURS: Final = Outcome()


def follow(events: Sequence[ObjectEvent], times: Times) -> list[Outcome]:
    """Make the index follow some events; what became of each. Those of other buckets are left alone.

    Raises `SettingsError`.
    """
    settings = load_settings()
    ours = [event for event in events if is_followed(event.ref, settings.buckets)]
    if not ours:
        return [_NOT_OURS for _ in events]
    started = perf_counter()
    outcomes = _applied(ours, load_adapters(Lane.INDEXING), times)
    took_ms = round(1000 * (perf_counter() - started), 1)
    for event, outcome in zip(ours, outcomes, strict=True):
        _log(event, outcome, batch=len(ours), took_ms=took_ms)
    known = dict(zip(ours, outcomes, strict=True))
    return [known.get(event, _NOT_OURS) for event in events]


def _applied(events: Sequence[ObjectEvent], adapters: Adapters, times: Times) -> list[Outcome]:
    """Under the active model; and under the next, if that became active meanwhile: whoever brought the
    pictures to it may have ended before these came.
    """
    apply = partial(
        indexing.apply,
        events,
        store=adapters.store,
        index=adapters.database,
        with_previews=load_settings().previews,
        begin_by=times.begin_by,
        deadline=times.deadline,
    )
    try:
        embedder = adapters.embedders.active(deadline=times.deadline)
        outcomes = apply(embedder=embedder)
        # The one that was taken for active may even be dropped.
        if any(outcome.embedded or isinstance(outcome.error, SettingsError) for outcome in outcomes):
            now = adapters.embedders.active(deadline=times.deadline, afresh=True)
            outcomes = outcomes if now.model.name == embedder.model.name else apply(embedder=now)
    except Unavailable as exc:
        return [Outcome(error=exc) for _ in events]
    return outcomes


def _follow_calls(calls: Sequence[tuple[Sequence[ObjectEvent], Times]]) -> list[list[Outcome]]:
    """Several calls as one, within the time of the one that has least."""
    times = min((times for _, times in calls), key=lambda times: times.deadline)
    outcomes = iter(follow([event for events, _ in calls for event in events], times))
    return [[next(outcomes) for _ in events] for events, _ in calls]


_gathered = Gathered(_follow_calls, most=indexing.BATCH, at_once=_BATCHES_AT_ONCE)


def follow_together(events: Sequence[ObjectEvent], times: Times) -> list[Outcome]:
    """The same, together with what other threads of this process want followed at the time."""
    return _gathered((events, times))


def error_of(outcomes: Sequence[Outcome]) -> PixseekError | None:
    """What the sender is told of its events: the first thing that is worth a retry, if there is any."""
    return next((outcome.error for outcome in outcomes if outcome.is_worth_a_retry), None)


def _log(event: ObjectEvent, outcome: Outcome, *, batch: int, took_ms: float) -> None:
    facts: dict[str, Fact] = {
        "bucket": event.ref.bucket,
        "image": event.ref.name,
        "batch": batch,
        "took_ms": took_ms,
    }
    if outcome.preview_error is not None:
        log_failure("preview_not_kept", outcome.preview_error, **facts)
    if outcome.error is not None:
        log_failure("image_not_indexed", outcome.error, **facts)
        return
    log_outcome(
        "image_indexed",
        standing=outcome.standing,
        reason=outcome.reason,
        embedded=outcome.embedded,
        **facts,
    )
