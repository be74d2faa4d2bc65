"""A look at a JPEG's segments before anything is decoded."""

import re
from dataclasses import dataclass
from typing import Final

from shared.errors import PictureError
from shared.images.limits import MAX_PIXELS, MAX_PIXELS_BASELINE, check_pixels

MAX_SCANS: Final = 100
"""Of a progressive JPEG. An encoder makes about ten; each costs a pass over all pixels."""
MAX_SCANNED_PIXELS: Final = 1_600_000_000
"""Scans times pixels."""
_MAX_SEGMENTS: Final = 5000

# In the coded data of a scan every 0xff is followed by a zero or a restart mark.
_MARK: Final = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_START_OF_SCAN: Final = 0xDA
_START_OF_IMAGE: Final = 0xD8
_END_OF_IMAGE: Final = 0xD9
_FRAMES: Final = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Marks of frames; the gaps are tables."""
_BASELINE: Final = {0xC0, 0xC1}
_OTHER_CODINGS: Final = {0xC2, 0xC9, 0xCA}
"""Progressive, and both kinds with arithmetic coding. The rest is lossless or hierarchical."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the segments say."""

    width: int
    height: int
    is_baseline: bool
    """Decoded row by row, so that no decoder holds all of it at a time."""

    def check_pixels(self) -> int:
        """How many it may have. Raises `PictureError` if it has more."""
        most, of = (MAX_PIXELS_BASELINE, "JPEG") if self.is_baseline else (MAX_PIXELS, "progressive JPEG")
        check_pixels(self.width, self.height, most, of)
        return most


def look_at(jpeg: bytes) -> Header:
    """Raises `PictureError` for one that is broken, or whose scans would keep a decoder busy for minutes."""
    frame: tuple[int, int, int, int] | None = None
    scans, at = 0, 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARK.search(jpeg, at)
        if found is None or found[1][0] == _END_OF_IMAGE:
            return _header(frame, scans)
        mark, at = found[1][0], found.end()
        body = jpeg[at + 2 : at + 10]
        if mark in _FRAMES and frame is None and len(body) == 8:
            frame = (mark, int.from_bytes(body[3:5]), int.from_bytes(body[1:3]), body[5])
        if mark == _START_OF_SCAN:
            scans += 1
            if scans == 1 and frame is not None and frame[0] in _BASELINE and body[:1] == bytes([frame[3]]):
                return Header(frame[1], frame[2], is_baseline=True)  # all the colours in one scan
            if scans > MAX_SCANS:
                raise PictureError(f"too many scans to decode: at most {MAX_SCANS}")
        at += int.from_bytes(jpeg[at : at + 2]) if mark != _START_OF_IMAGE else 0
    raise PictureError(f"too many segments to decode: at most {_MAX_SEGMENTS}")


def _header(frame: tuple[int, int, int, int] | None, scans: int) -> Header:
    if frame is None or scans == 0:
        raise PictureError("broken picture: a JPEG without a picture")
    mark, width, height, _ = frame
    if mark not in _BASELINE | _OTHER_CODINGS:
        raise PictureError("not read: a lossless or hierarchical JPEG")
    if scans * width * height > MAX_SCANNED_PIXELS:
        most = f"scans times pixels may be {MAX_SCANNED_PIXELS // 1_000_000} million"
        raise PictureError(f"too many scans to decode: {scans} of {width} x {height}, {most}")
    return Header(width, height, is_baseline=False)
