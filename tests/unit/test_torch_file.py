"""Files of weights as torch writes them, read without torch."""

import io
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.embedding.torch_file import read_tensors
from shared.errors import SettingsError

_MAGIC = 0x1950A86A20F9469CFC6C
_SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class FloatStorage:
    """Stands for torch's class, whose name a file holds."""


class LongStorage:
    """As `FloatStorage`, for whole numbers."""


class HalfStorage:
    """A type that no weights of ours have."""


def _rebuild_tensor_v2() -> None:
    """Stands for torch's function, whose name a file holds."""


class Storage:
    """Elements that tensors share."""

    def __init__(self, key: str, elements: NDArray[np.generic], kind: type = FloatStorage) -> None:
        self.elements = elements
        self.key = key
        self.pid = ("storage", kind, key, "cpu", elements.size, None)


class Tensor:
    """A view of a storage, which a pickle holds as a call."""

    def __init__(
        self, storage: Storage, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
    ) -> None:
        self._arguments: tuple[object, ...] = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_tensor_v2, self._arguments


class Call:
    """Something that a pickle calls when it is read."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._called = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self._called


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: object) -> tuple[object, ...] | None:
        return value.pid if isinstance(value, Storage) else None


@pytest.fixture(autouse=True)
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of torch's names, for pickle to find what it writes the names of."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    for module, named in (
        (torch, FloatStorage),
        (torch, LongStorage),
        (torch, HalfStorage),
        (utils, _rebuild_tensor_v2),
    ):
        setattr(module, named.__name__, named)
        monkeypatch.setattr(named, "__module__", module.__name__)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def _written(
    tensors: object, *storages: Storage, magic: object = _MAGIC, keys: object = None, protocol: int = 2
) -> bytes:
    """The file: five pickles, then every storage with its count of elements."""
    file = io.BytesIO()
    keys = [storage.key for storage in storages] if keys is None else keys
    for part in (magic, 1001, _SYSTEM, tensors, keys):
        _Pickler(file, protocol=protocol).dump(part)
    for storage in storages:
        file.write(storage.elements.size.to_bytes(8, "little") + storage.elements.tobytes())
    return file.getvalue()


def _floats(count: int) -> Storage:
    return Storage("94001", np.arange(count, dtype="<f4"))


def _whole_file() -> bytes:
    return _written(OrderedDict(weight=Tensor(_floats(6), (2, 3), (3, 1))), _floats(6))


def test_tensors_are_read_by_name_with_their_shapes_and_types() -> None:
    counts = Storage("7", np.array([5, -1], "<i8"), LongStorage)
    data = _written(
        OrderedDict(weight=Tensor(_floats(6), (2, 3), (3, 1)), batches=Tensor(counts, (2,), (1,))),
        _floats(6),
        counts,
    )

    tensors = read_tensors(data)

    assert list(tensors) == ["weight", "batches"]
    assert tensors["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensors["weight"].dtype == np.float32
    assert tensors["batches"].tolist() == [5, -1]
    assert tensors["batches"].dtype == np.int64


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "expected"),
    [
        ((3, 2), (1, 3), 0, [[0, 3], [1, 4], [2, 5]]),
        ((2,), (1,), 4, [4, 5]),
        ((2, 2), (0, 1), 1, [[1, 2], [1, 2]]),
        ((), (), 5, 5),
    ],
    ids=["transposed", "a part", "expanded", "one number"],
)
def test_a_tensor_is_a_view_of_its_storage(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int, expected: object
) -> None:
    data = _written({"view": Tensor(_floats(6), shape, strides, offset)}, _floats(6))

    tensors = read_tensors(data)

    assert tensors["view"].tolist() == expected


def test_tensors_share_the_storage_that_they_name() -> None:
    shared = _floats(4)
    data = _written({"a": Tensor(shared, (4,), (1,)), "b": Tensor(shared, (2, 2), (2, 1))}, shared)

    tensors = read_tensors(data)

    assert np.shares_memory(tensors["a"], tensors["b"])


def test_weights_cannot_be_written_to() -> None:
    tensors = read_tensors(_whole_file())

    assert not tensors["weight"].flags.writeable


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "system"),
        (eval, "eval"),
        (getattr, "getattr"),
        (subprocess.Popen, "Popen"),
    ],
    ids=["system", "eval", "getattr", "Popen"],
)
def test_a_pickle_that_asks_for_anything_but_tensors_is_refused_by_name(
    function: Callable[..., object], name: str, protocol: int
) -> None:
    data = _written({"weight": Call(function, "1")}, protocol=protocol)

    with pytest.raises(SettingsError, match=rf"the weights ask for \w+\.{name}, which no tensor needs"):
        read_tensors(data)


@pytest.mark.parametrize("place", ["magic", "tensors", "keys"])
def test_no_pickle_of_the_file_runs_what_it_says(place: str, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    parts: dict[str, object] = {"magic": _MAGIC, "tensors": {}, "keys": []}
    parts[place] = Call(eval, f"open({str(mark)!r}, 'w')")
    data = _written(parts["tensors"], magic=parts["magic"], keys=parts["keys"])

    with pytest.raises(SettingsError, match="eval"):
        read_tensors(data)

    assert not mark.exists()


def test_a_type_that_is_not_known_is_refused_by_name() -> None:
    halves = Storage("1", np.zeros(2, "<f2"), HalfStorage)

    with pytest.raises(SettingsError, match=r"torch\.HalfStorage"):
        read_tensors(_written({"weight": Tensor(halves, (2,), (1,))}, halves))


@pytest.mark.parametrize("magic", [_MAGIC + 1, 0, "torch", None, [_MAGIC]])
def test_a_wrong_magic_is_refused(magic: object) -> None:
    with pytest.raises(SettingsError, match="not in torch's older file format"):
        read_tensors(_written({}, magic=magic))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no weights at all",
        b"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        b"<html>\n<body>Not Found</body>\n",
        b"\x89PNG\r\n\x1a\n",
        b"\x93NUMPY\x01\0",
        bytes(range(256)),
        b"N.N.N.N.N.",
        b"\x80\xff.",
        b"\x8c\x01\xff.",
    ],
    ids=["empty", "text", "zip", "lfs", "html", "png", "npy", "bytes", "nothings", "protocol", "text code"],
)
def test_what_is_no_such_file_is_refused(data: bytes) -> None:
    with pytest.raises(SettingsError, match="not in torch's older file format"):
        read_tensors(data)


@pytest.mark.parametrize("tensors", [{"epoch": 3}, [1, 2], 7])
def test_a_file_of_anything_but_a_state_dict_is_refused(tensors: object) -> None:
    with pytest.raises(SettingsError):
        read_tensors(_written(tensors))


def test_a_storage_that_is_not_in_the_file_is_refused() -> None:
    with pytest.raises(SettingsError):
        read_tensors(_written({"weight": Tensor(_floats(6), (2, 3), (3, 1))}))


def test_a_tensor_that_reaches_beyond_its_storage_is_refused() -> None:
    with pytest.raises(SettingsError, match="cut short"):
        read_tensors(_written({"weight": Tensor(_floats(6), (2, 3), (3, 1), offset=1)}, _floats(6)))


@pytest.mark.parametrize("missing_bytes", [4, 8, 24, 28, 32, 40, 200])
def test_a_file_that_is_cut_short_is_refused(missing_bytes: int) -> None:
    with pytest.raises(SettingsError):
        read_tensors(_whole_file()[:-missing_bytes])


@pytest.mark.parametrize("missing_bytes", [1, 2, 3])
def test_a_file_that_is_cut_short_within_a_number_is_refused(missing_bytes: int) -> None:
    with pytest.raises(SettingsError):
        read_tensors(_whole_file()[:-missing_bytes])
