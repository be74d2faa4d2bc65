"""The sweep that follows: what no event has told, or told wrongly."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.chaos_parts.running import FUNCTION_TIMEOUT_S
from shared import auditing, indexing
from shared.errors import PixseekError
from shared.models import ObjectEvent
from shared.wiring import Adapters

_WAITS_S: Final = 2.0 * FUNCTION_TIMEOUT_S
"""Leases of workers that were killed run out by then."""
_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Swept:
    """What it found."""

    differences: Sequence[str]
    """Objects."""
    orphan_previews: int
    """That it deleted."""
    left: Sequence[str]
    """Objects that still differ when it is over."""
    took_s: float


def sweep(bucket: str, adapters: Adapters) -> Swept:
    """Once; what an outcome says is worth a retry is applied again, while leases may be held."""
    store, index = adapters.store, adapters.database
    started = time.monotonic()
    found = list(auditing.differences(bucket, store=store, index=index))
    to_do: Sequence[ObjectEvent] = found
    while to_do and time.monotonic() < started + _WAITS_S:
        to_do = _apply(to_do, adapters)
        if to_do:
            time.sleep(_PAUSE_S)
    orphans = auditing.delete_orphan_previews(bucket, store=store, index=index)
    left = [event.ref.name for event in auditing.differences(bucket, store=store, index=index)]
    return Swept([event.ref.name for event in found], orphans, left, time.monotonic() - started)


def _apply(events: Sequence[ObjectEvent], adapters: Adapters) -> list[ObjectEvent]:
    """Those that are worth a retry. A batch that raises is one: then the check tells what it has cost."""
    again: list[ObjectEvent] = []
    embedder = adapters.embedders.active(deadline=math.inf)
    for start in range(0, len(events), indexing.BATCH):
        batch = events[start : start + indexing.BATCH]
        try:
            outcomes = indexing.apply(
                batch,
                store=adapters.store,
                embedder=embedder,
                index=adapters.database,
                deadline=time.monotonic() + FUNCTION_TIMEOUT_S,
            )
        except PixseekError:
            again += batch
            continue
        again += [event for event, outcome in zip(batch, outcomes, strict=True) if outcome.is_worth_a_retry]
    return again
