"""What is made of the measured starts: medians, ratios, targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, TypedDict

from benchmarks.coldstart_parts.zips import Zip
from benchmarks.report import Target

SEARCH: Final = "search"
TEXT_ONLY: Final = "search, text only"
INDEX: Final = "index, webhook"
INDEX_S3: Final = "index, S3 by SQS"
PLAIN_SEARCH: Final = "plain search"
PLAIN_INDEX: Final = "plain index"


@dataclass(frozen=True, slots=True)
class Start:
    """One process of a function, and its first calls."""

    init_ms: float
    first_ms: float
    warm_ms: tuple[float, ...]
    again_ms: float
    """Of the last of these calls once more: the text is known, the picture indexed."""
    peak_rss_mb: float


class Row(TypedDict):
    """A line of the table; None where there is nothing to compare with."""

    function: str
    init_ms: int
    first_ms: int
    both_ms: int
    """A cold caller's wait: what an import saves in one only to cost it in the other is no gain."""
    warm_ms: int
    again_ms: int
    rss_mb: int
    zip_mb: float
    raw_mb: float
    """Unzipped."""
    init_ratio: float | None
    """To the plain handler for the same work."""
    both_ratio: float | None


@dataclass(slots=True)
class Measured:
    """A function's zip and its starts, as many as there were rounds."""

    zip: Zip
    plain: str | None
    """The function that does the same plainly."""
    starts: list[Start] = field(default_factory=list)

    @property
    def init_ms(self) -> float:
        return median(start.init_ms for start in self.starts)

    @property
    def both_ms(self) -> float:
        return median(start.init_ms + start.first_ms for start in self.starts)


def rows_of(measured: Mapping[str, Measured]) -> list[Row]:
    """A row a function, in their order."""
    return [_row(name, each, measured) for name, each in measured.items()]


def targets_of(measured: Mapping[str, Measured]) -> list[Target]:
    """The figures that have a bar."""
    search, plain_search = measured[SEARCH], measured[PLAIN_SEARCH]
    index, plain_index = measured[INDEX], measured[PLAIN_INDEX]
    return [
        _at_most("search.init_ratio_to_plain", search.init_ms / plain_search.init_ms, 0.35),
        _at_most("index.init_ratio_to_plain", index.init_ms / plain_index.init_ms, 0.4),
        _at_most("search.zip_ratio_to_plain", search.zip.zip_mb / plain_search.zip.zip_mb, 0.8),
        _at_most("search.text_zip_mb", measured[TEXT_ONLY].zip.zip_mb, 15),
    ]


def _row(name: str, each: Measured, measured: Mapping[str, Measured]) -> Row:
    plain = measured[each.plain] if each.plain else None
    return {
        "function": name,
        "init_ms": round(each.init_ms),
        "first_ms": round(median(start.first_ms for start in each.starts)),
        "both_ms": round(each.both_ms),
        "warm_ms": round(median(_flat([start.warm_ms for start in each.starts]))),
        "again_ms": round(median(start.again_ms for start in each.starts)),
        "rss_mb": round(max(start.peak_rss_mb for start in each.starts)),
        "zip_mb": round(each.zip.zip_mb, 1),
        "raw_mb": round(each.zip.unzipped_mb, 1),
        "init_ratio": each.init_ms / plain.init_ms if plain else None,
        "both_ratio": each.both_ms / plain.both_ms if plain else None,
    }


def _flat(lists: Sequence[Sequence[float]]) -> list[float]:
    return [value for each in lists for value in each]


def _at_most(name: str, value: float, bar: float) -> Target:
    return Target(f"coldstart.{name}", value, bar, "max")
