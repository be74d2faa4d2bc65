"""The calls of pixseek's search functions that the benchmark times."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psycopg
from pydantic import BaseModel

from benchmarks.search_parts.data import Floats
from benchmarks.search_parts.timing import Search, literals

_PAGE: Final = """
select search_images_v1(query_embedding => %s::vector, min_similarity => -1, match_count => %s,
                        filters => %s::jsonb, page_cursor => %s)
"""
_FIRST_PAGE: Final = """
select search_images_v1(query_embedding => %s::vector, min_similarity => -1, filters => %s::jsonb)
"""
_REMEMBERED: Final = "select search_images_v1(query_text => %s, min_similarity => -1)"


class _Hit(BaseModel):
    id: int


class Page(BaseModel):
    """What is read of an answer."""

    hits: list[_Hit]
    next_cursor: str | None
    path: str

    @property
    def ids(self) -> list[int]:
        """In order."""
        return [hit.id for hit in self.hits]


@dataclass(frozen=True, slots=True)
class Paging:
    """A search that is read page by page."""

    connection: psycopg.Connection
    text: str
    """The vector."""
    filters: Mapping[str, str]

    def page(self, count: int, cursor: str | None = None) -> Page:
        """From the beginning without a cursor."""
        values = (self.text, count, json.dumps(self.filters), cursor)
        row = self.connection.execute(_PAGE, values).fetchone()
        return Page.model_validate(row[0] if row else None)


def searching(
    connection: psycopg.Connection, queries: Floats, filters: Mapping[str, str] | None = None
) -> Search:
    """`search_images_v1` by vector."""
    texts = literals(queries)
    kept = json.dumps(filters or {})

    def search(number: int) -> list[int]:
        return _ids(connection, _FIRST_PAGE, texts[number], kept)

    return search


def matching_nothing(connection: psycopg.Connection, queries: Floats) -> Search:
    """`match_images` with a threshold that nothing reaches."""
    texts = literals(queries)

    def search(number: int) -> list[int]:
        rows = connection.execute("select * from match_images(%s::vector, 2, 10)", (texts[number],))
        return [row[0] for row in rows.fetchall()]

    return search


def remembering(connection: psycopg.Connection, queries: Floats) -> Search:
    """`search_images_v1` by texts whose vectors the database remembers."""
    for number, text in enumerate(literals(queries)):
        connection.execute("select remember_query_v1(%s, %s::vector)", (f"sentence {number}", text))

    def search(number: int) -> list[int]:
        return _ids(connection, _REMEMBERED, f"sentence {number}")

    return search


def _ids(connection: psycopg.Connection, statement: str, *values: str) -> list[int]:
    row = connection.execute(statement.encode(), values).fetchone()
    return [int(hit["id"]) for hit in row[0]["hits"]] if row else []
