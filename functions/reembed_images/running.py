"""What all entries of this function share: one run within its time, its outcome in the log."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, perf_counter
from typing import Final, TypeAlias

from shared import indexing, reembedding
from shared.claiming import Worker
from shared.errors import PixseekError, SettingsError
from shared.models import Lane
from shared.ports import Embedder
from shared.reembedding import Reembedded
from shared.registered import ModelRegistry
from shared.settings import Settings, Times, load_settings
from shared.telemetry import Fact, log_failure, log_outcome
from shared.wiring import Adapters, build_registry, load_adapters

Report: TypeAlias = Mapping[str, Mapping[str, Fact]]
"""What a run came to, by model."""
CallMore = Callable[[int], None]
"""Starts so many more instances of this function. They must not call more themselves."""

_THREADS: Final = 3
"""A batch is read and another stored while the model looks at a third."""
_BATCH_S: Final = 60.0
"""What a batch may take at most, as a rule: so long before the end the last one is begun."""
_PICTURES_AN_INSTANCE: Final = 500
_DAY_S: Final = 86_400


def run(times: Times, *, call_more: CallMore | None = None) -> Report:
    """Bring the pictures to the active model, and to the one to come if there is one; switch; drop what was
    retired long ago.

    Raises `SettingsError`, and `Unavailable` when the database does not answer at all.
    """
    settings = load_settings()
    adapters, registry = load_adapters(Lane.INDEXING), build_registry(settings, Lane.INDEXING)
    embedders = _wanted(adapters, registry, settings)
    if call_more is not None:
        _call_more(embedders, registry, settings, call_more)
    report = {
        embedder.model.name: _reembed(embedder, adapters, registry, settings, times) for embedder in embedders
    }
    if all(facts["state"] != "unfinished" for facts in report.values()):
        kept_s = settings.keep_retired_days * _DAY_S
        # Dropped, one that NEXT_CLIP_MODEL still names would be built anew, and switched to.
        spared = {*report, adapters.embedders.target().model.name}
        for name in reembedding.drop_retired(registry, kept_s=kept_s, spared=spared):
            log_outcome("model_dropped", model=name)
    return report


def is_cut_short(facts: Mapping[str, Fact]) -> bool:
    """Whether another run would go on at once; not when the rest is in the hands of others."""
    return facts["state"] == "unfinished" and ("error" in facts or bool(facts["is_out_of_time"]))


def _wanted(adapters: Adapters, registry: ModelRegistry, settings: Settings) -> list[Embedder]:
    """That of the active model first: what came in is missing there now. Only NEXT_EMBEDDER and
    NEXT_CLIP_MODEL name one to come: a deployment whose EMBEDDER alone is another must not switch all others.
    Once switched away from, it is left as it is.
    """
    states = {model.name: model.state for model in registry.models()}
    coming = adapters.embedders.target() if settings.next_embedding() else None
    if coming is not None and states.get(coming.model.name) == "retired":
        coming = None
    if "active" not in states.values():
        registry.aim(adapters.embedders.first().model)  # a new index: it is active at once
    try:
        active = adapters.embedders.active(deadline=math.inf, afresh=True)
    except SettingsError as exc:
        if coming is None:
            raise
        log_failure("model_not_served", exc)
        return [coming]
    return [active] if coming is None or coming.model.name == active.model.name else [active, coming]


def _reembed(
    embedder: Embedder, adapters: Adapters, registry: ModelRegistry, settings: Settings, times: Times
) -> Mapping[str, Fact]:
    started = perf_counter()
    worker = worker_of(embedder, adapters, registry, settings, times)
    try:
        reached = reembedding.reembed(
            worker, memory=adapters.database, activate=settings.activate == "auto", threads=_THREADS
        )
    except PixseekError as exc:
        log_failure("reembedding_failed", exc, model=embedder.model.name)
        return {"state": "unfinished", "error": str(exc)}
    facts = _facts(reached) | {"took_s": round(perf_counter() - started, 1)}
    facts["is_out_of_time"] = monotonic() > worker.begin_by
    if reached.stopped_by is not None:
        log_failure("reembedding_stopped", reached.stopped_by, model=reached.model, **facts)
        return facts | {"error": str(reached.stopped_by)}
    log_outcome("reembedded", model=reached.model, **facts)
    return facts


def worker_of(
    embedder: Embedder, adapters: Adapters, registry: ModelRegistry, settings: Settings, times: Times
) -> Worker:
    """A worker of this deployment."""
    follow = partial(
        indexing.apply,
        store=adapters.store,
        embedder=embedder,
        index=adapters.database,
        with_previews=settings.previews,
        begin_by=times.deadline,
        deadline=times.deadline,
    )
    return Worker(
        embedder,
        adapters.store,
        adapters.database,
        registry,
        follow,
        settings.buckets,
        begin_by=max(times.begin_by, times.deadline - _BATCH_S),
        deadline=times.deadline,
    )


def _facts(reached: Reembedded) -> dict[str, Fact]:
    tally = reached.tally
    return {
        "state": reached.state,
        "is_new": reached.is_new,
        "indexed": tally.indexed,
        "failed": tally.failed,
        "later": tally.later,
        "calls": tally.calls,
        "missing": reached.missing,
    }


def _call_more(
    embedders: list[Embedder], registry: ModelRegistry, settings: Settings, call_more: CallMore
) -> None:
    """As many as there is work for. Alone it takes longer, and comes to the same."""
    try:
        missing = max(_missing(embedder, registry) for embedder in embedders)
        more = min(settings.reembed_workers, math.ceil(missing / _PICTURES_AN_INSTANCE)) - 1
        if more > 0:
            call_more(more)
            log_outcome("reembedding_shared", instances=more + 1)
    except PixseekError as exc:
        log_failure("reembedding_alone", exc)


def _missing(embedder: Embedder, registry: ModelRegistry) -> int:
    """Of a model that is not registered yet, all."""
    known = {model.name for model in registry.models() if model.state != "dropped"}
    name = embedder.model.name
    return registry.coverage(name).missing if name in known else registry.estimate(None).images
