"""What recall costs: each contender's index at several settings, and the reach of brute force."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.search_parts import exact, guide, ours
from benchmarks.search_parts.data import DataSet, Ids
from benchmarks.search_parts.ours import Ours
from benchmarks.search_parts.sheet import Findings
from benchmarks.search_parts.timing import Run, in_turn
from infra.local.postgres import Postgres

_EF_SEARCH: Final = (40, 60, 80, 100, 150, 200, 300, 400, 800)
_PROBES: Final = (1, 10)


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of one contender."""

    contender: str
    label: str
    recall: float
    p50_ms: float


def of_ours(findings: Findings, data: DataSet, truth: Ids, database: Ours) -> list[Point]:
    """Our index by plain SQL, with pgvector's own defaults but for `hnsw.ef_search`."""
    with ExitStack() as sessions:
        settings = {
            f"ef {ef_search}": ours.raw(
                sessions.enter_context(database.connect()), database.index, data, ef_search
            )
            for ef_search in _EF_SEARCH
        }
        runs = in_turn(settings, len(data.queries))
    return _points(findings, data, truth, "pixseek's index", runs)


def of_guide(findings: Findings, data: DataSet, truth: Ids, postgres: Postgres) -> list[Point]:
    """The guide's index with the query mended, which the guide's own query never uses."""
    with ExitStack() as sessions:
        settings = {
            f"probes {probes}": guide.mended(
                sessions.enter_context(guide.connect(postgres, data)), data, probes
            )
            for probes in _PROBES
        }
        runs = in_turn(settings, len(data.queries))
    return _points(findings, data, truth, "guide's ivfflat, query mended", runs)


def of_numpy(findings: Findings, data: DataSet, truth: Ids) -> list[Point]:
    """Every vector compared, in memory and without a database: the bound of quality."""

    def search(number: int) -> list[int]:
        scores = data.vectors @ data.queries[number]
        best = np.argpartition(-scores, exact.K)[: exact.K]
        ordered: list[int] = (best[np.argsort(-scores[best])] + 1).tolist()
        return ordered

    runs = in_turn({"exact": search}, len(data.queries))
    return _points(findings, data, truth, "numpy", runs)


def point(contender: str, label: str, run: Run, truth: Ids) -> Point:
    """The setting of this label as its run went."""
    return Point(contender, label, exact.recall(truth, run.answers), run.p50_ms)


def _points(
    findings: Findings, data: DataSet, truth: Ids, contender: str, runs: dict[str, Run]
) -> list[Point]:
    for label, run in runs.items():
        findings.add(data.name, f"{contender}, {label}", run, truth)
    return [point(contender, label, run, truth) for label, run in runs.items()]
