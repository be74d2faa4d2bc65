"""What callers are told."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict

from shared.errors import (
    AccessDenied,
    InputError,
    OverBudget,
    PixseekError,
    SettingsError,
    Unavailable,
)
from shared.models import Hit

_STATUS: dict[type[PixseekError], HTTPStatus] = {
    AccessDenied: HTTPStatus.UNAUTHORIZED,
    InputError: HTTPStatus.BAD_REQUEST,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    SettingsError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Result(_Reply):
    """A picture that was found."""

    id: int
    image: str
    similarity: float
    url: str | None


class SearchReply(_Reply):
    """The answer of `GET /search`, best first."""

    results: list[Result]
    model: str
    warnings: list[str]
    """Why the answer may be worse than it could be, and what to do."""
    took_ms: float


class Problem(_Reply):
    """An error, in the form of RFC 9457."""

    title: str
    status: int
    detail: str
    request_id: str


def search_reply(
    hits: Sequence[Hit],
    links: Sequence[str | None],
    *,
    model: str,
    warnings: Sequence[str],
    took_ms: float,
) -> SearchReply:
    """Hits and their links, in the same order."""
    return SearchReply(
        results=[
            Result(id=hit.image_id, image=hit.ref.name, similarity=hit.similarity, url=link)
            for hit, link in zip(hits, links, strict=True)
        ],
        model=model,
        warnings=list(warnings),
        took_ms=round(took_ms, 1),
    )


def status_of(error: PixseekError) -> HTTPStatus:
    """The HTTP status of an error: that of the nearest class in the table."""
    known = [_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS]
    return known[0] if known else HTTPStatus.INTERNAL_SERVER_ERROR


def retry_after(error: PixseekError) -> dict[str, str]:
    """The header that says when to come again, if the error knows."""
    if not isinstance(error, OverBudget) or error.frees_at is None:
        return {}
    left_s = (error.frees_at - datetime.now(UTC)).total_seconds()
    return {"Retry-After": str(max(1, math.ceil(left_s)))}


def problem(status: HTTPStatus, detail: str, *, request_id: str) -> Problem:
    """An error reply."""
    return Problem(title=status.phrase, status=int(status), detail=detail, request_id=request_id)


def problem_of(error: PixseekError, *, request_id: str) -> Problem:
    """The reply to an error. What is not the caller's to mend has a request id to quote, and no cause."""
    return problem(status_of(error), _detail(error), request_id=request_id)


def _detail(error: PixseekError) -> str:
    if isinstance(error, OverBudget):
        until = f" before {error.frees_at:%Y-%m-%d %H:%M:%S %Z}" if error.frees_at else " soon enough"
        return f"No call to the model is free{until}. Texts that were searched for before are still answered."
    if isinstance(error, Unavailable):
        return "Something that the search needs does not answer. Try again in a moment."
    if isinstance(error, InputError):
        return str(error)
    return "The cause is in the log, under the request id."
