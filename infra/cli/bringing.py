"""Pictures that are brought to a model in this process: an estimate, a bar, and what it came to."""

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pydantic import BaseModel, TypeAdapter
from rich.console import Console
from rich.markup import escape

from infra.cli.connection import Project, RefusedError
from infra.cli.embedding_bar import EmbeddingBar, embedding_bar
from shared import indexing, reembedding
from shared.claiming import LEASE_S, Worker
from shared.errors import NotNow, OverBudget, SettingsError, Unavailable
from shared.models import Lane
from shared.reembedding import Reembedded, Tally
from shared.registered import Estimate
from shared.wiring import build_adapters, build_registry

_LEAST_CREDITS_A_CALL: Final = 0.1 / 500
"""Roboflow's price: a request takes at least 0.1 s, and a credit buys 500 s."""
_LOOK_AGAIN_S: Final = 5.0
_LOOK_FOR_BUDGET_S: Final = 30.0


class _Spending(BaseModel):
    lane: str
    calls_per_day: int | None
    calls_per_s: float | None


class Bringing:
    """One model that pictures are brought to."""

    def __init__(self, console: Console, project: Project, model: str) -> None:
        """Raises `SettingsError` for a model that no embedder is configured for here."""
        _check_stack(project)
        self._console = console
        self._project = project
        self._waits_until: datetime | None = None
        self._settings = project.settings()
        self._adapters = build_adapters(self._settings, Lane.INDEXING)
        self._registry = build_registry(self._settings, Lane.INDEXING)
        self._embedder = self._adapters.embedders.named(model)
        self.calls = 0
        """To the model so far."""

    @classmethod
    def wanted(cls, project: Project) -> list[str]:
        """The active model, for what came in and is missing there; then the one to come.

        Raises `SettingsError` when the active one is another than EMBEDDER's and none to come is named:
        nobody has asked for a switch.
        """
        _check_stack(project)
        settings = project.settings()
        embedders = build_adapters(settings, Lane.INDEXING).embedders
        target = embedders.target().model.name
        models = build_registry(settings, Lane.INDEXING).models()
        if not any(model.state == "active" for model in models):
            return [target]
        try:
            return list(dict.fromkeys([embedders.active(deadline=math.inf).model.name, target]))
        except SettingsError:
            if settings.next_embedding() is None:
                raise
            return [target]

    def estimate(self) -> Estimate:
        """What it takes. Nothing is registered by it."""
        name = self._embedder.model.name
        known = {model.name for model in self._registry.models() if model.state != "dropped"}
        return self._registry.estimate(name if name in known else None)

    def print_estimate(self, estimate: Estimate) -> None:
        """Calls, hours and cost."""
        self._print(f"{escape(self._embedder.model.name)}: {estimate.images} pictures lack a vector of it")
        if not estimate.images:
            return
        if not self._adapters.database.costs(self._embedder.model.name):
            self._print(f"{estimate.calls} to embed, on this machine and at no cost; the bar tells how long")
            return
        hours = _hours(estimate.calls, self._limits())
        took = "no limit is set" if hours is None else f"{_shown(hours)} by the limits of `pixseek spending`"
        self._print(
            f"{estimate.calls} calls to the model (the same bytes take one), {took}, "
            f"{estimate.calls * _LEAST_CREDITS_A_CALL:.1f} Roboflow credits at least"
        )

    def run(
        self, estimate: Estimate, *, activate: bool, budget: float = math.inf, threads: int = 3
    ) -> Reembedded:
        """Embed with a progress bar. Waits for a budget of the day that is spent, for what others hold, and
        two minutes for what does not answer; Ctrl-C stops it after the batches in hand.
        """
        stop = threading.Event()
        with embedding_bar(self._console, estimate.images) as bar:
            while True:
                reached = self._run_once(activate, budget - bar.calls, threads, bar, stop)
                self.calls = bar.calls
                wait_s = 0.0 if bar.calls >= budget else self._wait_s(reached, bar)
                if reached.state != "unfinished" or not wait_s or _interrupted(stop, wait_s):
                    return reached

    def print_end(self, reached: Reembedded) -> None:
        """What it came to, and what to do next."""
        name = escape(reached.model)
        switch = f"pixseek models activate {name}"
        if reached.stopped_by is not None:
            self._print(f"[yellow]stopped[/]: {escape(str(reached.stopped_by))}")
        ends = {
            "active": f"searches use {name}{', from now on' if reached.is_new else ''}",
            "covered": f"{name} covers the pictures: {switch}",
            "retired": f"{name} covers the pictures, and comes back by hand only: {switch}",
            "unfinished": f"{switch} switches to it all the same"
            if isinstance(reached.stopped_by, NotNow)
            else f"{reached.missing or 'some'} pictures lack a vector of {name}: run it again to go on",
        }
        self._print(ends[reached.state])
        if reached.tally.failed:
            self._print(f"{reached.tally.failed} failed for good: pixseek failures")

    def _run_once(
        self, activate: bool, budget: float, threads: int, bar: EmbeddingBar, stop: threading.Event
    ) -> Reembedded:
        """In a thread: Ctrl-C reaches the main one alone."""
        act = partial(
            reembedding.reembed,
            self._worker(),
            memory=self._adapters.database,
            activate=activate,
            budget=budget,
            threads=threads,
            report=bar.add,
            stop=stop,
        )
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(act)
            try:
                return running.result()
            except KeyboardInterrupt:
                self._print("stopping after the batches in hand")
                stop.set()
                return running.result()
            except Unavailable as exc:
                name = self._embedder.model.name
                return Reembedded(name, "unfinished", Tally(), stopped_by=exc)

    def _wait_s(self, reached: Reembedded, bar: EmbeddingBar) -> float:
        """How long to wait before going on; 0 when that would not help."""
        error = reached.stopped_by
        if isinstance(error, OverBudget) and error.frees_at is not None:
            if error.frees_at != self._waits_until:
                at = f"{error.frees_at.astimezone():%Y-%m-%d %H:%M:%S}"
                self._print(f"the budget is spent: going on at {at}, or when it is raised (pixseek spending)")
                self._waits_until = error.frees_at
            return max(1.0, min(_LOOK_FOR_BUDGET_S, (error.frees_at - datetime.now(UTC)).total_seconds()))
        # The pictures of a worker that died are handed out when its lease is over, and outages end.
        may_help = reached.missing > 0 if error is None else isinstance(error, Unavailable)
        return _LOOK_AGAIN_S if may_help and bar.idle_s < LEASE_S + 2 * _LOOK_AGAIN_S else 0.0

    def _worker(self) -> Worker:
        adapters = self._adapters
        follow = partial(
            indexing.apply,
            store=adapters.store,
            embedder=self._embedder,
            index=adapters.database,
            with_previews=self._settings.previews,
        )
        return Worker(
            self._embedder, adapters.store, adapters.database, self._registry, follow, self._settings.buckets
        )

    def _limits(self) -> _Spending:
        rows = self._project.rows(TypeAdapter(list[_Spending]), "spending_v1")
        return next(row for row in rows if row.lane == "indexing")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False)


def _check_stack(project: Project) -> None:
    """Raises `RefusedError` where the model to come is named here and not to the stack."""
    stack = project.connection.function_settings
    unknown = [name for name in os.environ if stack and name.startswith("NEXT_") and name not in stack]
    if unknown:
        raise RefusedError(
            f"the stack runs without {', '.join(sorted(unknown))}, so its searches could not follow: start "
            "it with the same variables (`make serve`)"
        )


def _interrupted(stop: threading.Event, wait_s: float) -> bool:
    try:
        return stop.wait(wait_s)
    except KeyboardInterrupt:
        return True


def _hours(calls: int, limits: _Spending) -> float | None:
    """At the limits of all instances together."""
    by_rate = None if limits.calls_per_s is None else calls / limits.calls_per_s / 3600
    by_day = None if not limits.calls_per_day else 24 * calls / limits.calls_per_day
    return max(filter(None, (by_rate, by_day)), default=None)


def _shown(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{math.ceil(60 * hours)} minutes"
