"""What clients ask Auth for, in JSON."""

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from infra.local.gateway.auth.errors import AuthError, validation_failed

_MOST_BYTES = 1024 * 1024
_MOST_ADDRESS = 255
_ADDRESS = re.compile(r"[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+")
_Body = TypeVar("_Body", bound=BaseModel)


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class SignIn(_Asked):
    """By address and password."""

    email: str = ""
    password: str = ""


class Refresh(_Asked):
    """A session is to go on."""

    refresh_token: str = ""


class Otp(_Asked):
    """A link to sign in is to be mailed."""

    email: str = ""


class Create(_Asked):
    """A user, as the service adds one. What is not served is refused: it would be ignored."""

    model_config = ConfigDict(extra="forbid")

    email: str = ""
    password: str | None = None
    email_confirm: bool = False
    app_metadata: dict[str, object] = Field(default_factory=dict)
    user_metadata: dict[str, object] = Field(default_factory=dict)


class Delete(_Asked):
    """How a user is to go."""

    should_soft_delete: bool = False


async def parse_auth_body(request: Request, model: type[_Body]) -> _Body:
    """The request's JSON body; none is an empty one. Raises `AuthError` that names the first wrong field."""
    try:
        return model.model_validate_json(await _read(request) or b"{}")
    except ValidationError as exc:
        error = exc.errors(include_input=False)[0]
        if error["type"] == "json_invalid":
            raise AuthError(400, "bad_json", "Could not parse request body as JSON") from None
        place = "/".join(["body", *map(str, error["loc"])])
        raise validation_failed(f"{place}: {error['msg']}") from None


def address(email: str) -> str:
    """An address as it is kept: addresses that differ in case are one. Raises `AuthError`."""
    wanted = email.strip().lower()
    if len(wanted) > _MOST_ADDRESS or not _ADDRESS.fullmatch(wanted):
        raise validation_failed("Unable to validate email address: invalid format")
    return wanted


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise AuthError(413, "validation_failed", f"The body exceeds {_MOST_BYTES} bytes")
    return bytes(body)
