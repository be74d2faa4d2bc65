"""The truth by brute force, and how much of it an answer has."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_parts.data import CHUNK, Floats, Ids

K: Final = 10


def nearest(vectors: Floats, queries: Floats, k: int = K, kept: NDArray[np.bool_] | None = None) -> Ids:
    """The ids of the k nearest pictures (among those kept) of each query, nearest first: (queries, k).

    Fewer columns when fewer are kept.
    """
    scores = np.empty((len(queries), 0), np.float32)
    ids = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), CHUNK):
        part = vectors[start : start + CHUNK]
        numbers = np.arange(start + 1, start + len(part) + 1)
        if kept is not None:
            chosen = kept[start : start + CHUNK]
            part, numbers = part[chosen], numbers[chosen]
        scores = np.hstack([scores, queries @ part.T])
        ids = np.hstack([ids, np.broadcast_to(numbers, (len(queries), len(numbers)))])
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, ids = np.take_along_axis(scores, best, 1), np.take_along_axis(ids, best, 1)
    return ids


def recalls(truth: Ids, answers: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """For each answer the share of the true ids that it has; there may be fewer answers than queries."""
    pairs = zip(truth.tolist(), answers, strict=False)
    return np.array([len({*ids} & {*answer}) / len(ids) for ids, answer in pairs])


def recall(truth: Ids, answers: Sequence[Sequence[int]]) -> float:
    """The mean of the recalls."""
    return float(recalls(truth, answers).mean())
