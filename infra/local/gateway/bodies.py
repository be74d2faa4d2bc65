"""What clients ask Storage for, in JSON."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from infra.local.gateway.errors import StorageError, invalid_request
from infra.local.gateway.pages import SORTABLE, Page, PageV2
from infra.local.gateway.rows import Json

_MAX_NAMES = 1000
_MAX_INTEGER = 2**31 - 1
_Body = TypeVar("_Body", bound=BaseModel)
_Names = Annotated[list[str], Field(min_length=1, max_length=_MAX_NAMES)]
_Seconds = Annotated[int, Field(ge=1)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SortBy(_Asked):
    """By which column, and which way."""

    column: str = "name"
    order: str | None = None


class SortByV2(_Asked):
    """By which column, and which way."""

    column: Literal["name", "updated_at", "created_at"] = "name"
    order: Literal["asc", "desc"] = "asc"


class ListObjects(_Asked):
    """The files and folders under a prefix."""

    prefix: str
    search: str | None = None
    limit: Annotated[int, Field(ge=1, le=_MAX_INTEGER)] = 100
    offset: Annotated[int, Field(ge=0, le=_MAX_INTEGER)] = 0
    sort_by: SortBy = Field(alias="sortBy", default=SortBy())

    def page(self) -> Page:
        """A prefix is always a folder; an unknown column sorts by name."""
        folder = f"{self.prefix}/" if self.prefix and not self.prefix.endswith("/") else self.prefix
        column = self.sort_by.column if self.sort_by.column in SORTABLE else "name"
        descending = (self.sort_by.order or "asc").lower() == "desc"
        return Page(folder, self.search or "", self.limit, self.offset, column, descending)


class _Cursor(_Asked):
    """Where a page ends, and how it was sorted."""

    name: str
    at: str | None
    column: str
    descending: bool


class ListObjectsV2(_Asked):
    """All names with a prefix, by pages; with a delimiter, those in its folders count as the folders."""

    prefix: str = ""
    limit: Annotated[int, Field(ge=1, le=_MAX_INTEGER)] = _MAX_NAMES
    cursor: str | None = None
    with_delimiter: bool = False
    sort_by: SortByV2 = Field(alias="sortBy", default=SortByV2())

    def page(self) -> PageV2:
        """A cursor brings its own order. Raises `StorageError` for one that is none."""
        limit = min(self.limit, _MAX_NAMES)
        if self.cursor:
            end = _read_cursor(self.cursor)
            return PageV2(
                self.prefix, self.with_delimiter, limit, end.column, end.descending, end.name, end.at
            )
        column, descending = self.sort_by.column, self.sort_by.order == "desc"
        return PageV2(self.prefix, self.with_delimiter, limit, column, descending, None, None)


def write_cursor(page: PageV2, last: Json) -> str:
    """The cursor of the page that comes after an entry. Clients do not look inside."""
    at = None if page.column == "name" else str(last[page.column])
    end = _Cursor(name=str(last["name"]), at=at, column=page.column, descending=page.descending)
    return urlsafe_b64encode(end.model_dump_json().encode()).decode()


def _read_cursor(cursor: str) -> _Cursor:
    try:
        return _Cursor.model_validate_json(urlsafe_b64decode(cursor))
    except ValueError as exc:
        raise StorageError(400, "InvalidParameter", "Invalid Parameter continuation token") from exc


class RemoveObjects(_Asked):
    """Objects by name; Storage calls them prefixes."""

    prefixes: _Names


class Transfer(_Asked):
    """A move or a copy."""

    bucket: str = Field(alias="bucketId")
    source: str = Field(alias="sourceKey")
    target: str = Field(alias="destinationKey")
    target_bucket: str | None = Field(alias="destinationBucket", default=None)


class SignObject(_Asked):
    """A link that lives so long. storage3 sends the number as text."""

    expires_in_s: _Seconds = Field(alias="expiresIn")


class SignObjects(SignObject):
    """Many links at once."""

    paths: _Names


async def parse_body(request: Request, model: type[_Body]) -> _Body:
    """The request's JSON body. Raises `StorageError` that names the first wrong field."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as exc:
        error = exc.errors()[0]
        place = "/".join(["body", *map(str, error["loc"])])
        raise invalid_request(f"{place}: {error['msg']}") from exc
