"""A look at the boxes of an AVIF or HEIF file before anything is decoded."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.errors import PictureError
from shared.images.limits import check_exif, check_frames, check_profile

_MAX_BOXES: Final = 20_000
_MAX_METADATA_BYTES: Final = 32_000_000
"""Times the pictures of the file: the reader hands each all that it shares."""
_HIDDEN: Final = 1
_METADATA: Final = {b"Exif", b"mime", b"uri "}
_SAMPLES: Final = (1.0, 1.5, 2.0, 3.0)
"""A pixel, by the chroma format of HEVC: grey, 4:2:0, 4:2:2, 4:4:4."""
_ALPHA: Final = (b":alpha\0", b":auxid:1\0")


@dataclass(slots=True)
class Coding:
    """How the pixels are coded: the dearest way that the file names."""

    samples: float = 1.0
    """A pixel, without alpha."""
    bits: int = 8
    has_alpha: bool = False

    @property
    def bytes_a_pixel(self) -> float:
        """In the planes of a decoder."""
        return (self.samples + self.has_alpha) * (1 if self.bits == 8 else 2)

    def __str__(self) -> str:
        colours = {1.0: "4:0:0", 1.5: "4:2:0", 2.0: "4:2:2"}.get(self.samples, "4:4:4")
        return f"{self.bits} bits {colours}{' with alpha' if self.has_alpha else ''}"


@dataclass(slots=True)
class _Items:
    types: dict[int, bytes] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    sizes: dict[int, int] = field(default_factory=dict)

    def total(self, types: set[bytes]) -> int:
        return sum(size for item, size in self.sizes.items() if self.types.get(item) in types)


def look_at(data: bytes) -> Coding:
    """Raises `PictureError` for a file whose parts overlap, or with too much beside its picture."""
    items, coding = _Items(), Coding()
    try:
        for kind, body in _boxes(memoryview(data)):
            if kind == b"meta":
                _read_meta(body[4:], items, coding)
    except (struct.error, IndexError, UnicodeDecodeError) as exc:
        raise PictureError(f"broken picture: its boxes cannot be read ({exc})") from exc
    _check(items, len(data))
    return coding


def _check(items: _Items, size: int) -> None:
    if sum(items.sizes.values()) > size:
        raise PictureError("broken picture: its parts are larger than the file")
    if b"iovl" in items.types.values():
        raise PictureError("not read: a collage of several pictures")
    check_exif(items.total({b"Exif"}))
    pictures = len(items.types.keys() - items.hidden)
    check_frames(pictures)
    if pictures * items.total(_METADATA) > _MAX_METADATA_BYTES:
        raise PictureError(f"too much metadata for {pictures} pictures in one file")


def _boxes(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(view):
            return
        size, kind = struct.unpack_from(">L4s", view, at)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", view, at + 8)
            header = 16
        end = at + size if size else len(view)
        if end < at + header:
            raise PictureError("broken picture: a box smaller than its header")
        yield kind, view[at + header : end]
        at = end
    raise PictureError(f"broken picture: more than {_MAX_BOXES} boxes")


def _read_meta(meta: memoryview, items: _Items, coding: Coding) -> None:
    for kind, body in _boxes(meta):
        if kind == b"iinf":
            for info, entry in _boxes(body[6 if body[0] == 0 else 8 :]):
                if info == b"infe":
                    _read_item(entry, items)
        elif kind == b"iloc":
            _read_places(body, items)
        elif kind == b"iprp":
            for properties, inner in _boxes(body):
                if properties == b"ipco":
                    for name, value in _boxes(inner):
                        _read_property(name, value, coding)


def _read_item(entry: memoryview, items: _Items) -> None:
    version, flags = entry[0], entry[3]
    if version >= 2:
        form = struct.Struct(">HH4s" if version == 2 else ">LH4s")
        item, _, kind = form.unpack_from(entry, 4)
        if not kind.isascii():  # pi_heif 1.4 takes it for text and crashes if it is none
            raise PictureError("broken picture: an item of no known type")
        bytes(entry[4 + form.size :]).decode()
        items.types[item] = kind
        if flags & _HIDDEN:
            items.hidden.add(item)


def _read_places(body: memoryview, items: _Items) -> None:
    """Where the items lie: of each, some stretches of the file."""
    version = body[0]
    widths = body[4] >> 4, body[4] & 15, body[5] >> 4, body[5] & 15 if version in {1, 2} else 0
    offset, length, base, index = widths
    id_width = 4 if version == 2 else 2
    count = int.from_bytes(body[6 : 6 + id_width])
    at = 6 + id_width
    for _ in range(count):
        item = int.from_bytes(body[at : at + id_width])
        at += id_width + (2 if version in {1, 2} else 0) + 2 + base
        (stretches,) = struct.unpack_from(">H", body, at)
        at += 2
        for _ in range(stretches):
            at += index + offset
            size = int.from_bytes(body[at : at + length])
            at += length
            items.sizes[item] = items.sizes.get(item, 0) + size
        if at > len(body):
            raise PictureError("broken picture: its table of contents ends too early")


def _read_property(name: bytes, value: memoryview, coding: Coding) -> None:
    if name == b"colr" and bytes(value[:4]) in {b"prof", b"rICC"}:
        check_profile(len(value) - 4)
    elif name == b"auxC" and bytes(value[4:]).endswith(_ALPHA):
        coding.has_alpha = True
    elif name == b"hvcC":
        coding.samples = max(coding.samples, _SAMPLES[value[16] & 3])
        coding.bits = max(coding.bits, 8 + (value[17] & 7))
    elif name == b"av1C":
        is_grey, is_half_wide, is_half_high = (bool(value[2] & bit) for bit in (16, 8, 4))
        colours = 0.0 if is_grey else 2 / ((1 + is_half_wide) * (1 + is_half_high))
        coding.samples = max(coding.samples, 1 + colours)
        coding.bits = max(coding.bits, 12 if value[2] & 32 else 10 if value[2] & 64 else 8)
