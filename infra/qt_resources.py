"""Reads the files in a Qt binary resource file (.rcc), as Qt's resource compiler writes it."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct(">4siiii")
_NODE: Final = struct.Struct(">IHII")
_COMPRESSED: Final = 1
_DIRECTORY: Final = 2
_OTHER_COMPRESSION: Final = 4
_FIRST_VERSION_WITH_TIMES: Final = 2


class QtResourceError(Exception):
    """The bytes are not a Qt resource file, or a broken one."""


def read_files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The path and the content of every file in it, in the order of its tree.

    Raises `QtResourceError` with the reason.
    """
    try:
        magic, version, tree, contents, names = _HEADER.unpack_from(data)
        if magic != b"qres":
            raise QtResourceError("not a Qt resource file: it does not start with qres")
        node_bytes = 22 if version >= _FIRST_VERSION_WITH_TIMES else 14
        waiting = [(0, "")]
        met = {0}
        while waiting:
            number, path = waiting.pop()
            name_at, flags, first, second = _NODE.unpack_from(data, tree + number * node_bytes)
            if number:
                path = f"{path}/{_name(data, names + name_at)}".lstrip("/")
            if flags & _DIRECTORY:
                children = range(second, second + first)
                if tree + children.stop * node_bytes > len(data):
                    raise QtResourceError(f"broken: {first} files in a folder, more than there are")
                if not met.isdisjoint(children):
                    raise QtResourceError(f"broken: a node of {children} is in the tree twice")
                met.update(children)
                waiting += [(child, path) for child in reversed(children)]
            else:
                yield path, _content(data, contents + second, flags)
    except (struct.error, zlib.error, UnicodeDecodeError) as exc:
        raise QtResourceError(f"broken or cut short: {exc}") from exc


def _name(data: bytes, at: int) -> str:
    """A length in characters, a hash, UTF-16."""
    length, _hash = struct.unpack_from(">HI", data, at)
    return _exactly(data, at + 6, 2 * length).decode("utf-16-be")


def _content(data: bytes, at: int, flags: int) -> bytes:
    """A length in bytes, the bytes; compressed ones start with their length before."""
    (length,) = struct.unpack_from(">I", data, at)
    content = _exactly(data, at + 4, length)
    if flags & _OTHER_COMPRESSION:
        raise QtResourceError("compressed with zstd, which is not read here")
    return zlib.decompress(content[4:]) if flags & _COMPRESSED else content


def _exactly(data: bytes, at: int, length: int) -> bytes:
    found = data[at : at + length]
    if len(found) < length:
        raise QtResourceError(f"cut short: {length} bytes expected at {at}, {len(found)} there")
    return found
