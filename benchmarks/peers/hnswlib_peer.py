"""hnswlib, asked by `search_parts/peers.py`. Runs in build/peers/hnswlib; the argument is a folder."""

import json
import sys
import time
from pathlib import Path

import hnswlib  # type: ignore[import-untyped]  # in its own environment only
import numpy as np
from numpy.typing import NDArray

_WARM_UP = 6
_CHUNK = 50_000


def main(folder: str) -> None:
    """Answer requests until there are no more."""
    vectors = np.load(Path(folder, "vectors.npy"), mmap_mode="r")
    queries = np.load(Path(folder, "queries.npy"))
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "index":
            reply = build(index, vectors, request["m"], request["ef_construction"])
        else:
            reply = search(index, queries, request["ef_search"])
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def build(
    index: hnswlib.Index, vectors: NDArray[np.float32], m: int, ef_construction: int
) -> dict[str, object]:
    """With all cores."""
    started = time.perf_counter()
    index.init_index(max_elements=len(vectors), M=m, ef_construction=ef_construction, random_seed=7)
    for start in range(0, len(vectors), _CHUNK):
        part = vectors[start : start + _CHUNK]
        index.add_items(part, np.arange(start + 1, start + len(part) + 1))
    return {"seconds": time.perf_counter() - started}


def search(index: hnswlib.Index, queries: NDArray[np.float32], ef_search: int) -> dict[str, object]:
    """Each query's time and ids, with one core."""
    index.set_ef(ef_search)
    times_ms, answers = [], []
    for query in [*queries[:_WARM_UP], *queries]:
        started = time.perf_counter()
        ids, _ = index.knn_query(query, k=10, num_threads=1)
        times_ms.append(1000 * (time.perf_counter() - started))
        answers.append(ids[0].tolist())
    return {"times_ms": times_ms[_WARM_UP:], "answers": answers[_WARM_UP:]}


if __name__ == "__main__":
    main(*sys.argv[1:])
