"""Errors, as callers are told of them: problems of RFC 9457."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from shared.errors import (
    AccessDenied,
    Forbidden,
    InputError,
    NotIndexed,
    NotNow,
    NotReady,
    OverBudget,
    PictureError,
    PixseekError,
    RateLimited,
    SettingsError,
    TooLarge,
    Unavailable,
    UnknownImage,
)

_RETRY_S: Final = 2


class _Kind(NamedTuple):
    """Of problem."""

    status: HTTPStatus
    name: str


_INTERNAL: Final = _Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "internal")
_KINDS: Final[Mapping[type[PixseekError], _Kind]] = {
    InputError: _Kind(HTTPStatus.BAD_REQUEST, "invalid-request"),
    PictureError: _Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable-picture"),
    TooLarge: _Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large"),
    AccessDenied: _Kind(HTTPStatus.UNAUTHORIZED, "unauthenticated"),
    Forbidden: _Kind(HTTPStatus.FORBIDDEN, "forbidden"),
    UnknownImage: _Kind(HTTPStatus.NOT_FOUND, "unknown-image"),
    NotIndexed: _Kind(HTTPStatus.CONFLICT, "not-indexed"),
    NotNow: _Kind(HTTPStatus.CONFLICT, "not-now"),
    RateLimited: _Kind(HTTPStatus.TOO_MANY_REQUESTS, "rate-limited"),
    Unavailable: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    NotReady: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready"),
    OverBudget: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "over-budget"),
    SettingsError: _Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "misconfigured"),
}
_HTTP_KINDS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "invalid-request",
    HTTPStatus.NOT_FOUND: "unknown-path",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type",
}


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fault(_Reply):
    """What is wrong with one field of a request."""

    field: str
    detail: str


class Problem(_Reply):
    """An error, in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[Fault] = []


def status_of(error: PixseekError) -> HTTPStatus:
    """The HTTP status of an error."""
    return _kind_of(error).status


def _kind_of(error: PixseekError) -> _Kind:
    """That of the nearest class in the table."""
    return next((_KINDS[kind] for kind in type(error).__mro__ if kind in _KINDS), _INTERNAL)


def retry_after(error: PixseekError) -> dict[str, str]:
    """The header that says when to come again, if that may help."""
    if isinstance(error, RateLimited):
        return _seconds(error.wait_s)
    if isinstance(error, OverBudget) and error.frees_at is not None:
        return _seconds((error.frees_at - datetime.now(UTC)).total_seconds())
    return _seconds(_RETRY_S) if isinstance(error, Unavailable) else {}


def _seconds(left_s: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(left_s)))}


def problem(
    status: HTTPStatus, detail: str, *, request_id: str, errors: Sequence[Fault] = (), kind: str | None = None
) -> Problem:
    """An error reply."""
    return Problem(
        type=f"urn:pixseek:problem:{kind or _HTTP_KINDS.get(status, _INTERNAL.name)}",
        title=status.phrase,
        status=int(status),
        detail=detail,
        request_id=request_id,
        errors=list(errors),
    )


def problem_of(error: Exception, *, request_id: str) -> Problem:
    """The reply to an error. What is not the caller's to mend has a request id to quote, and no cause."""
    kind = _kind_of(error) if isinstance(error, PixseekError) else _INTERNAL
    return problem(kind.status, _detail(error), request_id=request_id, kind=kind.name)


def _detail(error: Exception) -> str:
    if isinstance(error, OverBudget):
        until = f" before {error.frees_at:%Y-%m-%d %H:%M:%S %Z}" if error.frees_at else " soon enough"
        return f"No call to the model is free{until}. Texts that were searched for before are still answered."
    if isinstance(error, Unavailable) and not isinstance(error, NotReady):
        return "Something that the search needs does not answer. Try again in a moment."
    if isinstance(error, InputError | RateLimited | NotReady):
        return str(error)
    return "The cause is in the log, under the request id."
