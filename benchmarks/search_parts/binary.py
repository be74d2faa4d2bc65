"""Rows for `copy … (format binary)`, encoded by numpy: a hundred times quicker than as text."""

import struct
from collections.abc import Iterable
from typing import Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.search_parts.data import Floats

Column = NDArray[np.generic]
"""One value a row, in network byte order and of fixed width."""

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = struct.pack(">h", -1)


def copy(connection: psycopg.Connection, table: str, chunks: Iterable[tuple[Column, ...]]) -> None:
    """Copy columns into a table; `table` may name its columns: `images (id, embedding)`."""
    with connection.cursor().copy(f"copy {table} from stdin (format binary)") as target:
        target.write(_HEADER)
        for columns in chunks:
            target.write(_encode(columns))
        target.write(_TRAILER)


def integers(values: NDArray[np.int64]) -> Column:
    """A bigint column."""
    return values.astype(">i8")


def names(pattern: str, ids: NDArray[np.int64]) -> Column:
    """A text column; the pattern must give names of one length: `{:08}.jpg`."""
    return np.array([pattern.format(number).encode() for number in ids.tolist()])


def vectors(values: Floats, float_type: str = ">f4") -> Column:
    """A vector column; a halfvec column with `>f2`."""
    layout = np.dtype([("dimensions", ">i2"), ("unused", ">i2"), ("values", float_type, values.shape[1:])])
    column = np.zeros(len(values), layout)
    column["dimensions"] = values.shape[1]
    column["values"] = values
    return column


def _encode(columns: tuple[Column, ...]) -> bytes:
    """Before each row the number of its fields; before each field its size."""
    layout: list[tuple[str, np.dtype[np.generic]]] = [("fields", np.dtype(">i2"))]
    for number, column in enumerate(columns):
        layout += [(f"size{number}", np.dtype(">i4")), (f"value{number}", column.dtype)]
    rows = np.empty(len(columns[0]), np.dtype(layout))
    rows["fields"] = len(columns)
    for number, column in enumerate(columns):
        rows[f"size{number}"] = column.dtype.itemsize
        rows[f"value{number}"] = column
    return rows.tobytes()
