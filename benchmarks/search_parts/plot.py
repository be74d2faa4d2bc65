"""Recall against time, as SVG.

By hand: the same figures give the same bytes, so that a plot changes in git only when a measurement does, and
matplotlib would be the largest package of the environment for two pictures.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

from benchmarks.search_parts.curves import Point

_WIDTH: Final = 860
_HEIGHT: Final = 480
_LEFT: Final = 60
_RIGHT: Final = 230
_TOP: Final = 46
_BOTTOM: Final = 50
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#999999")
_RECALLS: Final = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1)
_LEAST_MISSED: Final = 0.004
"""What a recall of 1 is drawn as: 200 queries have 2,000 nearest, and a logarithm has no 0."""
_STYLE: Final = "text{font:12px sans-serif;fill:#222}.label{font-size:10px}.grid{stroke:#ddd}"


def draw(path: Path, title: str, points: Sequence[Point]) -> None:
    """One line a contender, one mark a setting; contenders in the order in which they come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scale = _Scale(points)
    body = [*_grid(scale), *_series(scale, points)]
    text = f'<text x="{_LEFT}" y="24" font-weight="bold">{escape(title)}</text>'
    frame = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
    path.write_text("\n".join([opening, f"<style>{_STYLE}</style>", frame, text, *body, "</svg>"]) + "\n")


class _Scale:
    """From milliseconds and recall to the place on the sheet: logarithms of the time and of the misses."""

    def __init__(self, points: Sequence[Point]) -> None:
        times_ms = [point.p50_ms for point in points]
        self.decades = (math.floor(math.log10(min(times_ms))), math.ceil(math.log10(max(times_ms)) + 1e-9))
        worst = min(point.recall for point in points)
        floor = max(mark for mark in _RECALLS[:-1] if mark <= worst)
        self.recalls = [mark for mark in _RECALLS if mark >= floor]

    def x(self, time_ms: float) -> float:
        first, last = self.decades
        share = (math.log10(time_ms) - first) / (last - first)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, recall: float) -> float:
        share = _depth(recall) / _depth(self.recalls[0])
        return _TOP + share * (_HEIGHT - _TOP - _BOTTOM)


def _depth(recall: float) -> float:
    return math.log(max(1 - recall, _LEAST_MISSED) / _LEAST_MISSED)


def _grid(scale: _Scale) -> Iterator[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for decade in range(scale.decades[0], scale.decades[1] + 1):
        x = scale.x(10.0**decade)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{10.0**decade:g}</text>'
    for recall in scale.recalls:
        y = scale.y(recall)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{recall:g}</text>'
    across, down = (_LEFT + right) // 2, (_TOP + bottom) // 2
    yield f'<text x="{across}" y="{_HEIGHT - 12}" text-anchor="middle">ms a query (p50)</text>'
    yield f'<text transform="translate(16 {down}) rotate(-90)" text-anchor="middle">recall@10</text>'


def _series(scale: _Scale, points: Sequence[Point]) -> Iterator[str]:
    for number, (contender, group) in enumerate(groupby(points, key=lambda point: point.contender)):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [(scale.x(point.p50_ms), scale.y(point.recall), point.label) for point in group]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        for x, y, _ in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
        # The ends of a line, the last one of some above it: elsewhere labels would lie on each other.
        first, last = places[0], places[-1]
        labels = {first: 12, last: 12 if number % 4 < 2 or first == last else -7}
        for (x, y, label), down in labels.items():
            yield f'<text class="label" x="{x + 5:.1f}" y="{y + down:.1f}">{escape(label)}</text>'
        y = _TOP + 12 + 20 * number
        yield f'<circle cx="{_WIDTH - _RIGHT + 22}" cy="{y - 4}" r="4" fill="{colour}"/>'
        yield f'<text x="{_WIDTH - _RIGHT + 32}" y="{y}">{escape(contender)}</text>'
