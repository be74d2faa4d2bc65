"""Small distinct pictures, quick to decode and to encode: four colours that run into each other."""

import io
from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image

WIDTH: Final = 160
HEIGHT: Final = 120
_SEED: Final = 8


def files(count: int) -> Iterator[bytes]:
    """JPEG files, no two alike."""
    random = np.random.default_rng(_SEED)
    for _ in range(count):
        yield _file(random.integers(0, 256, (2, 2, 3), np.uint8))


def _file(corners: np.typing.NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    picture = Image.fromarray(corners).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    picture.save(target, "JPEG", quality=85)
    return target.getvalue()
