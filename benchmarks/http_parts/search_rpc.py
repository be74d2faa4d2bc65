"""The call of the database API that the search function makes for a remembered text: the one place to change
when it makes another."""

from typing import Final

from pydantic import BaseModel

from benchmarks.search_parts.exact import K

FUNCTION: Final = "search_images_v2"


class _Hit(BaseModel):
    id: int


class _Found(BaseModel):
    hits: list[_Hit]


def arguments(text: str, model: str) -> dict[str, object]:
    """As `shared.database` gives them for `GET /search`."""
    return {
        "query": [{"text": text}],
        "match_count": K,
        "model_name": model,
        "min_similarity": None,
        "filters": {},
        "page_cursor": None,
    }


def ids(answer: object) -> list[int]:
    """Of an answer, nearest first; none for a text that is not remembered."""
    return [hit.id for hit in _Found.model_validate(answer).hits]
