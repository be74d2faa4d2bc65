"""Searches that keep a part of the pictures: by a filter, by the caller's rights, or none at all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import psycopg

from benchmarks.search_parts import asking, exact
from benchmarks.search_parts.attributes import Attributes, Mask
from benchmarks.search_parts.data import DataSet, Floats, Ids
from benchmarks.search_parts.ours import Ours
from benchmarks.search_parts.sheet import Findings
from benchmarks.search_parts.timing import Run, Search, in_turn

_OPPOSED_QUERIES: Final = 50


@dataclass(frozen=True, slots=True)
class _Case:
    search: Search
    queries: Floats
    kept: Mask

    def truth(self, vectors: Floats) -> Ids:
        return exact.nearest(vectors, self.queries, kept=self.kept)


def measure(
    findings: Findings, data: DataSet, ours: Ours, attributes: Attributes, guide_p50_ms: float
) -> None:
    """The filters' targets and rows."""
    with ours.connect() as connection, ours.connect_as_owner() as owner:
        cases = _independent(data, attributes, connection, owner)
        runs = in_turn({name: case.search for name, case in cases.items()}, len(data.queries))
        opposed = _opposed(data, attributes, connection)
        opposed_runs = in_turn({name: case.search for name, case in opposed.items()}, _OPPOSED_QUERIES)
    recalls = [_report(findings, data, name, cases[name], run) for name, run in runs.items()]
    for name, run in opposed_runs.items():
        _report(findings, data, name, opposed[name], run)

    findings.at_most("filter.short_answers", _short(cases, runs) + _short(opposed, opposed_runs), 0)
    findings.at_least("filter.recall10", min(recalls), 0.95)
    worst_p95_ms = max(run.p95_ms for run in runs.values())
    findings.at_least("filter.p95_ratio_to_guide", guide_p50_ms / worst_p95_ms, 15)


def measure_no_match(findings: Findings, data: DataSet, truth: Ids, ours: Ours) -> None:
    """To find nothing should not cost more than to find something."""
    with ours.connect() as connection:
        runs = in_turn(
            {
                "search_images_v1": asking.searching(connection, data.queries),
                "no match: threshold above all": asking.matching_nothing(connection, data.queries),
                "no match: filter keeps nothing": asking.searching(
                    connection, data.queries, {"prefix": "none/"}
                ),
            },
            len(data.queries),
        )
    for name, run in runs.items():
        findings.add(data.name, name, run, truth if name == "search_images_v1" else None)
    plain, *empty = runs.values()
    found = sum(len(answer) for run in empty for answer in run.answers)
    ratio = max(run.p50_ms for run in empty) / plain.p50_ms
    findings.at_most("nomatch.ratio_to_match", math.nan if found else ratio, 2)


def _independent(
    data: DataSet, attributes: Attributes, connection: psycopg.Connection, owner: psycopg.Connection
) -> dict[str, _Case]:
    cases = {
        f"filter {entry.name}": _Case(
            asking.searching(connection, data.queries, entry.values), data.queries, entry.kept
        )
        for entry in attributes.independent()
    }
    as_owner = asking.searching(owner, data.queries)
    return cases | {"row-level security 14 %": _Case(as_owner, data.queries, attributes.is_owned)}


def _opposed(data: DataSet, attributes: Attributes, connection: psycopg.Connection) -> dict[str, _Case]:
    queries = data.queries[:_OPPOSED_QUERIES]
    cases = {
        f"opposed {entry.name}": _Case(
            asking.searching(connection, queries, entry.values), queries, entry.kept
        )
        for entry in attributes.opposed_to_mean()
    }
    # Sentences about the same as the first, and what is farthest from it.
    alike = data.queries[0] + 0.4 * data.queries[1 : _OPPOSED_QUERIES + 1]
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    farthest = attributes.opposed_to_first()
    search = asking.searching(connection, alike, farthest.values)
    return cases | {f"opposed {farthest.name}": _Case(search, alike, farthest.kept)}


def _report(findings: Findings, data: DataSet, name: str, case: _Case, run: Run) -> float:
    return findings.add(data.name, name, run, case.truth(data.vectors), f"{case.kept.sum():,} rows kept")


def _short(cases: Mapping[str, _Case], runs: Mapping[str, Run]) -> int:
    """Answers with fewer rows than asked for though there are so many."""
    return sum(run.short(min(exact.K, int(cases[name].kept.sum()))) for name, run in runs.items())
