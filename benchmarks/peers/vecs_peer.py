"""vecs, asked by `search_parts/peers.py`. Runs in build/peers/vecs; the arguments are a URL and a file."""

import json
import sys
import time

import numpy as np
import vecs  # type: ignore[import-not-found]  # in its own environment only

_WARM_UP = 6


def main(url: str, queries_file: str) -> None:
    """Answer requests until there are no more."""
    client = vecs.create_client(url)
    queries = np.load(queries_file).tolist()
    collection = client.get_or_create_collection(name="pictures", dimension=len(queries[0]))
    for line in sys.stdin:
        request = json.loads(line)
        reply: dict[str, object] = {}
        if request["do"] == "index":
            arguments = vecs.IndexArgsHNSW(m=request["m"], ef_construction=request["ef_construction"])
            started = time.perf_counter()
            collection.create_index(method=vecs.IndexMethod.hnsw, index_arguments=arguments)
            reply = {"seconds": time.perf_counter() - started}
        elif request["do"] == "search":
            reply = search(collection, queries, request["ef_search"])
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def search(collection: vecs.Collection, queries: list[list[float]], ef_search: int) -> dict[str, object]:
    """Each query's time and ids."""
    times_ms, answers = [], []
    for query in [*queries[:_WARM_UP], *queries]:
        started = time.perf_counter()
        found = collection.query(data=query, limit=10, ef_search=ef_search)
        times_ms.append(1000 * (time.perf_counter() - started))
        answers.append([int(number) for number in found])
    return {"times_ms": times_ms[_WARM_UP:], "answers": answers[_WARM_UP:]}


if __name__ == "__main__":
    main(*sys.argv[1:])
