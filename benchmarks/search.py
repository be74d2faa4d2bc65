"""How fast and how right the search is, beside the guide's way and vecs: `make bench-search`.

`ROWS` pictures, 100,000 unless the environment says otherwise. The bars and docs/plots/ are for that number
only; with many more the peers are left out, to spare the time that their indexes take.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from benchmarks import report
from benchmarks.search_parts import (
    attributes,
    crowd,
    curves,
    data,
    exact,
    filtering,
    guide,
    ours,
    paging,
    peers,
    plot,
    server,
)
from benchmarks.search_parts.asking import remembering
from benchmarks.search_parts.attributes import Attributes
from benchmarks.search_parts.curves import Point
from benchmarks.search_parts.data import DataSet, Ids
from benchmarks.search_parts.ours import Ours
from benchmarks.search_parts.sheet import Findings
from benchmarks.search_parts.timing import Run, in_turn
from infra.local.postgres import Postgres

_ROWS: Final = 100_000
_PLOTS: Final = Path(__file__).parents[1] / "docs" / "plots"
_BARS: Final = {"clustered": (100, 0.98), "hard": (50, 0.95)}
"""Times faster than the guide, recall@10."""


_MANY: Final = 2 * _ROWS
_GUIDE_QUERIES: Final = 200
_GUIDE_QUERIES_OF_MANY: Final = 20
"""The guide takes five seconds a query at a million rows."""


@dataclass(frozen=True, slots=True)
class _Bench:
    """One data set, loaded into each contender's database."""

    findings: Findings
    postgres: Postgres
    data: DataSet
    truth: Ids
    attributes: Attributes
    ours: Ours
    guide: psycopg.Connection


def main() -> int:
    """Measure, print, write build/bench/search.json. 1 when a target is missed."""
    rows = int(os.environ.get("ROWS", _ROWS))
    name = "search" if rows == _ROWS else f"search-{rows}"
    findings = Findings()
    with server.started(report.FOLDER / "search-pg", rows) as postgres:
        for data_set in data.NAMES:
            points = _measure(findings, postgres, data.make(data_set, rows))
            folder = _PLOTS if rows == _ROWS else report.FOLDER
            plot.draw(folder / f"{name}-{data_set}.svg", f"“{data_set}”, {rows:,} pictures", points)
    if rows != _ROWS:
        findings.drop_bars()
    return report.publish(name, findings.rows, findings.targets, details=findings.details)


def _measure(findings: Findings, postgres: Postgres, data_set: DataSet) -> list[Point]:
    name = data_set.name
    with report.step(f"{name}: truth"):
        truth = exact.nearest(data_set.vectors, data_set.queries)
        given = attributes.assign(data_set)
    with report.step(f"{name}: load the guide's database"):
        session = guide.prepare(postgres, data_set)
    with session:
        with report.step(f"{name}: load ours, build its index"):
            loaded = ours.prepare(postgres, data_set, given)
            server.write_out(postgres)
        bench = _Bench(findings, postgres, data_set, truth, given, loaded, session)
        with report.step(f"{name}: the guide and ours in turn"):
            runs = _compare(bench)
        with report.step(f"{name}: curves"):
            points = _curves(bench)
        if name == "hard":
            points += _measure_more(bench, runs)
    single = [curves.point(contender, "", run, truth) for contender, run in runs.items()]
    return single + points


def _compare(bench: _Bench) -> dict[str, Run]:
    """The guide's function and ours, by the same call."""
    name = bench.data.name
    queries = _GUIDE_QUERIES if len(bench.data.vectors) <= _MANY else _GUIDE_QUERIES_OF_MANY
    with bench.ours.connect() as session:
        runs = in_turn(
            {
                "guide's match_images": guide.match_images(bench.guide, bench.data),
                "pixseek's match_images": guide.match_images(session, bench.data),
            },
            len(bench.data.queries),
            limits={"guide's match_images": queries},
        )
    recalls = [bench.findings.add(name, case, run, bench.truth) for case, run in runs.items()]
    guides, our = runs.values()
    bench.findings.at_least(f"{name}.p50_ratio_to_guide", guides.p50_ms / our.p50_ms, _BARS[name][0])
    bench.findings.at_least(f"{name}.recall10", recalls[1], _BARS[name][1])
    index = bench.ours.index
    bench.findings.remark(
        name,
        "pixseek's index, build",
        f"{bench.ours.build_s:.0f} s, {bench.ours.index_bytes / 1e6:.0f} MB,"
        f" m {index.m}, ef_construction {index.ef_construction}",
        build_s=bench.ours.build_s,
        index_bytes=bench.ours.index_bytes,
        definition=index.definition,
    )
    return runs


def _curves(bench: _Bench) -> list[Point]:
    found = (bench.findings, bench.data, bench.truth)
    return [
        *curves.of_ours(*found, bench.ours),
        *curves.of_guide(*found, bench.postgres),
        *curves.of_numpy(*found),
    ]


def _measure_more(bench: _Bench, runs: Mapping[str, Run]) -> list[Point]:
    """What is asked of the harder set only."""
    guides, our = runs.values()
    findings, data_set, truth, database = bench.findings, bench.data, bench.truth, bench.ours
    with report.step("hard: filters, rights"):
        filtering.measure(findings, data_set, database, bench.attributes, guides.p50_ms)
    with report.step("hard: no match"):
        filtering.measure_no_match(findings, data_set, truth, database)
    with report.step("hard: remembered sentences, many callers"):
        _remembered(bench)
        crowd.measure(findings, data_set, database, truth)
    points = _measure_peers(bench, our) if len(data_set.vectors) <= _MANY else []
    with report.step("hard: paging"):
        paging.measure(findings, data_set, database)
    return points


def _measure_peers(bench: _Bench, our: Run) -> list[Point]:
    findings, data_set, truth, database = bench.findings, bench.data, bench.truth, bench.ours
    with report.step("hard: plain HNSW on the guide's column"):
        _compare_sizes(bench)
    with report.step("hard: vecs"), database.connect() as session:
        ours_search = guide.match_images(session, data_set)
        points = peers.measure_vecs(findings, data_set, truth, bench.postgres, database.index, ours_search)
    with report.step("hard: hnswlib"):
        wanted = exact.recall(truth, our.answers)
        points += peers.measure_hnswlib(findings, data_set, truth, database.index, wanted)
    return points


def _remembered(bench: _Bench) -> None:
    with bench.ours.connect() as session:
        search = remembering(session, bench.data.queries)
        run = in_turn({"remembered": search}, len(bench.data.queries))["remembered"]
    bench.findings.add(bench.data.name, "remembered sentences", run, bench.truth)


def _compare_sizes(bench: _Bench) -> None:
    size_bytes, build_s = guide.build_hnsw(bench.guide, bench.ours.index)
    note = f"{build_s:.0f} s, {size_bytes / 1e6:.0f} MB"
    bench.findings.remark(
        bench.data.name, "hnsw on vector, build", note, build_s=build_s, index_bytes=size_bytes
    )
    bench.findings.at_most("index_bytes_ratio_to_vector_hnsw", bench.ours.index_bytes / size_bytes, 0.6)


if __name__ == "__main__":
    sys.exit(main())
