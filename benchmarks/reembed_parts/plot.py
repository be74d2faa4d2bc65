"""The long run against time, as SVG: how long searches took above, how many pictures were embedded below.

By hand, as the plots of recall are: the same figures give the same bytes.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.reembed_parts.changing import KILLED, Course
from benchmarks.reembed_parts.searches import SEARCHERS

_WIDTH: Final = 860
_LEFT: Final = 62
_RIGHT: Final = 20
_UPPER: Final = (84, 300)
_LOWER: Final = (330, 450)
_HEIGHT: Final = 500
_BINS: Final = 240
_STYLE: Final = (
    "text{font:12px sans-serif;fill:#222}.label{font-size:11px}.grid{stroke:#ddd}"
    ".mark{stroke:#222;stroke-dasharray:4 3}"
)
_COLOURS: Final = {50: "#0072b2", 99: "#e69f00", 100: "#d55e00"}
_NAMES: Final = {50: "half of them within", 99: "99 of 100 within", 100: "the slowest"}
_PICTURES: Final = "#009e73"

Places = Sequence[tuple[float, float]]


def draw(path: Path, course: Course, images: int) -> None:
    """Times are seconds since the first search."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = _Drawing(course, images)
    title = f"{SEARCHERS} searchers while {images:,} pictures are brought to another model"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
    body = [
        opening,
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(title)}</text>',
        *sheet.grid(),
        *sheet.marks(),
        *sheet.latency(),
        *sheet.pictures(),
        "</svg>",
    ]
    path.write_text("\n".join(body) + "\n")


class _Drawing:
    def __init__(self, course: Course, images: int) -> None:
        self._course = course
        self._images = images
        self._began_s = min(search.started_s for search in course.searches)
        self._length_s = max(search.ended_s for search in course.searches) - self._began_s
        times_ms = [1000 * search.took_s for search in course.searches]
        self._decades = (math.floor(math.log10(min(times_ms))), math.ceil(math.log10(max(times_ms))))

    def grid(self) -> Iterator[str]:
        """With its numbers."""
        right, first, last = _WIDTH - _RIGHT, *self._decades
        for decade in range(first, last + 1):
            y = self._y_ms(10.0**decade)
            yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:,g}</text>'
        for share in (0, 0.5, 1):
            y = self._y_images(share * self._images)
            yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            count = f"{share * self._images:,.0f}"
            yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{count}</text>'
        for second in range(0, math.floor(self._length_s) + 1, _step(self._length_s)):
            x, bottom = self._x(self._began_s + second), _LOWER[1]
            yield f'<line class="grid" x1="{x:.1f}" y1="{_UPPER[0]}" x2="{x:.1f}" y2="{bottom}"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{second}</text>'
        yield f'<text x="{(_LEFT + right) // 2}" y="{_HEIGHT - 10}" text-anchor="middle">s</text>'
        for (top, bottom), name in ((_UPPER, "ms a search"), (_LOWER, "pictures")):
            place = f"translate(14 {(top + bottom) // 2}) rotate(-90)"
            yield f'<text transform="{place}" text-anchor="middle">{name}</text>'

    def marks(self) -> Iterator[str]:
        """What happened when; the names in two rows, as they may be close."""
        course = self._course
        events = [
            (course.killed_s, f"{KILLED} workers killed"),
            (course.restart.began_s, "database restarted"),
            (course.active_s, "new model"),
            (course.back.began_s, "old model again"),
        ]
        for number, (at_s, name) in enumerate(sorted(events)):
            x, top = self._x(at_s), _UPPER[0] - 22 + 15 * (number % 2)
            yield f'<line class="mark" x1="{x:.1f}" y1="{top + 3}" x2="{x:.1f}" y2="{_LOWER[1]}"/>'
            yield f'<text class="label" x="{x:.1f}" y="{top}" text-anchor="middle">{escape(name)}</text>'

    def latency(self) -> Iterator[str]:
        """Of the searches that ended in each of some equal times."""
        searches = self._course.searches
        ended = np.array([search.ended_s for search in searches])
        took_ms = np.array([1000 * search.took_s for search in searches])
        edges = np.linspace(self._began_s, self._began_s + self._length_s, _BINS + 1)
        bins = np.clip(np.digitize(ended, edges) - 1, 0, _BINS - 1)
        filled = np.unique(bins)
        middles = (edges[:-1] + edges[1:]) / 2
        for number, (percent, colour) in enumerate(reversed(_COLOURS.items())):
            line = [(middles[bin_], float(np.percentile(took_ms[bins == bin_], percent))) for bin_ in filled]
            yield _line([(self._x(at_s), self._y_ms(ms)) for at_s, ms in line], colour)
            x = _LEFT + 190 * number
            yield f'<line x1="{x}" y1="36" x2="{x + 18}" y2="36" stroke="{colour}" stroke-width="2"/>'
            yield f'<text x="{x + 24}" y="40">{_NAMES[percent]}</text>'

    def pictures(self) -> Iterator[str]:
        """Those with a vector of the new model."""
        samples = [sample for sample in self._course.samples if sample.at_s >= self._began_s]
        yield _line([(self._x(sample.at_s), self._y_images(sample.vectors)) for sample in samples], _PICTURES)

    def _x(self, at_s: float) -> float:
        return _LEFT + (at_s - self._began_s) / self._length_s * (_WIDTH - _LEFT - _RIGHT)

    def _y_ms(self, ms: float) -> float:
        (top, bottom), (first, last) = _UPPER, self._decades
        return bottom - (math.log10(ms) - first) / (last - first) * (bottom - top)

    def _y_images(self, count: float) -> float:
        top, bottom = _LOWER
        return bottom - count / self._images * (bottom - top)


def _step(length_s: float) -> int:
    """Of the numbers below: at most ten of them."""
    return next((step for step in (10, 20, 30, 60, 120, 300, 600) if length_s / step <= 10), 1200)


def _line(places: Places, colour: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
