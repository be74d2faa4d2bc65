"""Qt resource files: whole ones are read, broken ones refused, whatever is broken."""

import struct
import zlib
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.qt_resources import QtResourceError, read_files

Tree: TypeAlias = "dict[str, bytes | Packed | Tree]"

_DIRECTORY = 2
_TIMES_BYTES = 8
_VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])


@dataclass(frozen=True)
class Packed:
    """A file's content as it lies in the resource file, with the flags that say how to read it."""

    stored: bytes
    flags: int


@dataclass(frozen=True)
class Node:
    """A file or a directory of the tree, before offsets are known."""

    name_at: int
    flags: int
    first: int
    second: int


def _zlib(content: bytes) -> Packed:
    return Packed(struct.pack(">I", len(content)) + zlib.compress(content), flags=1)


def _zstd(content: bytes) -> Packed:
    return Packed(b"\x28\xb5\x2f\xfd" + content, flags=4)


def _name(name: str) -> bytes:
    text = name.encode("utf-16-be")
    return struct.pack(">HI", len(text) // 2, 0) + text


def _built(tree: Tree, version: int = 1) -> bytes:
    """A resource file in the order in which Qt writes it: contents, names, tree."""
    nodes = [Node(0, _DIRECTORY, len(tree), 1)]
    contents, names = b"", b""
    waiting = list(tree.items())
    while waiting:
        name, child = waiting.pop(0)
        if isinstance(child, dict):
            first_child = len(nodes) + 1 + len(waiting)
            nodes.append(Node(len(names), _DIRECTORY, len(child), first_child))
            waiting += child.items()
        else:
            packed = child if isinstance(child, Packed) else Packed(child, flags=0)
            nodes.append(Node(len(names), packed.flags, 0, len(contents)))
            contents += struct.pack(">I", len(packed.stored)) + packed.stored
        names += _name(name)
    return _laid_out(nodes, contents, names, version)


def _laid_out(nodes: list[Node], contents: bytes, names: bytes, version: int = 1) -> bytes:
    start = 20 if version < 3 else 24
    header = struct.pack(
        ">4siiii",
        b"qres",
        version,
        start + len(contents) + len(names),
        start,
        start + len(contents),
    )
    flags = b"" if version < 3 else struct.pack(">i", 0)
    times = b"" if version < 2 else bytes(_TIMES_BYTES)
    entries = [
        struct.pack(">IHII", node.name_at, node.flags, node.first, node.second) + times for node in nodes
    ]
    return header + flags + contents + names + b"".join(entries)


def _refused(data: bytes) -> bool:
    """Whether the bytes are refused; any error but ours goes through."""
    try:
        list(read_files(data))
    except QtResourceError:
        return True
    return False


_TREE: Tree = {
    "images": {
        "animals": {"猫.webp": b"a cat", "dog.webp": _zlib(b"a dog" * 100)},
        "empty": {},
    },
    "Straße 🐱.txt": b"",
    "last.txt": _zlib(b""),
}
_FILES = {
    "images/animals/猫.webp": b"a cat",
    "images/animals/dog.webp": b"a dog" * 100,
    "Straße 🐱.txt": b"",
    "last.txt": b"",
}


@_VERSIONS
def test_every_file_is_read_with_its_path(version: int) -> None:
    assert dict(read_files(_built(_TREE, version))) == _FILES


@_VERSIONS
def test_files_come_in_the_order_of_the_tree(version: int) -> None:
    tree: Tree = {"b": {"z": b"1", "a": b"2"}, "a": b"3"}

    assert [path for path, _ in read_files(_built(tree, version))] == ["b/z", "b/a", "a"]


@_VERSIONS
def test_a_resource_file_may_hold_nothing(version: int) -> None:
    assert list(read_files(_built({}, version))) == []


def test_folders_may_lie_deep() -> None:
    tree: Tree = reduce(lambda below, _: {"d": below}, range(2000), {"file": b"deep"})

    [(path, content)] = read_files(_built(tree))

    assert path == "d/" * 2000 + "file"
    assert content == b"deep"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"qres",
        b"no resource file at all, but long enough",
        b"QRES" + _built(_TREE)[4:],
        b"serq" + _built(_TREE)[4:],
        b"\x28\xb5\x2f\xfd" + bytes(40),
    ],
    ids=["empty", "magic alone", "text", "capitals", "reversed", "zstd"],
)
def test_what_is_no_resource_file_is_refused(data: bytes) -> None:
    with pytest.raises(QtResourceError):
        list(read_files(data))


def test_a_wrong_magic_is_named() -> None:
    with pytest.raises(QtResourceError, match="does not start with qres"):
        list(read_files(b"RIFF" + _built(_TREE)[4:]))


def test_a_file_that_is_cut_short_anywhere_is_refused() -> None:
    data = _built(_TREE)

    assert [length for length in range(len(data)) if not _refused(data[:length])] == []


@pytest.mark.parametrize("version", [2, 3])
def test_a_file_that_is_cut_short_before_its_last_time_is_refused(version: int) -> None:
    data = _built(_TREE, version)

    assert [length for length in range(len(data) - _TIMES_BYTES) if not _refused(data[:length])] == []


@pytest.mark.parametrize(
    "nodes",
    [
        [Node(0, _DIRECTORY, 1, 0)],
        [Node(0, _DIRECTORY, 1, 1), Node(0, _DIRECTORY, 1, 1)],
        [Node(0, _DIRECTORY, 1, 1), Node(0, _DIRECTORY, 1, 0)],
        [Node(0, _DIRECTORY, 1, 1), Node(0, _DIRECTORY, 1, 2), Node(0, _DIRECTORY, 1, 1)],
        [
            Node(0, _DIRECTORY, 2, 1),
            Node(0, _DIRECTORY, 1, 3),
            Node(0, _DIRECTORY, 1, 3),
            Node(0, _DIRECTORY, 0, 1),
        ],
    ],
    ids=["root in itself", "folder in itself", "root below", "two in each other", "one in two folders"],
)
def test_a_tree_that_comes_back_to_itself_is_refused(nodes: list[Node]) -> None:
    data = _laid_out(nodes, b"", _name("d"))

    with pytest.raises(QtResourceError, match="in the tree twice"):
        list(read_files(data))


@pytest.mark.parametrize("count", [2, 1000, 2**31, 2**32 - 1])
def test_a_folder_that_claims_more_children_than_there_are_is_refused(count: int) -> None:
    data = _laid_out([Node(0, _DIRECTORY, count, 1), Node(0, _DIRECTORY, 0, 0)], b"", _name("d"))

    with pytest.raises(QtResourceError):
        list(read_files(data))


def test_folders_that_all_claim_more_children_than_there_are_cost_no_memory() -> None:
    nodes = [Node(0, _DIRECTORY, 2**32 - 1, number + 1) for number in range(1500)]

    with pytest.raises(QtResourceError):
        list(read_files(_laid_out(nodes, b"", _name("d"))))


@pytest.mark.parametrize("length", [10_000, 2**31, 2**32 - 1])
def test_content_that_claims_more_bytes_than_there_are_is_refused(length: int) -> None:
    contents = struct.pack(">I", length) + b"short"
    data = _laid_out([Node(0, _DIRECTORY, 1, 1), Node(0, 0, 0, 0)], contents, _name("d"))

    with pytest.raises(QtResourceError, match=f"{length} bytes expected"):
        list(read_files(data))


def test_a_name_that_claims_more_letters_than_there_are_is_refused() -> None:
    name = struct.pack(">HI", 2**16 - 1, 0) + "d".encode("utf-16-be")
    data = _laid_out([Node(0, _DIRECTORY, 1, 1), Node(0, 0, 0, 0)], bytes(4), name)

    with pytest.raises(QtResourceError, match="cut short"):
        list(read_files(data))


@pytest.mark.parametrize("offset", [-1, -40, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("place", [8, 12, 16], ids=["tree", "contents", "names"])
def test_parts_that_do_not_lie_where_the_header_says_are_refused(place: int, offset: int) -> None:
    data = _built(_TREE)

    assert _refused(data[:place] + struct.pack(">i", offset) + data[place + 4 :])


@_VERSIONS
def test_zstd_is_refused_by_name(version: int) -> None:
    tree: Tree = {"cat.webp": _zstd(b"whatever")}

    with pytest.raises(QtResourceError, match="zstd"):
        list(read_files(_built(tree, version)))


@pytest.mark.parametrize(
    "packed",
    [
        Packed(b"", flags=1),
        Packed(b"\0\0", flags=1),
        Packed(b"\0\0\0\5no zlib stream", flags=1),
        Packed(_zlib(b"a dog" * 100).stored[:-1], flags=1),
        Packed(_zlib(b"a dog" * 100).stored[:-4] + b"\0\0\0\0", flags=1),
    ],
    ids=["empty", "no length", "not zlib", "cut short", "wrong checksum"],
)
def test_content_that_does_not_unpack_is_refused(packed: Packed) -> None:
    with pytest.raises(QtResourceError):
        list(read_files(_built({"dog.webp": packed})))


def test_a_name_that_is_no_utf_16_is_refused() -> None:
    name = struct.pack(">HI", 1, 0) + b"\xd8\x00"  # half of a surrogate pair
    data = _laid_out([Node(0, _DIRECTORY, 1, 1), Node(0, 0, 0, 0)], bytes(4), name)

    with pytest.raises(QtResourceError):
        list(read_files(data))


@given(
    position=st.integers(0, 10_000),
    replacement=st.binary(min_size=1, max_size=4),
    version=st.sampled_from([1, 2, 3]),
)
def test_altered_bytes_never_crash(position: int, replacement: bytes, version: int) -> None:
    whole = _built(_TREE, version)
    at = position % len(whole)
    data = whole[:at] + replacement + whole[at + len(replacement) :]

    assert _refused(data) in {True, False}


@given(data=st.binary(max_size=200))
def test_what_follows_the_magic_never_crashes(data: bytes) -> None:
    assert _refused(b"qres" + data) in {True, False}
