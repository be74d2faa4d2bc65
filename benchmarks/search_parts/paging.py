"""Pages joined hold what one long answer holds, each picture once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import psycopg

from benchmarks.search_parts.asking import Page, Paging
from benchmarks.search_parts.attributes import OWNER
from benchmarks.search_parts.data import DataSet
from benchmarks.search_parts.ours import Ours, insert
from benchmarks.search_parts.sheet import Findings
from benchmarks.search_parts.timing import literals

_PAGE: Final = 10
_DEPTH: Final = 1000
_QUERIES: Final = 10
_COPIES: Final = 31
"""More than fit on three pages, so that equal distances lie on both sides of a seam."""


def measure(findings: Findings, data: DataSet, ours: Ours) -> None:
    """Adds pictures: comes last of all that search this database."""
    first = len(data.vectors) + 1
    copies = list(range(first, first + _COPIES))
    with ours.connect() as connection:
        wrong = 0
        for text in literals(data.queries[:_QUERIES]):
            search = Paging(connection, text, {})
            wrong += _lost_or_doubled(search.page(_DEPTH).ids, _read(search, _DEPTH))
        _insert_copies(data, connection, first)
        for filters in ({}, {"bucket": "copies"}):
            search = Paging(connection, literals(data.queries[:1])[0], filters)
            wrong += _lost_or_doubled(copies, _read(search, 5 * _PAGE))
    findings.at_most("paging.lost_or_doubled", wrong, 0)
    findings.remark(
        data.name,
        "paging",
        f"{_QUERIES} times {_DEPTH} rows by {_PAGE}, and {_COPIES} copies: {wrong} lost or doubled",
        lost_or_doubled=wrong,
    )


def _read(search: Paging, depth: int) -> list[int]:
    return [number for page in _pages(search, depth) for number in page.ids]


def _pages(search: Paging, depth: int) -> Iterator[Page]:
    page = search.page(_PAGE)
    yield page
    for _ in range(depth // _PAGE - 1):
        if page.next_cursor is None:
            return
        page = search.page(_PAGE, page.next_cursor)
        yield page


def _lost_or_doubled(expected: Sequence[int], read: Sequence[int]) -> int:
    doubled = sum(count - 1 for count in Counter(read).values())
    return doubled + len({*expected} - {*read})


def _insert_copies(data: DataSet, connection: psycopg.Connection, first_id: int) -> None:
    """Equal vectors, so near to the first query that they precede all else."""
    now = datetime.now(UTC)
    images = [
        (number, "copies", f"copy/{number}.jpg", OWNER, "image/gif", now, now)
        for number in range(first_id, first_id + _COPIES)
    ]
    insert(connection, first_id, np.repeat(data.queries[:1], _COPIES, axis=0), images)
