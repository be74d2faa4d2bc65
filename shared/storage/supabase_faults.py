"""What Supabase Storage answers when it does not do as it is told, as our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from pydantic import BaseModel, ValidationError
from storage3.exceptions import StorageApiError

from shared.errors import AccessDenied, InputError, ObjectGone, PixseekError, SettingsError, Unavailable

_DENIED: Final = {"401", "403"}
_REFUSED: Final = {"400", "409", "413", "415"}
_MISSING: Final = "404"
_UNREADABLE: Final = "InternalError"
"""storage3's word for an answer that is not Storage's own."""


class _Problem(BaseModel):
    statusCode: str  # noqa: N815 -- Storage's name
    error: str
    message: str


@contextmanager
def answered(caller_token: str | None = None) -> Iterator[None]:
    """Around calls of Storage, with the caller's rights or our own. Raises `ObjectGone`, `InputError`,
    `AccessDenied` for a caller and `SettingsError` for us, or else `Unavailable`.
    """
    try:
        yield
    except StorageApiError as exc:
        raise _translated(exc, caller_token) from exc
    except ValidationError as exc:
        raise Unavailable("Supabase Storage answered in an unknown form") from exc
    except httpx.HTTPError as exc:
        raise Unavailable("Supabase Storage does not answer") from exc


def check(response: httpx.Response) -> httpx.Response:
    """An answer to a request of our own, told like storage3's. Raises `StorageApiError`."""
    if response.is_success:
        return response
    try:
        problem = _Problem.model_validate_json(response.read())
    except ValidationError as exc:
        raise StorageApiError("not an answer of Storage", _UNREADABLE, response.status_code) from exc
    raise StorageApiError(problem.message, problem.error, problem.statusCode)


def _translated(error: StorageApiError, caller_token: str | None) -> PixseekError:
    """Storage answers almost every error with HTTP 400; the true status is text in the body."""
    status = str(error.status)
    if status in _DENIED and caller_token is not None:
        return AccessDenied("Supabase Storage refuses this caller")
    if status in _DENIED:
        return SettingsError("Supabase Storage refuses SUPABASE_SERVICE_ROLE_KEY")
    if error.code == _UNREADABLE:  # whatever stands before it
        return Unavailable(f"Supabase Storage answered {status}")
    if status == _MISSING:
        return ObjectGone("no object of this name in the bucket")
    if status in _REFUSED:
        return InputError(f"Supabase Storage refuses it: {error.message}")
    return Unavailable(f"Supabase Storage answered {status}")
