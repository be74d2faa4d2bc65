"""Shared objects: the machine that one is for, the libraries that it needs, and what of it is ever loaded.

Source: System V ABI, "ELF Header", "Program Header" and "Dynamic Section" (64-bit, little-endian).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

MACHINES: Final = {0xB7: "arm64", 0x3E: "x86_64"}

_MAGIC: Final = b"\x7fELF\x02\x01"
_MACHINE_AT: Final = 18
_SEGMENTS_AT: Final = 32
_SECTIONS_AT: Final = 40
_SEGMENT_COUNT_AT: Final = 54
_SECTION_COUNT_AT: Final = 60
_PT_LOAD: Final = 1
_PT_DYNAMIC: Final = 2
_DT_NEEDED: Final = 1
_DT_STRTAB: Final = 5


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    size: int


@dataclass(frozen=True, slots=True)
class SharedObject:
    """`machine`: an architecture of Lambda's, or its number for any other."""

    machine: str
    needed: tuple[str, ...]


def read_shared_object(path: Path) -> SharedObject | None:
    """None for a file that is none; one of another word length is none, too."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return None
    data = path.read_bytes()
    (machine,) = struct.unpack_from("<H", data, _MACHINE_AT)
    return SharedObject(MACHINES.get(machine, hex(machine)), tuple(_needed(data)))


def without_symbols(data: bytes) -> bytes:
    """All that a loader reads: up to the last segment. What lies behind is for linkers and debuggers."""
    (table,) = struct.unpack_from("<Q", data, _SEGMENTS_AT)
    size, count = struct.unpack_from("<HH", data, _SEGMENT_COUNT_AT)
    end = max(table + size * count, *(segment.offset + segment.size for segment in _segments(data)))
    loaded = bytearray(data[:end])
    struct.pack_into("<Q", loaded, _SECTIONS_AT, 0)
    struct.pack_into("<HH", loaded, _SECTION_COUNT_AT, 0, 0)
    return bytes(loaded)


def _segments(data: bytes) -> list[_Segment]:
    (table,) = struct.unpack_from("<Q", data, _SEGMENTS_AT)
    size, count = struct.unpack_from("<HH", data, _SEGMENT_COUNT_AT)
    return [_Segment(*struct.unpack_from("<IIQQQQ", data, table + size * number)) for number in range(count)]


def _needed(data: bytes) -> Iterator[str]:
    segments = _segments(data)
    for dynamic in segments:
        if dynamic.kind == _PT_DYNAMIC:
            entries = list(struct.iter_unpack("<qQ", data[dynamic.offset : dynamic.offset + dynamic.size]))
            names = _offset_of(next(value for tag, value in entries if tag == _DT_STRTAB), segments)
            for start in (names + value for tag, value in entries if tag == _DT_NEEDED):
                yield data[start : data.index(b"\0", start)].decode()


def _offset_of(address: int, segments: list[_Segment]) -> int:
    """Where in the file lies what is loaded to an address."""
    return next(
        address - each.address + each.offset
        for each in segments
        if each.kind == _PT_LOAD and each.address <= address < each.address + each.size
    )
