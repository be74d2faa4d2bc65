"""Part A: how fast pictures are brought to a model when nothing else goes on, beside the API alone."""

from typing import Final

from benchmarks import report
from benchmarks.reembed_parts import alone, progress, registry
from benchmarks.reembed_parts.running import Running
from benchmarks.reembed_parts.sheet import Sheet
from benchmarks.reembed_parts.watching import Watch
from benchmarks.reembed_parts.workers import Workers

PROCESSES: Final = 4
CONCURRENCY: Final = 2
"""Of each process."""
LEAST_IMAGES: Final = 5000
"""With fewer the rate is mostly that of processes that start one after another."""
_SHARE: Final = 4
"""Of the pictures, for the concurrency that is looked at beside."""


def measure(running: Running) -> Sheet:
    """A run on some of the pictures with twice the concurrency first; then the one that counts, on all."""
    sheet = Sheet("A: rate")
    _run(running, sheet, 2 * CONCURRENCY, budget=max(64, running.images // _SHARE // PROCESSES))
    registry.drop(running)
    ratio, done = _run(running, sheet, CONCURRENCY, budget=None)
    if done < running.images:
        raise RuntimeError(f"{running.images - done} of {running.images} pictures have no vector")
    if running.images >= LEAST_IMAGES:
        sheet.target("reembed.rate_ratio_to_embedder", ratio, 0.8, "min")
    return sheet


def _run(running: Running, sheet: Sheet, concurrency: int, budget: int | None) -> tuple[float, int]:
    calls = PROCESSES * concurrency
    with report.step(f"the API alone, {calls} at a time"):
        alone_per_s = alone.rate(running, calls)
    with (
        report.step(f"{PROCESSES} processes, {calls} calls at a time"),
        Watch(running) as watch,
        Workers(running, concurrency=concurrency, activate="manual", budget=budget) as workers,
    ):
        workers.begin(PROCESSES)
        workers.wait(300 + running.images)
        watch.look_once_more()
    done = watch.now.vectors
    ours_per_s = progress.rate(watch.samples)
    ratio = ours_per_s / alone_per_s
    note = (
        f"{done} pictures by {PROCESSES} processes, from the first claim to the last vector in the database"
    )
    sheet.add(f"{calls} at a time: the API alone, images/s", alone_per_s)
    sheet.add(f"{calls} at a time: pixseek reembed, images/s", ours_per_s, note)
    sheet.add(f"{calls} at a time: ratio", ratio)
    return ratio, done
