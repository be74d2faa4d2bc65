"""Bring every picture to a model while searches go on, and make it the one that they use."""

import math
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from shared.claiming import BATCH, Done, Worker
from shared.errors import NotNow, OverBudget, PixseekError, Unavailable
from shared.learning import Memory, learn_texts
from shared.registered import Coverage, ModelRegistry

LEAST_COVERAGE: Final = 0.999
"""Of the pictures that can be searched now."""
_MOST_STRIKES: Final = 3
_FIRST_PAUSE_S: Final = 1.0
_STILL_ASKED_S: Final = 120.0
"""Longer than a process takes to learn of a switch."""

Reached: TypeAlias = Literal["active", "covered", "retired", "unfinished"]


@dataclass(slots=True)
class Tally:
    """What a run has done so far. Threads share it."""

    indexed: int = 0
    failed: int = 0
    later: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Reembedded:
    """What a run came to."""

    model: str
    state: Reached
    """`covered`: it may be made active; `retired`: it was switched away from, and comes back by hand only."""
    tally: Tally
    is_new: bool = False
    """Whether this run made it active."""
    stopped_by: PixseekError | None = None
    """What kept it from going on, other than its time or its budget."""
    missing: int = 0
    """Pictures that still have no vector of it."""


def reembed(
    worker: Worker,
    *,
    memory: Memory,
    activate: bool = True,
    budget: float = math.inf,
    threads: int = 1,
    report: Callable[[Done], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Reembedded:
    """Work on what the worker's model lacks until nothing is left, its time is over, `budget` calls are made
    or `stop` is set; then, unless told otherwise, make the model active.

    Any number may run at once: the database hands out what nobody works on, and what is done stays done.
    Raises `NotNow` while pictures are being brought to another model, `Unavailable` when the database does
    not answer.
    """
    registry, model = worker.registry, worker.embedder.model
    state = registry.aim(model)
    stop = stop or threading.Event()
    run = _Run(worker, budget, report, stop)
    run.work(threads)
    coverage = registry.coverage(model.name)
    stopped_by = run.stopped_by
    if coverage.share >= LEAST_COVERAGE and state != "active":
        stopped_by = stopped_by or _shortfall(model.name, coverage, registry)
    if coverage.share < LEAST_COVERAGE or ((stopped_by or stop.is_set()) and state != "active"):
        return Reembedded(model.name, "unfinished", run.tally, False, stopped_by, coverage.missing)
    if state == "active":
        return Reembedded(model.name, "active", run.tally, False, stopped_by, coverage.missing)
    if state == "retired" or not activate:
        reached: Reached = "retired" if state == "retired" else "covered"
        return Reembedded(model.name, reached, run.tally, False, None, coverage.missing)
    if hindered_by := _switch(worker, memory):
        return Reembedded(model.name, "unfinished", run.tally, False, hindered_by, coverage.missing)
    # What came in meanwhile has a vector of the model of before alone.
    run.work(threads)
    missing = registry.coverage(model.name).missing
    return Reembedded(model.name, "active", run.tally, True, run.stopped_by, missing)


def drop_retired(registry: ModelRegistry, *, kept_s: float, spared: Collection[str] = ()) -> list[str]:
    """Remove the vectors of models that were retired so long ago; returns their names.

    Those that the guide's clients embed with stay, and those that are still worked on: dropped, they would be
    built anew and switched to. One that is in use is left to the next time.
    """
    dropped = []
    kept_s = max(kept_s, _STILL_ASKED_S)
    for model in registry.models():
        is_over = model.retired_for_s is not None and model.retired_for_s >= kept_s
        if model.state == "retired" and is_over and not model.is_guides and model.name not in spared:
            with suppress(NotNow, Unavailable):
                registry.drop(model.name)
                dropped.append(model.name)
    return dropped


def _switch(worker: Worker, memory: Memory) -> PixseekError | None:
    """Make the model active, or say what keeps it from that now."""
    registry, model = worker.registry, worker.embedder.model.name
    try:
        try:
            learn_texts(worker.embedder, registry, memory, deadline=worker.deadline)
        except OverBudget:
            raise
        except Unavailable:  # it spares calls, and holds up nothing
            pass
        registry.activate(model, least_coverage=LEAST_COVERAGE)
    except PixseekError as exc:
        return exc
    return None


def _shortfall(model: str, coverage: Coverage, registry: ModelRegistry) -> NotNow | None:
    """What fails under a model is no gap of it, and yet could not be found any more."""
    active = next((known.name for known in registry.models() if known.state == "active"), None)
    found = 0 if active is None else registry.coverage(active).vectors
    if coverage.vectors >= LEAST_COVERAGE * found:
        return None
    return NotNow(
        f"{model} covers {coverage.vectors} pictures and {active}, which is active, {found}: what is missing "
        "has failed under it (`pixseek models list`), or is still being worked on"
    )


class _Run:
    """The threads of a run, what they may still do and what they have done."""

    def __init__(
        self, worker: Worker, budget: float, report: Callable[[Done], None], stop: threading.Event
    ) -> None:
        self._worker = worker
        self._left = budget
        self._report = report
        self._stop = stop
        self._lock = threading.Lock()
        self.tally = Tally()
        self.stopped_by: PixseekError | None = None

    def work(self, threads: int) -> None:
        """Raises what is no error of ours."""
        with ThreadPoolExecutor(threads, thread_name_prefix="reembed") as pool:
            for done in [pool.submit(self._work) for _ in range(threads)]:
                done.result()

    def _work(self) -> None:
        strikes = 0
        while (most := self._take()) > 0:
            try:
                done = self._worker.work(most)
            except PixseekError as exc:
                self._give_back(most, None)
                strikes += 1
                if not isinstance(exc, Unavailable) or isinstance(exc, OverBudget) or strikes > _MOST_STRIKES:
                    self.stopped_by = exc
                    return
                self._stop.wait(_FIRST_PAUSE_S * 2 ** (strikes - 1))
                continue
            self._give_back(most, done)
            if done is None:
                return
            strikes = 0
            self._report(done)

    def _take(self) -> int:
        """How many pictures may be begun; calls are counted before they are made."""
        with self._lock:
            is_over = self._stop.is_set() or self.stopped_by or time.monotonic() > self._worker.begin_by
            most = 0 if is_over else int(min(BATCH, self._left))
            self._left -= most
            return most

    def _give_back(self, taken: int, done: Done | None) -> None:
        with self._lock:
            self._left += taken - (done.calls if done else 0)
            if done:
                self.tally.indexed += done.indexed
                self.tally.failed += done.failed
                self.tally.later += done.later
                self.tally.calls += done.calls
