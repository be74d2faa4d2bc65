"""What a caller may ask, checked before anything is spent on it."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_CHARACTERS = 1000
MAX_RESULTS = 1000


def _searchable(text: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError("say what the picture shows, for example q=a dog on a beach")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text)} characters are too many, at most {MAX_CHARACTERS}")
    if "\0" in text:
        raise ValueError("a NUL character cannot be searched for")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("not valid Unicode: half of a surrogate pair")
    return text


class SearchQuery(BaseModel):
    """`GET /search`: a sentence, and how many pictures to return at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Annotated[str, AfterValidator(_searchable)]
    limit: Annotated[int, Field(ge=1, le=MAX_RESULTS)] = 20
