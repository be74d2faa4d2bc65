"""One call of the database API, and its failures as our errors."""

import math
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, TypeVar

import httpx
from postgrest import APIError, SyncPostgrestClient
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.errors import (
    AccessDenied,
    InputError,
    NotIndexed,
    NotNow,
    PixseekError,
    SettingsError,
    Unavailable,
    UnknownImage,
)

_Reply = TypeVar("_Reply")
_DENIED = {"42501", "PGRST301", "PGRST302", "PGRST303"}
_WRONG_CLASSES = {"22", "23", "P0"}
_OUTAGE = {408, 429, *range(500, 600)}
_UNKNOWN = "42704"
_NOT_SET_UP = {"PGRST202", "42883", "42P01"}
_NOT_NOW = {"55000", "55006"}
_NO_IMAGE = "PT404"
_NO_VECTOR = "PT409"
_LEAST_S: Final = 0.001
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


class _Refusal(BaseModel):
    code: str


def call(
    client: SyncPostgrestClient,
    function: str,
    arguments: Mapping[str, object],
    reply: TypeAdapter[_Reply],
    deadline: float = math.inf,
) -> _Reply:
    """Within the client's timeout, and the deadline (`time.monotonic`).

    Raises `AccessDenied`, `InputError`, `SettingsError`, `Unavailable`.
    """
    _deadline.set(deadline)
    try:
        # postgrest types arguments as text; its wire format is any JSON.
        answer = client.rpc(function, dict(arguments)).execute()  # type: ignore[arg-type]
        return reply.validate_python(answer.data)
    except APIError as exc:
        raise _translated(exc) from exc
    except httpx.HTTPError as exc:
        raise Unavailable(f"the database does not answer ({function})") from exc
    except ValidationError as exc:
        raise SettingsError(f"{function} answered in an unknown form: are all migrations applied?") from exc


def limit_time(request: httpx.Request) -> None:
    """postgrest has no timeout of a call's own."""
    left_s = max(_LEAST_S, _deadline.get() - time.monotonic())
    timeouts = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {
        what: left_s if timeout_s is None else min(timeout_s, left_s) for what, timeout_s in timeouts.items()
    }


def refuse_outage(response: httpx.Response) -> None:
    """What stands before PostgREST answers without a code, so that only the status tells an outage from a
    wrong key, and postgrest does not keep the status."""
    if response.status_code in _OUTAGE and not _is_refusal(response):
        raise Unavailable(f"the database API answered {response.status_code}")


def _is_refusal(response: httpx.Response) -> bool:
    """PostgREST answers 500 as well to what a function of ours does not allow now."""
    try:
        return _Refusal.model_validate_json(response.read()).code in _NOT_NOW
    except ValidationError:
        return False


def _translated(error: APIError) -> PixseekError:
    code = error.code or ""
    if code in _DENIED or not code:  # the gateway refuses a key without a code
        return AccessDenied(error.message or "the database refuses this caller")
    if code == _UNKNOWN:
        return SettingsError(f"{error.message}. {error.hint or ''}".strip())
    if code in _NOT_SET_UP:
        return SettingsError(f"the database is not set up: {error.message}")
    if code == _NO_IMAGE:
        return UnknownImage(error.message or "unknown image")
    if code == _NO_VECTOR:
        return NotIndexed(error.message or "the image has no vector yet")
    if code in _NOT_NOW:
        return NotNow(f"{error.message}. {error.hint or ''}".strip())
    if code[:2] in _WRONG_CLASSES:
        return InputError(error.message or "the database refuses this input")
    return Unavailable(f"the database answered {code}")
