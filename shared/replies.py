"""What callers are told."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from shared.hits import Hit, ImageState, Links, Page
from shared.models import ObjectRef, UploadLink


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Result(_Reply):
    """A picture that was found. Its links work for a while; one that is null may not be read."""

    id: int
    bucket: str
    image: str
    similarity: float
    url: str | None
    preview_url: str | None
    width: int | None
    height: int | None
    taken_at: datetime | None
    average_colour: str | None


class SearchReply(_Reply):
    """The answer to a search, best first."""

    results: list[Result]
    model: str
    path: str
    """How they were found: index, candidates, completed or exact."""
    next_cursor: str | None
    took_ms: float
    warnings: list[str]
    """Why the answer may be worse than it could be, and what to do."""


class ImageReply(_Reply):
    """One picture, where it stands, and its links."""

    id: int
    bucket: str
    image: str
    state: str
    """pending, indexed (it can be found), or failed."""
    reason: str | None
    """Why it failed."""
    url: str | None
    preview_url: str | None
    content_type: str | None
    size_bytes: int | None
    width: int | None
    height: int | None
    taken_at: datetime | None
    created_at: datetime
    average_colour: str | None
    is_own: bool


class UploadReply(_Reply):
    """Where to put one picture, how, and what it will be called."""

    bucket: str
    image: str
    url: str
    method: str
    headers: dict[str, str]
    """To be sent with it."""


class HealthReply(_Reply):
    """The function runs."""

    status: str = "ok"


def search_reply(
    page: Page, links: Sequence[Links], *, model: str, warnings: Sequence[str], took_ms: float
) -> SearchReply:
    """Hits and their links, in the same order."""
    return SearchReply(
        results=[_result(hit, found) for hit, found in zip(page.hits, links, strict=True)],
        model=model,
        path=page.path,
        next_cursor=page.next_cursor,
        took_ms=round(took_ms, 1),
        warnings=list(warnings),
    )


def _result(hit: Hit, links: Links) -> Result:
    entry = hit.entry
    return Result(
        id=entry.image_id,
        bucket=entry.ref.bucket,
        image=entry.ref.name,
        similarity=hit.similarity,
        url=links.url,
        preview_url=links.preview_url,
        width=entry.width,
        height=entry.height,
        taken_at=entry.taken_at,
        average_colour=entry.average_colour,
    )


def image_reply(image: ImageState, links: Links) -> ImageReply:
    """One picture."""
    entry = image.entry
    return ImageReply(
        id=entry.image_id,
        bucket=entry.ref.bucket,
        image=entry.ref.name,
        state=image.standing,
        reason=image.reason,
        url=links.url,
        preview_url=links.preview_url,
        content_type=entry.content_type,
        size_bytes=image.size_bytes,
        width=entry.width,
        height=entry.height,
        taken_at=entry.taken_at,
        created_at=entry.created_at,
        average_colour=entry.average_colour,
        is_own=image.is_own,
    )


def upload_reply(ref: ObjectRef, link: UploadLink) -> UploadReply:
    """A right to upload."""
    return UploadReply(
        bucket=ref.bucket, image=ref.name, url=link.url, method=link.method, headers=dict(link.headers)
    )
