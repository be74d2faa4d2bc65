"""A look at a PNG's chunks before anything is decoded."""

import struct
import zlib
from typing import Final

from shared.errors import PictureError
from shared.images.limits import check_profile

_MAX_CHUNKS: Final = 10_000
_MAX_PROFILE_BYTES: Final = 1_000_000
"""Pillow unpacks no more."""


def look_at(png: bytes) -> None:
    """Raises `PictureError` for one whose colour profile unpacks to too much, or with endless chunks."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(png):
            return
        size, kind = struct.unpack_from(">L4s", png, at)
        if kind in {b"IDAT", b"IEND"}:
            return
        if kind == b"iCCP":
            _, _, packed = png[at + 8 : at + 8 + size].partition(b"\0")
            unpacked = zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE_BYTES + 1)
            check_profile(len(unpacked), _MAX_PROFILE_BYTES)
        at += 12 + size
    raise PictureError(f"too many chunks to decode: at most {_MAX_CHUNKS} before the picture")
