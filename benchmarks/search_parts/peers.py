"""Other people's ways: vecs, Supabase's client for pgvector, and hnswlib, which has no database around it.

Each has its own environment in build/peers/ and runs as a process of its own, `peers/<peer>_peer.py`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlencode

import numpy as np
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel

from benchmarks.peer import Peer, other_peoples
from benchmarks.report import FOLDER
from benchmarks.search_parts import binary, exact, server
from benchmarks.search_parts.curves import Point, point
from benchmarks.search_parts.data import CHUNK, DataSet, Ids
from benchmarks.search_parts.ours import Index
from benchmarks.search_parts.sheet import Findings
from benchmarks.search_parts.timing import Run, Search, in_turn
from infra.local.postgres import Postgres

_EF_SEARCH: Final = (40, 60, 80, 100, 150, 200, 300, 400, 600, 800, 1000)
_CLOSE: Final = 10
"""How near the least setting that reaches our recall is found."""
_ROUNDS: Final = 5


class _Reply(BaseModel):
    seconds: float = 0
    times_ms: list[float] = []
    answers: list[list[int]] = []


def _search(peer: Peer, ef_search: int) -> Run:
    """All queries, timed over there."""
    reply = peer.ask(_Reply, do="search", ef_search=ef_search)
    return Run(reply.times_ms, [*reply.answers])


def measure_vecs(
    findings: Findings, data: DataSet, truth: Ids, postgres: Postgres, index: Index, ours: Search
) -> list[Point]:
    """Our time over that of vecs at our recall, its index having the parameters of ours; its curve."""
    database = f"vecs_{data.name}"
    server.create_database(postgres, database, template="postgres")
    url = _url(postgres, database)
    with _saved(data) as folder, other_peoples("vecs", url, folder / "queries.npy") as peer:
        peer.ask(_Reply, do="create")
        _load_vecs(postgres, database, data)
        built = peer.ask(_Reply, do="index", m=index.m, ef_construction=index.ef_construction)
        findings.remark(data.name, "vecs, build", f"{built.seconds:.0f} s", build_s=built.seconds)
        wanted = exact.recall(truth, in_turn({"ours": ours}, len(truth))["ours"].answers)
        runs, ef_search = _reach(peer, truth, wanted)
        ratio = _compare(findings, data, truth, peer, ef_search, ours)
    findings.at_most("vecs.p50_ratio", ratio, 1.15)
    return [point("vecs", f"ef {ef}", run, truth) for ef, run in runs.items()]


def measure_hnswlib(
    findings: Findings, data: DataSet, truth: Ids, index: Index, wanted: float
) -> list[Point]:
    """The bound of speed: the same kind of graph in memory, without SQL, rows, rights or transactions."""
    with _saved(data) as folder, other_peoples("hnswlib", str(folder)) as peer:
        built = peer.ask(_Reply, do="index", m=index.m, ef_construction=index.ef_construction)
        findings.remark(data.name, "hnswlib, build", f"{built.seconds:.0f} s", build_s=built.seconds)
        runs, ef_search = _reach(peer, truth, wanted)
        findings.add(data.name, f"hnswlib, ef {ef_search}", _search(peer, ef_search), truth, "bound of speed")
    return [point("hnswlib", f"ef {ef}", run, truth) for ef, run in runs.items()]


def _compare(
    findings: Findings, data: DataSet, truth: Ids, peer: Peer, ef_search: int, ours: Search
) -> float:
    rounds: dict[str, list[Run]] = {"match_images beside vecs": [], f"vecs, ef {ef_search}": []}
    for _ in range(_ROUNDS):
        our_run = in_turn({"ours": ours}, len(truth))["ours"]
        for runs, run in zip(rounds.values(), (our_run, _search(peer, ef_search)), strict=True):
            runs.append(run)
    for name, runs in rounds.items():
        middle = sorted(runs, key=lambda run: run.p50_ms)[_ROUNDS // 2]
        findings.add(data.name, name, middle, truth, f"median of {_ROUNDS} rounds")
    our_p50_ms, their_p50_ms = (median(run.p50_ms for run in runs) for runs in rounds.values())
    return our_p50_ms / their_p50_ms


def _reach(peer: Peer, truth: Ids, wanted: float) -> tuple[dict[int, Run], int]:
    """The peer's curve, and the least setting at which its recall is the one wanted, or its best."""
    runs = {ef_search: _search(peer, ef_search) for ef_search in _EF_SEARCH}
    recalls = {ef_search: exact.recall(truth, run.answers) for ef_search, run in runs.items()}
    enough = [ef_search for ef_search in _EF_SEARCH if recalls[ef_search] >= wanted]
    if not enough:
        return runs, max(recalls, key=lambda ef_search: recalls[ef_search])
    high = enough[0]
    low = max((ef_search for ef_search in _EF_SEARCH if ef_search < high), default=high)
    while high - low > _CLOSE:
        middle = (low + high) // 2
        if exact.recall(truth, _search(peer, middle).answers) >= wanted:
            high = middle
        else:
            low = middle
    return runs, high


def _load_vecs(postgres: Postgres, database: str, data: DataSet) -> None:
    """Past vecs' upsert, which takes minutes and comes to the same rows."""
    numbers = np.arange(1, len(data.vectors) + 1)
    with server.connect(postgres, "postgres", database) as connection:
        binary.copy(
            connection,
            "vecs.pictures (id, vec)",
            (
                (
                    binary.names("{:08}", numbers[start : start + CHUNK]),
                    binary.vectors(data.vectors[start : start + CHUNK]),
                )
                for start in range(0, len(numbers), CHUNK)
            ),
        )
        connection.execute("vacuum analyze vecs.pictures")


@contextmanager
def _saved(data: DataSet) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        np.save(Path(folder, "vectors.npy"), data.vectors)
        np.save(Path(folder, "queries.npy"), data.queries)
        yield Path(folder)


def _url(postgres: Postgres, database: str) -> str:
    info = conninfo_to_dict(postgres.dsn("postgres", database))
    place = urlencode({"host": info["host"], "port": info["port"]})
    return f"postgresql://postgres@/{database}?{place}"
