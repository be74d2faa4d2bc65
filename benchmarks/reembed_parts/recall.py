"""Part E: does the check of the recall tell good indexes from bad ones?"""

import os
from collections.abc import Mapping
from typing import Final

from benchmarks import report
from benchmarks.reembed_parts import recall_data, recall_indexes
from benchmarks.reembed_parts.auditing_stack import Offline, offline
from benchmarks.reembed_parts.recall_runs import Checks, check
from benchmarks.reembed_parts.sheet import Found, Sheet
from benchmarks.search_parts import data
from infra.cli.connection import Project
from shared.audit_ports import RecallIndex
from shared.models import Lane
from shared.recall import FLOOR
from shared.wiring import build_audits

ROWS: Final = 20_000
_QUERIES: Final = 500
_GOOD_RUNS: Final = 50
_RUNS: Final = 10
_BAD: Final[Mapping[str, recall_indexes.Break]] = {
    "ef_search 10": recall_indexes.looking_at(10),
    "lacks 50 %": recall_indexes.lacking(0.5),
    "lacks 10 %": recall_indexes.lacking(0.1),
    "answers one less": recall_indexes.short,
}
_POORER: Final[Mapping[str, recall_indexes.Break]] = {"ef_search 40": recall_indexes.looking_at(40)}
"""Bad if they find clearly less than the floor: more pictures are harder."""
_CLEARLY: Final = 0.03


def measure() -> Found:
    """On `RECALL_ROWS` pictures, so many unless the environment says otherwise."""
    rows = int(os.environ.get("RECALL_ROWS") or ROWS)
    sheet = Sheet("E: recall check")
    with report.step(f"the recall of {rows} pictures checked, start to stop"), offline() as up:
        index = build_audits(Project(up.stack.connection).settings(), Lane.INDEXING).recalls
        good = [_good(sheet, up, index, "hard", rows, _GOOD_RUNS)]
        bad = [_bad(sheet, up, index, name, broken) for name, broken in _BAD.items()]
        poorer = [_bad(sheet, up, index, name, broken) for name, broken in _POORER.items()]
        good += [
            _checked(sheet, index, "good again, hard", _RUNS),
            _good(sheet, up, index, "clustered", rows, _RUNS),
        ]
    bad += [checks for checks in poorer if checks.lowest < FLOOR - _CLEARLY]
    missed = sum(len(checks.recalls) - checks.alarms for checks in bad)
    sheet.target("audit.recall.missed_bad_index", missed, 0, "max")
    sheet.target("audit.recall.false_alarms", sum(checks.alarms for checks in good), 0, "max")
    return sheet.rows, sheet.targets, sheet.details


def _good(sheet: Sheet, up: Offline, index: RecallIndex, name: data.Name, rows: int, times: int) -> Checks:
    with up.superuser() as session:
        recall_data.load(session, data.make(name, rows, _QUERIES))
    return _checked(sheet, index, f"good, {name}", times)


def _bad(sheet: Sheet, up: Offline, index: RecallIndex, name: str, broken: recall_indexes.Break) -> Checks:
    with broken(up):
        return _checked(sheet, index, name, _RUNS)


def _checked(sheet: Sheet, index: RecallIndex, name: str, times: int) -> Checks:
    with report.step(f"{times} checks: {name}"):
        checks = check(index, times)
    sheet.add(f"{name}: recall@10", checks.lowest, checks.note())
    return checks
