"""What can go wrong in Auth, in the two shapes that its clients know: the newer for those that ask for it."""

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse

API_VERSION = "X-Supabase-Api-Version"
_NEWER = "2024-01-01"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(eq=False)
class AuthError(Exception):
    """A refusal in Auth's shape."""

    status: int
    code: str
    message: str
    weak: tuple[str, ...] = ()
    """Why a password is too weak."""

    def response(self, request: Request) -> JSONResponse:
        """The answer to this request."""
        asked = request.headers.get(API_VERSION, "")
        weak = {"weak_password": {"reasons": list(self.weak)}} if self.weak else {}
        if _DATE.fullmatch(asked) and asked >= _NEWER:
            newer = {"code": self.code, "message": self.message, **weak}
            return JSONResponse(newer, self.status, {API_VERSION: _NEWER})
        older = {"code": self.status, "error_code": self.code, "msg": self.message, **weak}
        return JSONResponse(older, self.status)


def validation_failed(message: str) -> AuthError:
    """The request does not make sense."""
    return AuthError(400, "validation_failed", message)


def invalid_credentials() -> AuthError:
    """No such user, or another password: which of them is not told."""
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def bad_jwt(message: str) -> AuthError:
    """The bearer's token is none, or not a user's."""
    return AuthError(403, "bad_jwt", message)


def session_not_found() -> AuthError:
    """The session of a token was ended."""
    message = "Session from session_id claim in JWT does not exist"
    return AuthError(403, "session_not_found", message)
