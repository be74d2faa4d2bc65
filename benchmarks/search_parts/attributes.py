"""What the pictures are besides their vectors, so that each filter keeps a known share of them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_parts.data import DataSet, Ids
from benchmarks.search_parts.exact import K

OWNER: Final = "00000000-0000-4000-8000-000000000014"
STRANGER: Final = "00000000-0000-4000-8000-000000000086"

_CREATED: Final = datetime(2010, 1, 1, tzinfo=UTC)
_TAKEN: Final = datetime(2010, 1, 1, tzinfo=UTC)
_TAKEN_LONG_AGO: Final = datetime(2001, 1, 1, tzinfo=UTC)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filter:
    """As `search_images_v1` takes it, and which rows it keeps."""

    name: str
    values: dict[str, str]
    kept: Mask


@dataclass(frozen=True, slots=True)
class Attributes:
    """One value a picture. The masks are independent of the vectors and of one another."""

    is_png: Mask
    """50 %"""
    is_tenants: Mask
    """14 %, by bucket"""
    is_rare: Mask
    """1 %, by a prefix of the name"""
    is_old: Mask
    """.01 %, by the time it was taken; no fewer than an answer has"""
    is_owned: Mask
    """14 %, by owner"""
    rank_by_mean: Ids
    """0 for the picture least similar to the mean query: the order of creation."""
    rank_by_first: Ids
    """0 for the picture least similar to the first query: the order in which they were taken."""

    def independent(self) -> list[Filter]:
        """Filters that know nothing of the query."""
        return [
            Filter("50 %", {"content_type": "image/png"}, self.is_png),
            Filter("14 %", {"bucket": "tenant"}, self.is_tenants),
            Filter("1 %", {"prefix": "rare/"}, self.is_rare),
            Filter(".01 %", {"taken_until": "2009-01-01T00:00:00Z"}, self.is_old),
        ]

    def opposed_to_mean(self) -> list[Filter]:
        """Filters that keep the pictures least similar to what is asked for on the whole."""
        return [self._least_similar_to_mean(14), self._least_similar_to_mean(6)]

    def opposed_to_first(self) -> Filter:
        """Keeps the 6 % least similar to the first query: nothing near it, or near what resembles it."""
        count = len(self.rank_by_first) * 6 // 100
        bounds = {"taken_since": _TAKEN.isoformat(), "taken_until": _minutes(_TAKEN, count).isoformat()}
        return Filter("6 % farthest", bounds, (self.rank_by_first < count) & ~self.is_old)

    def _least_similar_to_mean(self, percent: int) -> Filter:
        count = len(self.rank_by_mean) * percent // 100
        bounds = {"created_until": _minutes(_CREATED, count).isoformat()}
        return Filter(f"{percent} % least like the mean query", bounds, self.rank_by_mean < count)

    def row(self, number: int) -> tuple[object, ...]:
        """id, bucket, name, owner, content_type, created_at, taken_at of picture `number`, from 0."""
        taken = _minutes(_TAKEN, int(self.rank_by_first[number]))
        return (
            number + 1,
            "tenant" if self.is_tenants[number] else "others",
            f"{'rare' if self.is_rare[number] else 'common'}/{number + 1:08}.jpg",
            OWNER if self.is_owned[number] else STRANGER,
            "image/png" if self.is_png[number] else "image/jpeg",
            _minutes(_CREATED, int(self.rank_by_mean[number])),
            _TAKEN_LONG_AGO if self.is_old[number] else taken,
        )


def assign(data: DataSet) -> Attributes:
    """The same at every call with the same data."""
    rng = np.random.default_rng(11)
    rows = len(data.vectors)

    def some(count: float) -> Mask:
        mask = np.zeros(rows, np.bool_)
        mask[rng.choice(rows, max(K, round(count)), replace=False)] = True
        return mask

    return Attributes(
        is_png=some(0.5 * rows),
        is_tenants=some(0.14 * rows),
        is_rare=some(0.01 * rows),
        is_old=some(0.0001 * rows),
        is_owned=some(0.14 * rows),
        rank_by_mean=_ranks(data.vectors @ data.queries.mean(axis=0)),
        rank_by_first=_ranks(data.vectors @ data.queries[0]),
    )


def _ranks(scores: NDArray[np.float32]) -> Ids:
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(scores))
    return ranks


def _minutes(start: datetime, count: int) -> datetime:
    return start + timedelta(minutes=count)
