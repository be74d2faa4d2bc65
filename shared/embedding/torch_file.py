"""Reads the tensors of a file that torch wrote, without torch and without running what the file says."""

import io
import math
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shared.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Tensors: TypeAlias = "dict[str, NDArray[Any]]"

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_COUNT_BYTES: Final = 8
# What pickle and numpy raise on bytes that are something else.
_BROKEN: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    pickle.UnpicklingError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Where a tensor lies in its storage, in elements."""

    storage: tuple[str, str]
    """Key, dtype."""
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(data: bytes) -> Tensors:
    """The tensors of a state dict in torch's older file format (before its zip format), by name.

    The format: five pickles (magic, version, system, tensors, storage keys), then each storage as a 64-bit
    count and its elements. Raises `SettingsError` for a file that is anything else, or that names anything
    but tensors.
    """
    try:
        return _read_tensors(io.BytesIO(data))
    except _BROKEN as exc:
        raise SettingsError(f"the weights are not in torch's older file format, or cut short: {exc}") from exc


def _read_tensors(stream: io.BytesIO) -> Tensors:
    import numpy as np
    from numpy.lib.stride_tricks import as_strided

    magic, _version, _system, tensors, keys = (_TensorUnpickler(stream).load() for _ in range(5))
    if magic != _MAGIC:
        raise ValueError("it starts otherwise")

    dtypes = dict(tensor.storage for tensor in tensors.values())
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(_COUNT_BYTES), "little")
        dtype = np.dtype(dtypes[key])
        storages[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype)

    def view(tensor: _Tensor) -> "NDArray[Any]":
        storage = storages[tensor.storage[0]][tensor.offset :]
        last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
        if last >= len(storage):
            raise ValueError("a tensor reaches beyond its storage")
        steps = [stride * storage.itemsize for stride in tensor.strides]
        return as_strided(storage, tensor.shape, steps, writeable=False)

    return {name: view(tensor) for name, tensor in tensors.items() if math.prod(tensor.shape)}


class _TensorUnpickler(pickle.Unpickler):
    """Admits the four names that a state dict needs; a pickle could otherwise call anything."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 -- as the base class has it
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise SettingsError(f"the weights ask for {module}.{name}, which no tensor needs") from None

    def persistent_load(self, pid: Any) -> tuple[str, str]:  # noqa: ANN401 -- as the base class has it
        _kind, dtype, key, *_ = pid
        return key, dtype


def _tensor(
    storage: tuple[str, str], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_ADMITTED: Final[dict[tuple[str, str], object]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
}
