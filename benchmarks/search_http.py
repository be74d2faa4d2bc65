"""How fast a caller of the search function has an answer, beside the database's own and the guide's way:
`python -m benchmarks.search_http`.

`ROWS` pictures, 100,000 unless the environment says otherwise; the bars of the ratios are for that number
only. `LOAD_S` seconds of load, 60 unless told.
"""

import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from benchmarks import report
from benchmarks.http_parts import load
from benchmarks.http_parts.callers import Function, bare_rpc, guide_handler, remembered, unknown
from benchmarks.http_parts.clip_api import DELAY_MS
from benchmarks.http_parts.running import Running, running
from benchmarks.http_parts.sheet import Sheet
from benchmarks.ingest_parts.running import MODEL
from benchmarks.search_parts import data, exact
from benchmarks.search_parts.data import QUERIES, Ids
from benchmarks.search_parts.timing import Run, in_turn

_ROWS: Final = 100_000
_LOAD_S: Final = 60.0
_GUIDES_SHARE: Final = 1 / 3
"""Of the load's time: its pace is even."""
_AT_ONCE: Final = 8
_SEARCHES: Final = 5 * QUERIES
"""Of the quick contenders; for a ratio of so few milliseconds, each needs many turns on a busy machine."""

_REMEMBERED: Final = "ours, remembered"
_AS_USER: Final = "ours, remembered, as a user"
_UNKNOWN: Final = "ours, unknown text"
_RPC: Final = "bare RPC"
_RPC_AS_USER: Final = "bare RPC, as a user"
_GUIDE: Final = "the guide's handler"


def main() -> int:
    """Measure, print, write build/bench/search_http.json. 1 when a target is missed."""
    rows = int(os.environ.get("ROWS", _ROWS))
    load_s = float(os.environ.get("LOAD_S", _LOAD_S))
    sheet = Sheet()
    with report.step("vectors, truth"):
        data_set = data.make("hard", rows)
        truth = exact.nearest(data_set.vectors, data_set.queries)
    with running(data_set) as up:
        with report.step("each sentence once, to be remembered"):
            _remember(up)
        calls = _calls(up)
        if calls < QUERIES:
            raise RuntimeError(f"the API counted {calls} calls for {QUERIES} new texts")
        with report.step("the contenders in turn"):
            _compare(sheet, up, truth)
        _load(sheet, up, load_s)
        sheet.target("remembered.embedder_calls", _calls(up) - calls, 0, "max")
    if rows != _ROWS:
        sheet.drop_ratios()
    name = "search_http" if rows == _ROWS else f"search_http-{rows}"
    return report.publish(name, sheet.rows, sheet.targets)


def _remember(up: Running) -> None:
    """By asking: an answer's vector is remembered."""
    asker = Function(up.connection.search_url, up.connection.service_role_key, remembered)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(asker.search, range(QUERIES)))


def _calls(up: Running) -> int:
    """How often the search function has asked the API for a text that is remembered."""
    calls = up.embedder_calls()
    return sum(calls.get(remembered(number), 0) for number in range(QUERIES))


def _compare(sheet: Sheet, up: Running, truth: Ids) -> None:
    connection, key, user = up.connection, up.connection.service_role_key, up.user_token
    functions = {
        _REMEMBERED: Function(connection.search_url, key, remembered),
        _AS_USER: Function(connection.search_url, user, remembered),
        _UNKNOWN: Function(connection.search_url, key, unknown()),
    }
    runs = in_turn(
        {
            **{name: function.search for name, function in functions.items()},
            _RPC: bare_rpc(connection, key, MODEL),
            _RPC_AS_USER: bare_rpc(connection, user, MODEL),
            _GUIDE: guide_handler(up.guide_url),
        },
        _SEARCHES,
        limits={_UNKNOWN: QUERIES, _GUIDE: QUERIES},
    )
    truth = np.tile(truth, (_SEARCHES // QUERIES, 1))
    for name, run in runs.items():
        sheet.add(name, run, truth)
    for name, function in functions.items():
        sheet.add_stages(name, runs[name], function.stages)
    _conclude(sheet, runs)


def _conclude(sheet: Sheet, runs: Mapping[str, Run]) -> None:
    ours, as_user, unheard = runs[_REMEMBERED], runs[_AS_USER], runs[_UNKNOWN]
    note = f"beside the {DELAY_MS} ms of the API"
    sheet.remark(f"{_UNKNOWN}: overhead", note, unheard.p50_ms - DELAY_MS, unheard.p95_ms - DELAY_MS)
    ratio = as_user.p50_ms / runs[_RPC_AS_USER].p50_ms
    sheet.remark(f"{_AS_USER}: p50, ratio to bare RPC", f"{ratio:.3g}")
    sheet.target("remembered.p50_ratio_to_bare_rpc", ours.p50_ms / runs[_RPC].p50_ms, 2.5, "max")
    sheet.target("remembered.p50_ratio_to_guide", runs[_GUIDE].p50_ms / ours.p50_ms, 30, "min")


def _load(sheet: Sheet, up: Running, load_s: float) -> None:
    key = up.connection.service_role_key
    with report.step("load on ours"):
        ours = load.put(up.connection.search_url, key, load_s)
    sheet.add_load(_REMEMBERED, ours)
    with report.step("load on the guide's handler"):
        sheet.add_load(_GUIDE, load.put(up.guide_url, "", load_s * _GUIDES_SHARE))
    sheet.target("load.errors", sum(ours.errors.values()), 0, "max")


if __name__ == "__main__":
    sys.exit(main())
