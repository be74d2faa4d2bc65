"""What a caller may ask, checked before anything is spent on it."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from shared.hits import Part, Query

MAX_CHARACTERS: Final = 1000
MAX_RESULTS: Final = 1000
MAX_PARTS: Final = 16
MAX_ID: Final = 2**63 - 1
_MAX_NAME: Final = 1024
_MAX_CURSOR: Final = 500

PictureType = Literal[
    "image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff", "image/webp", "image/avif",
    "image/heic", "image/heif",
]  # fmt: skip
"""What can be uploaded: the kinds that are read."""


def _sayable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be searched for")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("not valid Unicode: half of a surrogate pair")
    return text


def _searchable(text: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError("say what the picture shows, for example q=a dog on a beach")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text)} characters are too many, at most {MAX_CHARACTERS}")
    return _sayable(text)


def _file(value: object) -> object:
    """From base64; a data URL's, too, which browsers make."""
    if not isinstance(value, str):
        return value
    data = value.partition(";base64,")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):  # the latter for other than ASCII
        raise ValueError("not base64: send the picture's file in base64, or as multipart/form-data") from None


def _written(value: object) -> object:
    """Not a number, which pydantic would take for seconds since 1970."""
    if not isinstance(value, str) or "-" not in value[1:]:
        raise ValueError("write it like 2026-11-25 or 2026-11-25T10:00:00Z")
    return value


def _moment(value: datetime) -> datetime:
    """Without a zone it is UTC."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Sentence = Annotated[str, AfterValidator(_searchable)]
Name = Annotated[str, Field(min_length=1, max_length=_MAX_NAME), AfterValidator(_sayable)]
Moment = Annotated[datetime, BeforeValidator(_written), AfterValidator(_moment)]
ImageId = Annotated[int, Field(ge=1, le=MAX_ID)]
File = Annotated[
    bytes,
    Field(min_length=1),
    BeforeValidator(_file),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scope(_Asked):
    """Among which pictures is searched, and how many are wanted."""

    limit: Annotated[int, Field(ge=1, le=MAX_RESULTS, description="How many pictures at most.")] = 20
    cursor: Annotated[
        str | None,
        Field(
            pattern="^[A-Za-z0-9_-]*$", max_length=_MAX_CURSOR, description="next_cursor of the page before."
        ),
    ] = None
    min_similarity: Annotated[
        float | None,
        Field(
            ge=-1, le=1, allow_inf_nan=False, description="The least similarity; the model's own if left out."
        ),
    ] = None
    bucket: Annotated[Name | None, Field(description="Only of this bucket.")] = None
    prefix: Annotated[Name | None, Field(description="Only those whose names begin so.")] = None
    since: Annotated[
        Moment | None, Field(description="Taken then or later; where that is not known, uploaded.")
    ] = None
    until: Annotated[Moment | None, Field(description="Taken before; where that is not known, uploaded.")] = (
        None
    )

    def of(self, *parts: Part) -> Query:
        """A query within this scope."""
        return Query(parts, self.limit, self.cursor, self.min_similarity, self._filters())

    def _filters(self) -> Mapping[str, str]:
        given = {
            "bucket": self.bucket,
            "prefix": self.prefix,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
        }
        return {name: value for name, value in given.items() if value is not None}


class SearchQuery(Scope):
    """`GET /search`: a sentence."""

    q: Annotated[Sentence, Field(description="What the picture shows, in your words.")]

    def query(self) -> Query:
        """What is asked for."""
        return self.of(Part(text=self.q))


class QueryPart(_Asked):
    """One of `text`, `picture` and `image_id`, and how much it counts."""

    text: Annotated[Sentence | None, Field(description="What the picture shows.")] = None
    picture: Annotated[File | None, Field(description="A picture's file in base64.")] = None
    image_id: Annotated[ImageId | None, Field(description="A stored picture.")] = None
    weight: Annotated[
        float,
        Field(ge=-100, le=100, allow_inf_nan=False, description="How much it counts; below 0 it leads away."),
    ] = 1.0

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if sum(value is not None for value in (self.text, self.picture, self.image_id)) != 1:
            raise ValueError("a part takes one of text, picture and image_id")
        if self.weight == 0:
            raise ValueError("a part of weight 0 does not count: leave it out")
        return self

    def part(self) -> Part:
        """The same as the search takes it."""
        return Part(self.text, self.picture, None, self.image_id, self.weight)


class SearchBody(Scope):
    """`POST /search`: texts, pictures and stored images, combined by their weights."""

    query: Annotated[list[QueryPart], Field(min_length=1, max_length=MAX_PARTS)]

    def asked(self) -> Query:
        """What is asked for."""
        return self.of(*(part.part() for part in self.query))


class NamedImage(_Asked):
    """`GET /images/by-name`."""

    bucket: Name
    name: Name


class UploadBody(_Asked):
    """`POST /uploads`: where to, and what kind of picture."""

    bucket: Name
    content_type: PictureType

    @property
    def extension(self) -> str:
        """Of a file of this kind."""
        kind = self.content_type.removeprefix("image/")
        return {"jpeg": "jpg", "tiff": "tif"}.get(kind, kind)
