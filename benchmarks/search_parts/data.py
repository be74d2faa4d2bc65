"""The two data sets, from fixed seeds: `clustered` is easy; `hard` is harder than real CLIP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 512
QUERIES: Final = 200
CHUNK: Final = 50_000
"""Rows held in float64 at a time: a million at once would take 8 GiB."""
_SEED: Final = 7

Name = Literal["clustered", "hard"]
NAMES: Final[tuple[Name, ...]] = ("clustered", "hard")
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
_Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DataSet:
    """Pictures and sentences, as unit vectors. Row i is the picture with id i + 1."""

    name: Name
    vectors: Floats
    """(rows, 512)"""
    queries: Floats
    """(queries, 512)"""


def make(name: Name, rows: int, queries: int = QUERIES) -> DataSet:
    """The same vectors at every call with the same rows; as many queries as asked for."""
    recipe: Callable[[int, int], DataSet] = {"clustered": _clustered, "hard": _hard}[name]
    return recipe(rows, queries)


def _clustered(rows: int, queries: int) -> DataSet:
    """1,000 centres in 64 dimensions, seen from 512; queries come from the same clusters."""
    rng = np.random.default_rng(_SEED)
    centres = rng.standard_normal((1000, 64))
    mapping = rng.standard_normal((64, DIMENSIONS))

    def points(count: int) -> Iterator[_Doubles]:
        for topics in _chunks(rng.integers(len(centres), size=count)):
            yield (centres[topics] + 0.3 * rng.standard_normal((len(topics), 64))) @ mapping

    return DataSet("clustered", _collect(rows, points(rows)), _collect(queries, points(queries)))


def _hard(rows: int, queries: int) -> DataSet:
    """Pictures in a cone around `mu`, sentences outside of it, full-rank noise about 2,000 topics."""
    rng = np.random.default_rng(_SEED)
    mu, text = np.linalg.qr(rng.standard_normal((DIMENSIONS, 2)))[0].T
    rotation = np.linalg.qr(rng.standard_normal((DIMENSIONS, DIMENSIONS)))[0]
    spectrum = np.arange(1, DIMENSIONS + 1) ** -0.45
    topics = rng.standard_normal((2000, DIMENSIONS)) * spectrum

    def noise(count: int, weight: float) -> Iterator[_Doubles]:
        for chosen in _chunks(rng.integers(len(topics), size=count)):
            drawn = rng.standard_normal((len(chosen), DIMENSIONS)) * spectrum + weight * topics[chosen]
            rotated = drawn @ rotation
            yield _unit(rotated - np.outer(rotated @ mu, mu))

    pictures = _collect(rows, (0.7 * mu + np.sqrt(0.51) * part for part in noise(rows, 0.7)))
    spread = rng.uniform(0.3, 1.1, (queries, 1))
    sentences = 0.229 * mu + 0.75 * text + 0.6 * spread * np.concatenate([*noise(queries, 1.2)])
    return DataSet("hard", pictures, _unit(sentences).astype(np.float32))


def _chunks(values: Ids) -> Iterator[Ids]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _collect(rows: int, parts: Iterator[_Doubles]) -> Floats:
    collected = np.empty((rows, DIMENSIONS), np.float32)
    start = 0
    for part in parts:
        collected[start : start + len(part)] = _unit(part)
        start += len(part)
    return collected


def _unit(vectors: _Doubles) -> _Doubles:
    unit: _Doubles = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
