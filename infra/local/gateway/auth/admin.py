"""`/auth/v1/admin/users`: users added, listed and removed with the service key."""

from typing import Annotated
from uuid import UUID

import psycopg
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.gateway.auth import users
from infra.local.gateway.auth.bodies import Create, Delete, address, parse_auth_body
from infra.local.gateway.auth.errors import AuthError, validation_failed
from infra.local.gateway.auth.passwords import Passwords, check_strength
from infra.local.gateway.auth.routes import as_auth
from infra.local.gateway.auth.signed_in import check_service
from infra.local.gateway.database import Pool
from infra.local.gateway.headers import key_caller
from infra.local.gateway.tokens import Tokens

_BY_EMAIL = {"provider": "email", "providers": ["email"]}


class _Paging(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Field(ge=1, le=1000)] = 50


class AuthAdmin:
    """The routes under `/auth/v1` that the service calls."""

    def __init__(self, pool: Pool, tokens: Tokens, passwords: Passwords) -> None:
        self._pool = pool
        self._tokens = tokens
        self._passwords = passwords

    def routes(self) -> list[Route]:
        """To be mounted at `/auth/v1` as the last ones: what is left over is refused by name."""
        return [
            Route("/admin/users", self._create, methods=["POST"]),
            Route("/admin/users", self._list, methods=["GET"]),
            Route("/admin/users/{user_id}", self._delete, methods=["DELETE"]),
            Route("/{path:path}", self._not_served, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]),
        ]

    async def _create(self, request: Request) -> Response:
        self._check(request)
        body = await parse_auth_body(request, Create)
        email, password = address(body.email), body.password
        if password is not None:
            check_strength(password)
        new = users.NewUser(
            email,
            None if password is None else await self._passwords.hashed(password),
            body.email_confirm,
            {**_BY_EMAIL, **body.app_metadata},
            body.user_metadata,
        )
        try:
            async with as_auth(self._pool) as connection:
                return JSONResponse(await users.add_user(connection, new))
        except psycopg.errors.UniqueViolation as exc:
            message = "A user with this email address has already been registered"
            raise AuthError(422, "email_exists", message) from exc

    async def _list(self, request: Request) -> Response:
        """By pages, with the links to the next and the last one that clients read."""
        self._check(request)
        paging = _paging(request)
        async with as_auth(self._pool) as connection:
            found = await users.list_users(connection, paging.page, paging.per_page)
        last = max(1, -(-found.total // paging.per_page))
        pages = {"next": paging.page + 1, "last": last} if paging.page < last else {"last": last}
        links = (
            f'</admin/users?page={page}&per_page={paging.per_page}>; rel="{rel}"'
            for rel, page in pages.items()
        )
        headers = {"X-Total-Count": str(found.total), "Link": ", ".join(links)}
        return JSONResponse({"users": found.users, "aud": "authenticated"}, headers=headers)

    async def _delete(self, request: Request) -> Response:
        self._check(request)
        if (await parse_auth_body(request, Delete)).should_soft_delete:
            raise validation_failed("Users are removed for good here: should_soft_delete must be false")
        try:
            user_id = UUID(request.path_params["user_id"])
        except ValueError as exc:
            raise AuthError(404, "validation_failed", "user_id must be an UUID") from exc
        async with as_auth(self._pool) as connection:
            if not await users.remove_user(connection, user_id):
                raise AuthError(404, "user_not_found", "User not found")
        return JSONResponse({})

    async def _not_served(self, request: Request) -> Response:
        key_caller(request, self._tokens)
        path = request.path_params["path"]
        message = (
            f"This gateway does not serve {request.method} /{path}: users are added with the service key"
        )
        raise AuthError(404, "not_found", message)

    def _check(self, request: Request) -> None:
        key_caller(request, self._tokens)
        check_service(request, self._tokens)


def _paging(request: Request) -> _Paging:
    """Clients send an empty number for none."""
    given = {name: value for name, value in request.query_params.items() if value}
    try:
        return _Paging.model_validate(given)
    except ValidationError as exc:
        error = exc.errors()[0]
        raise validation_failed(f"Bad Pagination Parameters: {error['loc'][0]}: {error['msg']}") from exc
