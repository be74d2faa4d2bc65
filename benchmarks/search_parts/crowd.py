"""Many callers at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from benchmarks.search_parts import guide
from benchmarks.search_parts.data import QUERIES, DataSet, Ids
from benchmarks.search_parts.ours import Ours
from benchmarks.search_parts.sheet import Findings
from benchmarks.search_parts.timing import Run, Search, in_a_row, warm_up

_CALLERS: Final = 32
_EACH: Final = QUERIES // 5


def measure(findings: Findings, data: DataSet, ours: Ours, truth: Ids) -> None:
    """Each caller has a session of its own. Threads suffice: they wait for the server most of the time."""
    with ExitStack() as sessions, ThreadPoolExecutor(_CALLERS) as threads:
        searches = [guide.match_images(sessions.enter_context(ours.connect()), data) for _ in range(_CALLERS)]
        for search in searches:
            warm_up(search)
        started = time.perf_counter()
        runs = list(threads.map(_ask, searches, range(_CALLERS)))
        elapsed_s = time.perf_counter() - started

    times_ms = [time_ms for run in runs for time_ms in run.times_ms]
    answers = [answer for run in runs for answer in run.answers]
    asked = [number for caller in range(_CALLERS) for number in _share(caller)]
    per_second = len(answers) / elapsed_s
    note = f"{per_second:.0f} searches a second"
    findings.add(data.name, f"{_CALLERS} callers", Run(times_ms, answers), truth[asked], note)
    findings.details.append({"set": data.name, "callers": _CALLERS, "searches_per_s": per_second})


def _ask(search: Search, caller: int) -> Run:
    return in_a_row(search, _share(caller))


def _share(caller: int) -> list[int]:
    """Callers start at different queries."""
    return [(caller * _EACH + number) % QUERIES for number in range(_EACH)]
