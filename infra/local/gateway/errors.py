"""What can go wrong, in the two shapes that Supabase answers with: PostgREST's and Storage's."""

import json
from dataclasses import dataclass

import psycopg
from psycopg_pool import PoolTimeout
from starlette.responses import JSONResponse, Response

# PostgREST's table: an SQLSTATE decides before its class; what is in neither is the caller's mistake.
_STATUS_OF_STATE = {
    "23503": 409, "23505": 409, "25006": 405, "42883": 404, "42P01": 404, "42P17": 500, "53400": 500,
    "P0001": 400,
}  # fmt: skip
_STATUS_OF_CLASS = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500,
    "3B": 500, "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500,
    "P0": 500, "XX": 500,
}  # fmt: skip
_UNAUTHENTICATED = {"WWW-Authenticate": "Bearer"}


@dataclass(eq=False)
class RestError(Exception):
    """A refusal in PostgREST's shape."""

    status: int
    code: str
    message: str
    details: str | None = None
    hint: str | None = None

    def response(self) -> Response:
        """The answer. PostgREST always sends all four fields."""
        body = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        headers = _UNAUTHENTICATED if self.status == 401 else None
        # Escaped to ASCII: a message may quote half a surrogate pair, which no encoding takes.
        return Response(json.dumps(body), self.status, headers, "application/json; charset=utf-8")


@dataclass(eq=False)
class KeyRefused(Exception):
    """The gateway's own refusal, before PostgREST: no key or a wrong one."""

    message: str
    hint: str

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse({"message": self.message, "hint": self.hint}, 401)


@dataclass(eq=False)
class StorageError(Exception):
    """A refusal in Storage's shape. Its true status is in the body, as text."""

    status: int
    code: str
    message: str
    error: str | None = None

    def response(self) -> JSONResponse:
        """The answer. The HTTP status is 400 for nearly all that is the caller's fault."""
        body = {
            "statusCode": str(self.status), "error": self.error or self.code, "message": self.message,
            "code": self.code,
        }  # fmt: skip
        http_status = self.status if self.status in {429, 500, 544} else 400
        return JSONResponse(body, http_status)


def no_bucket() -> StorageError:
    """There is no such bucket, or none that this caller may know of."""
    return StorageError(404, "NoSuchBucket", "Bucket not found", "Bucket not found")


def no_object() -> StorageError:
    """There is no such object, or none that this caller may see."""
    return StorageError(404, "NoSuchKey", "Object not found", "not_found")


def too_large() -> StorageError:
    """The upload exceeds the bucket's limit."""
    return StorageError(
        413, "EntityTooLarge", "The object exceeded the maximum allowed size", "Payload too large"
    )


def access_denied(message: str) -> StorageError:
    """A wrong token, or row-level security."""
    return StorageError(403, "AccessDenied", message, "Unauthorized")


def invalid_request(message: str) -> StorageError:
    """The request does not make sense."""
    return StorageError(400, "InvalidRequest", message)


def rest_error(error: psycopg.Error | PoolTimeout, role: str) -> RestError:
    """What PostgREST makes of a database error."""
    if isinstance(error, PoolTimeout):
        return RestError(504, "PGRST003", "Timed out acquiring connection from connection pool.")
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:  # psycopg's own: a NUL in a text
        return RestError(400, "22021", str(error))
    if error.sqlstate is None:
        return RestError(503, "PGRST001", "Database client error. Retrying the connection.")
    message = error.diag.message_primary or str(error)
    status = _rest_status(error.sqlstate, role)
    return RestError(status, error.sqlstate, message, error.diag.message_detail, error.diag.message_hint)


def _rest_status(state: str, role: str) -> int:
    if state == "42501":
        return 401 if role == "anon" else 403
    if state.startswith("PT"):  # `raise sqlstate 'PT402'` chooses its own
        return int(state[2:]) if state[2:].isdigit() else 500
    return _STATUS_OF_STATE.get(state) or _STATUS_OF_CLASS.get(state[:2], 400)


def storage_error(error: psycopg.Error | PoolTimeout) -> StorageError:
    """What Storage makes of a database error."""
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:
        return StorageError(400, "InvalidParameter", str(error))
    if isinstance(error, PoolTimeout) or error.sqlstate in {None, "57014"}:
        return StorageError(544, "DatabaseTimeout", "The connection to the database timed out")
    message = error.diag.message_primary or ""
    match error.sqlstate:
        case "42501" if "row-level security" in message:
            return access_denied("new row violates row-level security policy")
        case "42501":
            return access_denied(message)
        case "23505":
            return StorageError(409, "ResourceAlreadyExists", "The resource already exists", "Duplicate")
        case "23503":
            return StorageError(404, "InvalidRequest", "The related resource does not exist")
        case "22P02" | "22P05":
            return StorageError(400, "InvalidParameter", message)
        case "53300":
            text = "Too many connections issued to the database"
            return StorageError(429, "SlowDown", text, "too_many_connections")
        case state:
            return StorageError(500, "DatabaseError", f"database error, code: {state}")
