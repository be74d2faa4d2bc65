"""What a cold caller waits for, as SVG: a bar a function, its two parts side by side."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.coldstart_parts.figures import Row

_WIDTH: Final = 860
_LEFT: Final = 250
_RIGHT: Final = 60
_TOP: Final = 64
_STEP: Final = 30
_BAR: Final = 18
_GRID_MS: Final = 250
_PARTS: Final = (
    ("#0072b2", "init: imports and what is made at import"),
    ("#56b4e9", "first call"),
)
_STYLE: Final = "text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd}"
_TITLE: Final = "Cold start: what the first caller waits for, milliseconds (median)"


def draw(path: Path, rows: Sequence[Row]) -> None:
    """In the order of the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height = _TOP + _STEP * len(rows) + 30
    longest_ms = max(row["init_ms"] + row["first_ms"] for row in rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="20" y="24" font-weight="bold">{escape(_TITLE)}</text>',
        *_legend(),
        *_grid(longest_ms, height),
    ]
    for number, row in enumerate(rows):
        lines += _bar(row, _TOP + _STEP * number, longest_ms)
    path.write_text("\n".join([*lines, "</svg>"]) + "\n")


def _legend() -> Iterator[str]:
    for number, (colour, text) in enumerate(_PARTS):
        x = _LEFT + 280 * number
        yield f'<rect x="{x}" y="36" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 18}" y="47">{escape(text)}</text>'


def _grid(longest_ms: float, height: int) -> Iterator[str]:
    bottom = height - 26
    for mark_ms in range(0, int(longest_ms) + 1, _GRID_MS):
        x = _LEFT + _length(mark_ms, longest_ms)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle">{mark_ms}</text>'


def _bar(row: Row, y: int, longest_ms: float) -> Iterator[str]:
    yield f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end">{escape(row["function"])}</text>'
    x = float(_LEFT)
    for (colour, _), time_ms in zip(_PARTS, (row["init_ms"], row["first_ms"]), strict=True):
        length = _length(time_ms, longest_ms)
        yield f'<rect x="{x:.1f}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>'
        x += length
    yield f'<text x="{x + 6:.1f}" y="{y + 14}">{row["init_ms"] + row["first_ms"]:.0f}</text>'


def _length(time_ms: float, longest_ms: float) -> float:
    return time_ms / longest_ms * (_WIDTH - _LEFT - _RIGHT)
