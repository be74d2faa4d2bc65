"""`/auth/v1`: signing in by password, going on, signing out, and the public keys of access tokens."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.gateway.auth import sessions, users
from infra.local.gateway.auth.access_tokens import EXPIRES_IN_S, AccessTokens
from infra.local.gateway.auth.bodies import Otp, Refresh, SignIn, address, parse_auth_body
from infra.local.gateway.auth.errors import AuthError, invalid_credentials, validation_failed
from infra.local.gateway.auth.passwords import Passwords
from infra.local.gateway.auth.sessions import NotRenewed, Scope, Session
from infra.local.gateway.auth.signed_in import SignedIn, signed_in
from infra.local.gateway.database import Connection, Pool, transaction
from infra.local.gateway.headers import key_caller
from infra.local.gateway.rows import Json
from infra.local.gateway.tokens import Tokens
from infra.local.signing_keys import SigningKeys

_JWKS_S = 60  # a rotation is known that soon
_NO_STORE = {"Cache-Control": "no-store"}
_NOT_RENEWED: Final = {
    NotRenewed.UNKNOWN: ("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"),
    NotRenewed.SPENT: ("refresh_token_already_used", "Invalid Refresh Token: Already Used"),
}

_log = logging.getLogger("gateway.auth")


@asynccontextmanager
async def as_auth(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction of Auth's own. Raises `AuthError` for values that the database does not take."""
    try:
        async with transaction(pool) as connection:
            yield connection
    except psycopg.DataError as exc:
        raise validation_failed("A value holds what cannot be stored") from exc


class Auth:
    """The routes under `/auth/v1` that users call."""

    def __init__(
        self, pool: Pool, tokens: Tokens, keys: SigningKeys, passwords: Passwords, public_url: str
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._keys = keys
        self._passwords = passwords
        self._access_tokens = AccessTokens(keys, f"{public_url}/auth/v1")

    def routes(self) -> list[Route]:
        """To be mounted at `/auth/v1`."""
        return [
            Route("/.well-known/jwks.json", self._jwks, methods=["GET"]),
            Route("/token", self._token, methods=["POST"]),
            Route("/user", self._user, methods=["GET"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/otp", self._otp, methods=["POST"]),
        ]

    async def _jwks(self, _: Request) -> Response:
        """Without a key: whoever is to verify a token may have them."""
        headers = {"Cache-Control": f"public, max-age={_JWKS_S}"}
        return JSONResponse({"keys": self._keys.current().published()}, headers=headers)

    async def _token(self, request: Request) -> Response:
        key_caller(request, self._tokens)
        match request.query_params.get("grant_type"):
            case "password":
                return await self._sign_in(request)
            case "refresh_token":
                return await self._refresh(request)
            case _:
                raise AuthError(400, "invalid_credentials", "unsupported_grant_type")

    async def _sign_in(self, request: Request) -> Response:
        body = await parse_auth_body(request, SignIn)
        if not body.email:
            raise validation_failed("missing email or phone")
        async with as_auth(self._pool) as connection:
            found = await users.find_credentials(connection, body.email.strip().lower())
        if not await self._passwords.matches(body.password, found and found.password_hash) or found is None:
            raise invalid_credentials()
        if not found.is_confirmed:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        async with as_auth(self._pool) as connection:
            user = await users.mark_signed_in(connection, found.user_id)
            if user is None:
                raise invalid_credentials()
            session = await sessions.start(connection, found.user_id)
        return self._session(user, session)

    async def _refresh(self, request: Request) -> Response:
        body = await parse_auth_body(request, Refresh)
        if not body.refresh_token:
            raise validation_failed("Refresh Token required")
        async with as_auth(self._pool) as connection:
            session = await sessions.renew(connection, body.refresh_token)
            user = None
            if isinstance(session, Session):
                user = await users.find_user(connection, session.user_id)
        # Only now: an error inside would undo that the session has ended.
        if isinstance(session, NotRenewed):
            raise AuthError(400, *_NOT_RENEWED[session])
        assert user is not None  # noqa: S101 -- its session is held
        return self._session(user, session)

    async def _user(self, request: Request) -> Response:
        return JSONResponse((await self._signed_in(request)).user, headers=_NO_STORE)

    async def _logout(self, request: Request) -> Response:
        """Access tokens hold until they expire, as hosted; nothing renews them."""
        caller = await self._signed_in(request)
        scope = _scope(request) if caller.session_id else Scope.GLOBAL
        async with as_auth(self._pool) as connection:
            await sessions.end(connection, caller.id, caller.session_id, scope)
        return Response(status_code=204)

    async def _otp(self, request: Request) -> Response:
        """The same answer for everybody: it does not tell who is a user."""
        key_caller(request, self._tokens)
        address((await parse_auth_body(request, Otp)).email)
        _log.warning("a link to sign in was asked for, and nothing is mailed here: sign in with a password")
        return JSONResponse({})

    async def _signed_in(self, request: Request) -> SignedIn:
        key_caller(request, self._tokens)
        async with as_auth(self._pool) as connection:
            return await signed_in(request, self._tokens, connection)

    def _session(self, user: Json, session: Session) -> Response:
        access = self._access_tokens.issue(user, session.id)
        answer = {
            "access_token": access.text,
            "token_type": "bearer",
            "expires_in": EXPIRES_IN_S,
            "expires_at": access.expires_at,
            "refresh_token": session.refresh_token,
            "user": user,
        }
        return JSONResponse(answer, headers=_NO_STORE)


def _scope(request: Request) -> Scope:
    asked = request.query_params.get("scope") or Scope.GLOBAL
    try:
        return Scope(asked)
    except ValueError as exc:
        raise validation_failed(f"Unsupported logout scope {asked}") from exc
