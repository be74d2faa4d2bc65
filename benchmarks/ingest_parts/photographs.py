"""What is uploaded: photographs small and large, no two of equal bytes, the same every time."""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps

from infra import photographs

SMALL: Final = 300
LARGE: Final = 100
_SMALL_PIXELS: Final = 500_000
_LARGE_PX: Final = (4000, 3000)
_GRAIN_PX: Final = 1024
_GRAIN_LEVELS: Final = 9.0


def small() -> list[bytes]:
    """Of at most half a megapixel: as packaged where they are no larger, then cropped and mirrored."""
    files = _files()
    as_packaged = [path.read_bytes() for path in files if _pixels(path) <= _SMALL_PIXELS]
    return list(islice(_distinct([*as_packaged, *_crops(files, SMALL)]), SMALL))


def large() -> Iterator[bytes]:
    """Of 12 megapixels, enlarged, with a grain that JPEG cannot flatten: more than 2 MB each."""
    files = _files()
    drawn = np.random.default_rng(12)
    grain = drawn.normal(0, _GRAIN_LEVELS, (_GRAIN_PX, _GRAIN_PX, 3)).astype(np.float32)
    tiles = tuple(-(-side // _GRAIN_PX) for side in reversed(_LARGE_PX))
    for number in range(LARGE):
        with Image.open(files[number % len(files)]) as opened:
            photograph = _crop(opened.convert("RGB"), np.random.default_rng(number), number)
        enlarged = photograph.resize(_LARGE_PX, Image.Resampling.BICUBIC)
        shifted = np.roll(grain, tuple(drawn.integers(0, _GRAIN_PX, 2)), (0, 1))
        noise = np.tile(shifted, (*tiles, 1))[: _LARGE_PX[1], : _LARGE_PX[0]]
        levels = np.clip(np.asarray(enlarged, np.float32) + noise, 0, 255).astype(np.uint8)
        yield _jpeg(Image.fromarray(levels), 85)


def _files() -> Sequence[Path]:
    found = photographs.packaged()
    with suppress(
        photographs.NotAtHandError
    ):  # then the packaged ones serve more than once, cropped otherwise
        found += photographs.debian()
    return [photograph.path for photograph in found]


def _pixels(path: Path) -> int:
    with Image.open(path) as opened:
        return opened.width * opened.height


def _crops(files: Sequence[Path], least: int) -> Iterator[bytes]:
    for number in count():
        if number >= least + len(files):
            return
        with Image.open(files[number % len(files)]) as opened:
            cropped = _crop(opened.convert("RGB"), np.random.default_rng(1000 + number), number)
        scale = min(1.0, (_SMALL_PIXELS / (cropped.width * cropped.height)) ** 0.5)
        cropped = cropped.resize((int(cropped.width * scale), int(cropped.height * scale)))
        yield _jpeg(cropped, 88)


def _crop(photograph: Image.Image, drawn: np.random.Generator, number: int) -> Image.Image:
    """Most of it, and every second one mirrored."""
    width, height = (int(side * drawn.uniform(0.7, 0.95)) for side in photograph.size)
    left, top = drawn.integers(0, photograph.width - width), drawn.integers(0, photograph.height - height)
    cropped = photograph.crop((int(left), int(top), int(left) + width, int(top) + height))
    return ImageOps.mirror(cropped) if number % 2 else cropped


def _jpeg(photograph: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    photograph.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _distinct(files: Sequence[bytes]) -> Iterator[bytes]:
    yield from dict.fromkeys(files)
