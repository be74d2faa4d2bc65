"""A look at a TIFF's first directory before anything is decoded."""

import struct
from dataclasses import dataclass
from typing import Final

from shared.errors import PictureError

MAX_STRIP_BYTES: Final = 125_000_000
"""A strip or tile is unpacked as a whole, beside the picture."""
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Of one value, by its type."""
_SHORT: Final = 3
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _PLANES = 256, 257, 258, 259, 277, 284
_STRIP_ROWS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_BYTES = 278, 279, 322, 323, 325
_LEFT_OUT: Final = (274, 330, 700, 34665, 34853)
"""Orientation, which is applied later, and further directories: EXIF, places."""
_COMPRESSIONS: Final = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
"""None, fax, LZW, JPEG, deflate, PackBits. What the others take to unpack is not known."""
_MOST_ENTRIES: Final = 1000
_NO_TYPE: Final = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    at: int
    type: int
    count: int


def checked(tiff: bytes) -> bytes:
    """The file without the entries that nobody needs to decode it.

    Raises `PictureError` when it is broken, when its parts overlap (a decoder would read them again and
    again), or when it unpacks in one huge piece.
    """
    try:
        directory = _Directory(tiff)
        directory.check()
    except (KeyError, struct.error) as exc:
        raise PictureError(f"broken picture: a TIFF without a directory ({exc})") from exc
    return directory.cleaned()


class _Directory:
    def __init__(self, tiff: bytes) -> None:
        self._tiff = tiff
        self._order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (version, first) = struct.unpack_from(f"{self._order}HL", tiff, 2)
        if version != 42:
            raise PictureError("not read: a BigTIFF")
        (count,) = struct.unpack_from(f"{self._order}H", tiff, first)
        if count > _MOST_ENTRIES:
            raise PictureError(
                f"broken picture: a TIFF directory of {count} entries, at most {_MOST_ENTRIES}"
            )
        self._entries: dict[int, _Entry] = {}
        size = 0
        for at in range(first + 2, first + 2 + 12 * count, 12):
            tag, form, values = struct.unpack_from(f"{self._order}HHL", tiff, at)
            size += _SIZES.get(form, 0) * values
            self._entries.setdefault(tag, _Entry(at, form, values))
        if size > len(tiff):
            raise PictureError("broken picture: the entries of a TIFF directory are larger than the file")

    def check(self) -> None:
        width, height = self._value(_WIDTH, 0), self._value(_HEIGHT, 0)
        if (kind := self._value(_COMPRESSION, 1)) not in _COMPRESSIONS:
            raise PictureError(f"not read: a TIFF of compression {kind}")
        for tag in (_STRIP_BYTES, _TILE_BYTES):
            if sum(self._values(tag)) > len(self._tiff):
                raise PictureError("broken picture: the parts of a TIFF are larger than the file")
        rows = min(self._value(_STRIP_ROWS, height), height)
        if _TILE_WIDTH in self._entries:
            width, rows = self._value(_TILE_WIDTH, 0), self._value(_TILE_HEIGHT, 0)
        samples = self._value(_SAMPLES, 1) if self._value(_PLANES, 1) == 1 else 1
        size = width * rows * samples * self._value(_BITS, 1) // 8
        if kind != 1 and size > MAX_STRIP_BYTES:
            most = f"at most {MAX_STRIP_BYTES // 1_000_000} MB"
            raise PictureError(f"too large a piece to unpack: a TIFF with strips of {size} bytes, {most}")

    def cleaned(self) -> bytes:
        present = [self._entries[tag] for tag in _LEFT_OUT if tag in self._entries]
        if not present:
            return self._tiff
        copy = bytearray(self._tiff)
        for entry in present:
            struct.pack_into(f"{self._order}H", copy, entry.at + 2, _NO_TYPE)
        return bytes(copy)

    def _value(self, tag: int, default: int) -> int:
        return next(iter(self._values(tag)), default)

    def _values(self, tag: int) -> tuple[int, ...]:
        """Of a tag with numbers; nothing if it is absent."""
        entry = self._entries.get(tag, _Entry(0, _SHORT, 0))
        letter = {_SHORT: "H", 4: "L"}.get(entry.type, "B")
        form = f"{self._order}{entry.count}{letter}"
        place = entry.at + 8
        if struct.calcsize(form) > 4:
            (place,) = struct.unpack_from(f"{self._order}L", self._tiff, place)
        return struct.unpack_from(form, self._tiff, place) if entry.count else ()
