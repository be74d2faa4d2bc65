"""Who calls Auth: the user of a request's token, in a session that goes on, or the service."""

import json
from typing import NamedTuple
from uuid import UUID

from starlette.requests import Request

from infra.local.gateway.auth import sessions, users
from infra.local.gateway.auth.errors import AuthError, bad_jwt, session_not_found
from infra.local.gateway.database import Connection
from infra.local.gateway.headers import bearer
from infra.local.gateway.rows import Json
from infra.local.gateway.tokens import Caller, TokenRefused, Tokens


class SignedIn(NamedTuple):
    """A user; tokens that were not signed by Auth have no session."""

    id: UUID
    session_id: UUID | None
    user: Json


async def signed_in(request: Request, tokens: Tokens, connection: Connection) -> SignedIn:
    """The user. Raises `AuthError`, also when the session was ended."""
    claims = json.loads(_caller(request, tokens).claims)
    user_id = _uuid(claims, "sub")
    if user_id is None:
        raise bad_jwt("invalid claim: missing sub claim")
    user = await users.find_user(connection, user_id)
    if user is None:
        raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
    session_id = _uuid(claims, "session_id")
    if session_id is not None and not await sessions.is_open(connection, user_id, session_id):
        raise session_not_found()
    return SignedIn(user_id, session_id, user)


def check_service(request: Request, tokens: Tokens) -> None:
    """Raises `AuthError` for all but the service key."""
    if _caller(request, tokens).role != "service_role":
        raise AuthError(403, "not_admin", "User not allowed")


def _caller(request: Request, tokens: Tokens) -> Caller:
    token = bearer(request)
    if not token:
        raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    try:
        return tokens.caller(token)
    except TokenRefused as exc:
        raise bad_jwt(f"invalid JWT: unable to parse or verify signature, {exc}") from exc


def _uuid(claims: Json, name: str) -> UUID | None:
    value = claims.get(name)
    if not value:
        return None
    try:
        return UUID(str(value))
    except ValueError as exc:
        raise bad_jwt(f"invalid claim: {name} claim must be a UUID") from exc
