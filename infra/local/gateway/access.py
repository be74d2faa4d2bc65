"""Who may ask Storage for what: the caller of a request, its transaction, and the names that are allowed."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request

from infra.local.gateway.database import Connection, Pool, become, transaction
from infra.local.gateway.errors import StorageError, access_denied, invalid_request, storage_error
from infra.local.gateway.headers import bearer
from infra.local.gateway.tokens import Caller, TokenRefused, Tokens

_SEARCH_PATH = "storage, public, extensions"

_KEY = re.compile(r"[A-Za-z0-9_/!.*'() &$=@;:+,?-]+")
_BUCKET = re.compile(r"[A-Za-z0-9_!.*'() &$=@;:+,?-]{1,100}")


def storage_caller(request: Request, tokens: Tokens) -> Caller:
    """The bearer of the request's token, or else of its key. Raises `StorageError`."""
    token = bearer(request)
    if token is None:
        token = request.headers.get("apikey", "")
    if not token:
        raise invalid_request("headers must have required property 'authorization'")
    try:
        return tokens.caller(token)
    except TokenRefused as exc:
        raise access_denied(str(exc)) from exc


def known_caller(request: Request, tokens: Tokens) -> Caller | None:
    """The caller, or None for a missing or wrong token, where public objects are served all the same."""
    try:
        return storage_caller(request, tokens)
    except StorageError:
        return None


@asynccontextmanager
async def as_owner(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that no policy limits. Raises `StorageError` for the database's errors."""
    try:
        async with transaction(pool) as connection:
            yield connection
    except (psycopg.Error, PoolTimeout) as exc:
        raise storage_error(exc) from exc


@asynccontextmanager
async def as_caller(pool: Pool, caller: Caller, request: Request) -> AsyncIterator[Connection]:
    """A transaction within the caller's rights. Raises `StorageError` for the database's errors."""
    async with as_owner(pool) as connection:
        await go_on_as(connection, caller, request)
        yield connection


async def go_on_as(connection: Connection, caller: Caller, request: Request) -> None:
    """From here on, the transaction has the caller's rights only."""
    await become(connection, caller, request, _SEARCH_PATH)


def check_key(name: str) -> str:
    """An allowed object name. Raises `StorageError`."""
    segments = name.split("/")
    if not _KEY.fullmatch(name) or "." in segments or ".." in segments:
        raise StorageError(400, "InvalidKey", f"Invalid key: {name}")
    return name


def check_bucket_name(name: str) -> str:
    """An allowed name of a new bucket. Raises `StorageError`."""
    if not _BUCKET.fullmatch(name) or name != name.strip():
        raise StorageError(400, "InvalidBucketName", "Bucket name invalid", "Invalid Input")
    return name
