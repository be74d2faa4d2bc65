"""What a picture may cost: bytes, pixels, memory, time."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from shared.errors import PictureError

MAX_BYTES: Final = 25_000_000
MAX_PIXELS: Final = 40_000_000
MAX_PIXELS_BASELINE: Final = 100_000_000
"""Of a JPEG that is decoded row by row, and smaller than it is."""
MAX_DECODER_BYTES: Final = 310_000_000
"""What a decoder may hold at a time that keeps whole pictures: WebP, AVIF and HEIF."""
MAX_FRAMES: Final = 2000
MAX_EXIF_BYTES: Final = 1_000_000
MAX_PROFILE_BYTES: Final = 4_000_000
MAX_DECODING_S: Final = 20.0
"""For decoders that fetch their data piece by piece. The others end by the limits on what they are given."""


_most_pixels: ContextVar[int] = ContextVar("most_pixels", default=MAX_PIXELS_BASELINE)


@contextmanager
def at_most(pixels: int) -> Iterator[None]:
    """Pictures decoded inside may not have more, whatever their kind may."""
    before = _most_pixels.set(pixels)
    try:
        yield
    finally:
        _most_pixels.reset(before)


class Source(io.BytesIO):
    """A file in memory that gives nothing more once its time is over."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._ends_at = time.monotonic() + MAX_DECODING_S

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises `PictureError` when it is too late."""
        if time.monotonic() > self._ends_at:
            raise PictureError(f"takes too long to decode: at most {MAX_DECODING_S:g} s")
        return super().read(size)


def check_size(size_bytes: int) -> None:
    """Refuse what need not even be read. Raises `PictureError`."""
    if size_bytes == 0:
        raise PictureError("empty: the file has 0 bytes")
    if size_bytes > MAX_BYTES:
        raise PictureError(f"too large: {size_bytes} bytes, at most {MAX_BYTES // 1_000_000} MB")


def check_pixels(width: int, height: int, most: int, of: str) -> None:
    """Refuse a decompression bomb by its header. `of` says whose limit it is. Raises `PictureError`."""
    if _most_pixels.get() < most:
        most, of = _most_pixels.get(), "this use"
    if width * height > most:
        raise PictureError(
            f"too many pixels: {width} x {height}, at most {most // 1_000_000} million for {of}"
        )


def pixels_in_memory(bytes_a_pixel: float) -> int:
    """How many pixels a decoder can have in the memory that it may take, in whole millions."""
    return min(MAX_PIXELS, int(MAX_DECODER_BYTES / bytes_a_pixel) // 1_000_000 * 1_000_000)


def check_frames(frames: int) -> None:
    """Raises `PictureError`."""
    if frames > MAX_FRAMES:
        raise PictureError(f"too many frames: {frames}, at most {MAX_FRAMES}")


def check_exif(size_bytes: int) -> None:
    """Raises `PictureError`."""
    if size_bytes > MAX_EXIF_BYTES:
        raise PictureError(
            f"too much EXIF data: {size_bytes} bytes, at most {MAX_EXIF_BYTES // 1_000_000} MB"
        )


def check_profile(size_bytes: int, most: int = MAX_PROFILE_BYTES) -> None:
    """Raises `PictureError`."""
    if size_bytes > most:
        raise PictureError(f"too large a colour profile: more than {most // 1_000_000} MB")
