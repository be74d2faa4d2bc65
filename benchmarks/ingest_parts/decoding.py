"""What decoding takes: of a camera's photograph, and of the worst that is still let in.

`python -m benchmarks.ingest_parts.decoding` prints both tables.
"""

import io
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from PIL import Image
from pydantic import BaseModel

from benchmarks import report
from benchmarks.ingest_parts import worst_pictures
from infra import photographs
from shared.images import PREVIEW_PX, Picture, decode

_MODEL_PX: Final = 224
_SIZE: Final = (4000, 3000)
_ROUNDS: Final = 7
_NOISE_LEVELS: Final = 5.0
_QUALITY: Final = 88
_NAMES: Final = ("china.jpg", "flower.jpg", "chelsea.png", "coffee.png", "rocket.jpg")

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class DraftRatio:
    """How many times as fast as a full decode; the median over photographs."""

    ratio: float
    rows: list[Row]


class Worst(BaseModel):
    """How one of the worst pictures went, in a process of its own."""

    kind: str
    megapixels: float
    file_mb: float
    seconds: float
    peak_mb: float
    """Of the whole process."""
    peak_over_start_mb: float
    """Beyond an interpreter that has imported `shared.images` and read the file."""


def draft_ratio() -> DraftRatio:
    """From a JPEG of 12 megapixels to the pixels of a preview and a model's view, both ways in turn."""
    rows: list[Row] = []
    ratios = []
    for name in _NAMES:
        data = camera_jpeg(name)
        full_ms, own_ms = [], []
        for _ in range(_ROUNDS):
            full_ms.append(_timed_ms(_full_way, data))
            own_ms.append(_timed_ms(_our_way, data))
        ratios.append(median(full_ms) / median(own_ms))
        distance = np.abs(np.subtract(_levels(_full_way(data)), _levels(_our_way(data))))
        finding = (
            f"{len(data) / 1e6:.1f} MB: full {median(full_ms):.0f} ms, ours {median(own_ms):.0f} ms, "
            f"{ratios[-1]:.1f} times as fast; levels of the view differ by {distance.mean():.2f}, "
            f"at most {distance.max()}"
        )
        rows.append({"case": f"12 megapixels, {name}", "finding": finding})
    return DraftRatio(median(ratios), rows)


def worst_inputs() -> list[Row]:
    """Each of the worst legal pictures, decoded with all outputs in a fresh process."""
    rows = []
    for kind, path in worst_pictures.written().items():
        with report.step(kind):
            command = [sys.executable, "-m", "benchmarks.ingest_parts.decoding_worker", kind, str(path)]
            run = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 # our own
        rows.append(Worst.model_validate_json(run.stdout).model_dump())
    return rows


def camera_jpeg(name: str, size: tuple[int, int] = _SIZE, quality: int = _QUALITY) -> bytes:
    """A packaged photograph, enlarged, with the noise of a sensor, which no JPEG can flatten."""
    [path] = [photo.path for photo in photographs.packaged() if photo.path.name == name]
    with Image.open(path) as opened:
        levels = np.asarray(opened.convert("RGB").resize(size, Image.Resampling.BICUBIC)).astype(np.float32)
    noise = np.random.default_rng(len(name)).normal(0, _NOISE_LEVELS, levels.shape[:2])
    noisy = np.clip(levels + noise[..., None], 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _full_way(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        picture = Picture(opened.convert("RGB"), content_type="image/jpeg")
        opened.thumbnail((PREVIEW_PX, PREVIEW_PX), reducing_gap=None)
    return picture.model_view(_MODEL_PX)


def _our_way(data: bytes) -> bytes:
    picture = decode(data)
    _ = picture.facts  # of the pixels of the preview
    return picture.model_view(_MODEL_PX)


def _timed_ms(way: Callable[[bytes], bytes], data: bytes) -> float:
    started = time.perf_counter()
    way(data)
    return 1000 * (time.perf_counter() - started)


def _levels(view: bytes) -> list[int]:
    return list(view)


def main() -> int:
    """Both tables."""
    draft = draft_ratio()
    target = report.Target("ingest.draft_ratio_to_full_decode", draft.ratio, 3, "min")
    missed = report.publish("ingest-draft", draft.rows, [target])
    worst = worst_inputs()
    over = max(float(str(row["peak_over_start_mb"])) for row in worst)
    bar = report.Target("ingest.decoding_peak_mb", over, 370, "max")
    return missed | report.publish("ingest-worst", worst, [bar])


if __name__ == "__main__":
    sys.exit(main())
