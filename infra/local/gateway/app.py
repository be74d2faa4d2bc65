"""The gateway's app: its routes, its errors, and what runs while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import psycopg
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from infra.local.gateway.auth.admin import AuthAdmin
from infra.local.gateway.auth.errors import API_VERSION, AuthError
from infra.local.gateway.auth.passwords import Passwords
from infra.local.gateway.auth.routes import Auth
from infra.local.gateway.buckets import Buckets
from infra.local.gateway.config import Settings
from infra.local.gateway.database import Pool, make_pool, transaction
from infra.local.gateway.downloads import Downloads
from infra.local.gateway.errors import KeyRefused, RestError, StorageError
from infra.local.gateway.files import Files
from infra.local.gateway.lists import Lists
from infra.local.gateway.rest import Rest
from infra.local.gateway.rows import versions
from infra.local.gateway.storage import Storage
from infra.local.gateway.tokens import Tokens
from infra.local.gateway.webhook import Webhook
from infra.local.signing_keys import SigningKeys

_POOL_SIZE = 10
_READABLE = [API_VERSION, "X-Total-Count", "Link"]
"""By scripts of other pages: without the first, Auth's client cannot tell one error from another."""


def make_app(settings: Settings) -> Starlette:
    """The whole gateway as one ASGI app; its lifespan opens the database and delivers webhooks."""
    keys = SigningKeys(settings.signing_keys_file)
    tokens = Tokens(settings.jwt_secret, keys)
    passwords = Passwords()
    files = Files(settings.files_dir)
    rest_pool = make_pool(settings.dsn_authenticator, _POOL_SIZE)
    storage_pool = make_pool(settings.dsn_storage, _POOL_SIZE)
    auth_pool = make_pool(settings.dsn_auth, _POOL_SIZE)
    auth = Auth(auth_pool, tokens, keys, passwords, settings.public_url)
    auth_admin = AuthAdmin(auth_pool, tokens, passwords)
    buckets = Buckets(storage_pool, tokens, files)
    downloads = Downloads(storage_pool, tokens, files)
    lists = Lists(storage_pool, tokens)
    storage = Storage(storage_pool, tokens, files, settings.file_size_limit_bytes)
    webhook = Webhook(settings, storage_pool)

    async def health(_: Request) -> Response:
        async with transaction(rest_pool) as connection:
            await connection.execute("select 1")
        return JSONResponse({"status": "ok"})

    def lifespan(_: Starlette) -> AbstractAsyncContextManager[None]:
        return _running(rest_pool, storage_pool, auth_pool, files, webhook)

    return Starlette(
        routes=[
            Route("/health", health),
            Mount("/rest/v1", routes=Rest(rest_pool, tokens).routes()),
            Mount("/auth/v1", routes=[*auth.routes(), *auth_admin.routes()]),
            Mount(
                "/storage/v1",
                routes=[*buckets.routes(), *downloads.routes(), *lists.routes(), *storage.routes()],
            ),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=_READABLE,
            )
        ],
        exception_handlers={
            RestError: _answer,
            KeyRefused: _answer,
            StorageError: _answer,
            AuthError: _answer_auth,
            ClientDisconnect: _nobody_listens,
            psycopg.OperationalError: _unavailable,
            PoolTimeout: _unavailable,
        },
        lifespan=lifespan,
    )


@asynccontextmanager
async def _running(
    rest_pool: Pool, storage_pool: Pool, auth_pool: Pool, files: Files, webhook: Webhook
) -> AsyncIterator[None]:
    async with rest_pool, storage_pool, auth_pool:
        async with transaction(storage_pool) as connection:
            files.sweep(await versions(connection))
        delivering = asyncio.create_task(webhook.deliver())
        try:
            yield
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])


async def _answer(_: Request, error: Exception) -> Response:
    assert isinstance(error, RestError | KeyRefused | StorageError)  # noqa: S101 -- registered for these
    return error.response()


async def _answer_auth(request: Request, error: Exception) -> Response:
    assert isinstance(error, AuthError)  # noqa: S101 -- registered for it
    return error.response(request)


async def _nobody_listens(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


async def _unavailable(_: Request, __: Exception) -> Response:
    return JSONResponse({"status": "the database does not answer"}, 503)
