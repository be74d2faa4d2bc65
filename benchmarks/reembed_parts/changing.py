"""Part C, the long run: pictures are brought to a model while searches go on; workers are killed, the
database is restarted, the model goes live, and searches go back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import report
from benchmarks.reembed_parts import judging, registry, searches, truth
from benchmarks.reembed_parts.judgement import Judgement, judge
from benchmarks.reembed_parts.judging import Span
from benchmarks.reembed_parts.progress import Sample
from benchmarks.reembed_parts.rates import CONCURRENCY, PROCESSES
from benchmarks.reembed_parts.running import MODEL, NEXT_MODEL, Running
from benchmarks.reembed_parts.searchers import searching
from benchmarks.reembed_parts.searches import SEARCHERS, Search
from benchmarks.reembed_parts.sheet import Sheet
from benchmarks.reembed_parts.watching import Watch
from benchmarks.reembed_parts.workers import Workers
from infra.local.postgres import Postgres

KILLED: Final = 2
_KILL_AT: Final = 0.5
_RESTART_AT: Final = 0.7
_CALM_S: Final = 15.0
_FOLLOWED_S: Final = 40.0
"""A process of the search function looks every half a minute which model is active."""
_RECOVERED_S: Final = 2.0
"""After the restart: connections that are held find out."""
_LEAST_PER_S: Final = 5
_LEASES_S: Final = 600.0


@dataclass(frozen=True)
class Course:
    """What happened when, by `time.monotonic`."""

    searches: Sequence[Search]
    samples: Sequence[Sample]
    killed_s: float
    restart: Span
    active_s: float
    back: Span


def measure(running: Running) -> tuple[Sheet, Judgement, Course]:
    """From no vector of the model to come on."""
    sheet = Sheet("C: long run")
    registry.drop(running)
    with report.step(f"{SEARCHERS} searchers, {PROCESSES} workers, {KILLED} killed, a restart, the way back"):
        course, workers = _run(running)
    with report.step("every answer beside both models' vectors"):
        judgement = judge(course.searches, truth.read(running), [_outage(course.restart)])
    _fill(sheet, running, course, workers)
    return sheet, judgement, course


def _run(running: Running) -> tuple[Course, Workers]:
    images = running.images
    within_s = _LEASES_S + images / _LEAST_PER_S
    with (
        searching(running, "C") as log,
        Watch(running) as watch,
        Workers(running, concurrency=CONCURRENCY, activate="auto") as workers,
    ):
        time.sleep(_CALM_S)
        workers.begin(PROCESSES)
        watch.wait_for(lambda now: now.vectors >= _KILL_AT * images, within_s, workers.keep_going)
        killed_s = time.monotonic()
        workers.kill(KILLED)
        watch.wait_for(lambda now: now.vectors >= _RESTART_AT * images, within_s, workers.keep_going)
        restart = _restart(running)
        watch.wait_for(lambda now: now.is_active and now.vectors >= images, within_s, workers.keep_going)
        workers.wait(within_s)
        time.sleep(_FOLLOWED_S)
        back = registry.roll_back(running)
        time.sleep(_FOLLOWED_S)
    active_s = next(sample.at_s for sample in watch.samples if sample.is_active)
    return Course(searches.read(log), watch.samples, killed_s, restart, active_s, back), workers


def _restart(running: Running) -> Span:
    """As an operator does: all sessions are ended."""
    postgres = Postgres(running.home.pgdata)
    began_s = time.monotonic()
    postgres.stop()
    postgres.start()
    return Span(began_s, time.monotonic())


def _outage(restart: Span) -> Span:
    return Span(restart.began_s, restart.ended_s + _RECOVERED_S)


def _fill(sheet: Sheet, running: Running, course: Course, workers: Workers) -> None:
    done, samples = course.searches, course.samples
    began_s = next(sample.at_s for sample in samples if sample.is_claimed)
    whole = next(sample for sample in samples if sample.vectors >= running.images)
    work = Span(began_s, whole.at_s)
    sheet.add("images/s, with all that happened", running.images / work.took_s)
    sheet.add("from the first claim to the last vector, s", work.took_s)
    sheet.add("to the switch, s", course.active_s - began_s)
    sheet.add("the database was away, s", course.restart.took_s)
    sheet.add("workers killed", workers.killed)
    sheet.add("workers begun", workers.begun, f"{PROCESSES} at first, one more whenever none was left")
    sheet.add("workers that gave up", len(workers.failures), str(workers.failures or ""))
    calls = [asked for asked in running.asked() if asked.kind == "image" and asked.at_s >= began_s]
    sheet.add(
        "pictures asked of the model", len(calls), f"for {running.images}: what was in hand is lost in a kill"
    )
    meanwhile = [search for search in done if work.holds(search) and not search.failures]
    for percent in (50, 99):
        ms = 1000 * judging.percentile_s(meanwhile, percent)
        sheet.add(f"searches meanwhile: p{percent}, ms", ms, f"{len(meanwhile)} searches")
    waited = [search.took_s for search in done if search.failures]
    sheet.add("longest search with its retries, s", max(waited, default=None))
    switched = Span(course.active_s, course.active_s)
    followed_s = judging.followed_s(done, switched, course.back.began_s, NEXT_MODEL)
    sheet.add("until the last searcher saw the new model, s", followed_s, "to a second or so")
    returned_s = judging.followed_s(done, course.back, time.monotonic(), MODEL)
    sheet.add("until the last searcher saw the old model again, s", returned_s)
    sheet.add("pause: the transaction of the way back, ms", 1000 * course.back.took_s)
