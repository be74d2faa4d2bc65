"""Small pictures that look like photographs, from a seed."""

import io
from typing import Final

import numpy as np
from PIL import Image

_OCTAVES: Final = 6
_GRAIN_LEVELS: Final = 6.0


def picture_file(seed: int) -> bytes:
    """About 200 x 150 pixels; every third a PNG, the rest JPEG. Those of two seeds look nothing alike."""
    drawn = np.random.default_rng(seed)
    rgb = _clouds(drawn)
    buffer = io.BytesIO()
    if seed % 3 == 0:
        rgb.quantize(64).save(buffer, "PNG")
    else:
        rgb.save(buffer, "JPEG", quality=int(drawn.integers(70, 95)), progressive=seed % 2 == 0)
    return buffer.getvalue()


def _clouds(drawn: np.random.Generator) -> Image.Image:
    """Of all sizes, with a grain."""
    size = (int(drawn.integers(180, 221)), int(drawn.integers(130, 171)))
    if drawn.random() < 0.3:
        size = (size[1], size[0])
    total = drawn.normal(0, _GRAIN_LEVELS, (size[1], size[0], 3)).astype(np.float32)
    for octave in range(1, _OCTAVES):
        coarse = drawn.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        total += np.asarray(smooth, np.float32) / 2**octave
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))
