"""Small shared objects, with what a loader reads of one and some symbols behind."""

import struct
from typing import Final

ARM64: Final = 0xB7
X86_64: Final = 0x3E
SYMBOLS: Final = b"symbols for a debugger"

_ADDRESS: Final = 0x10000
_DYNAMIC_AT: Final = 64 + 2 * 56


def shared_object(machine: int, *needed: str) -> bytes:
    """Needs these libraries: one loaded segment with the dynamic section and their names, then a section."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    starts = [names.index(name.encode()) for name in needed]
    size = 16 * (len(needed) + 2)
    entries = [*((1, start) for start in starts), (5, _ADDRESS + _DYNAMIC_AT + size), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    end = _DYNAMIC_AT + size + len(names)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, end + len(SYMBOLS), 0, 64, 56, 2, 64, 1, 0
    )
    loaded = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, end, end, 4096)
    linked = struct.pack("<IIQQQQQQ", 2, 6, _DYNAMIC_AT, _ADDRESS + _DYNAMIC_AT, 0, size, size, 8)
    return header + loaded + linked + dynamic + names + SYMBOLS + bytes(64)
