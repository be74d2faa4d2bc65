"""`/rest/v1`: SQL functions called, and images inserted, as PostgREST does it. It serves nothing else."""

import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import NamedTuple

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local.gateway.database import Connection, Pool, become, transaction
from infra.local.gateway.errors import RestError, rest_error
from infra.local.gateway.functions import Function, call_statement, find_function
from infra.local.gateway.headers import bearer, key_caller
from infra.local.gateway.inserts import insert_rows, inserted, no_table, parse_insert
from infra.local.gateway.payloads import JSON, first_item, parse_json, rows_response, wants_object
from infra.local.gateway.tokens import Caller, ClaimsRefused, TokenRefused, Tokens

_TABLE = "images"
_SEARCH_PATH = "public, extensions"


class _Result(NamedTuple):
    rows: str
    shown: int
    total: int | None


class Rest:
    """The routes under `/rest/v1`."""

    def __init__(self, pool: Pool, tokens: Tokens) -> None:
        self._pool = pool
        self._tokens = tokens

    def routes(self) -> list[Route]:
        """To be mounted at `/rest/v1`."""
        return [
            Route("/rpc/{function}", self._call, methods=["GET", "POST"]),
            Route(f"/{_TABLE}", self._insert, methods=["POST"]),
            Route("/{path:path}", _not_served, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]),
        ]

    async def _call(self, request: Request) -> Response:
        """Call a function as the caller."""
        caller = self._caller(request)
        _check_profile(request)
        body = await _arguments(request)
        async with self._as_caller(caller, request) as connection:
            function = await find_function(connection, request.path_params["function"], body.names)
            result = await _run(connection, function, body, request)
            return _reply(request, function, result)

    async def _insert(self, request: Request) -> Response:
        """Insert into the one table as the caller."""
        caller = self._caller(request)
        _check_profile(request)
        asked = await parse_insert(request)
        async with self._as_caller(caller, request) as connection:
            result = await insert_rows(connection, _TABLE, asked)
            return inserted(request, asked, result)

    @asynccontextmanager
    async def _as_caller(self, caller: Caller, request: Request) -> AsyncIterator[Connection]:
        """A transaction. Its rights and time limits are those of the caller's role."""
        try:
            async with transaction(self._pool) as connection:
                await become(connection, caller, request, _SEARCH_PATH)
                yield connection
        except (psycopg.Error, PoolTimeout) as exc:
            raise rest_error(exc, caller.role) from exc

    def _caller(self, request: Request) -> Caller:
        """The gateway asks for a key; the bearer token, when there is one, says who is asking."""
        caller = key_caller(request, self._tokens)
        token = bearer(request)
        if token is None or token == request.headers["apikey"]:
            return caller
        return self._bearer(token)

    def _bearer(self, token: str) -> Caller:
        if not token:
            raise RestError(401, "PGRST301", "Empty JWT is sent in Authorization header")
        try:
            return self._tokens.caller(token)
        except ClaimsRefused as exc:
            raise RestError(401, "PGRST303", str(exc)) from exc
        except TokenRefused as exc:
            message = "No suitable key or wrong key type"
            raise RestError(401, "PGRST301", message, "None of the keys was able to decode the JWT") from exc


class _Arguments(NamedTuple):
    names: Collection[str]
    text: str


async def _arguments(request: Request) -> _Arguments:
    """By GET from the query, else from the body, which goes to Postgres as it came."""
    if request.method != "POST":
        given = dict(request.query_params)
        return _Arguments(given.keys(), json.dumps(given))
    if request.url.query:
        raise RestError(
            400,
            "PGRST100",
            "This gateway takes no query parameters on a POST: filters, order and limits would be ignored",
            hint="Filter inside the function, or pass the limit as an argument.",
        )
    text, arguments = parse_json(await request.body() or b"{}")
    if not isinstance(arguments, dict):
        raise RestError(400, "PGRST102", "The arguments of a function are one JSON object")
    return _Arguments(arguments.keys(), text)


def _check_profile(request: Request) -> None:
    header = "accept-profile" if request.method in {"GET", "HEAD"} else "content-profile"
    schema = request.headers.get(header, "public")
    if schema != "public":
        hint = "Only the following schemas are exposed: public"
        raise RestError(406, "PGRST106", f"Invalid schema: {schema}", hint=hint)


async def _run(connection: Connection, function: Function, body: _Arguments, request: Request) -> _Result:
    if function.read_only or request.method != "POST":
        await connection.execute("set transaction read only")
    if function.statement_timeout is not None:
        await connection.execute(
            "select set_config('statement_timeout', %s, true)", (function.statement_timeout,)
        )
    count = "count=exact" in request.headers.get("prefer", "")
    statement = call_statement(function, body.names, count=count)
    row = await (await connection.execute(statement, (body.text,))).fetchone()
    assert row is not None  # noqa: S101 -- an aggregate always answers one row
    return _Result(*row)


def _reply(request: Request, function: Function, result: _Result) -> Response:
    """Raised inside the transaction, a refused result undoes what the function did."""
    if function.returns_void:
        return Response(status_code=204)
    total = "*" if result.total is None else result.total
    span = f"0-{result.shown - 1}" if result.shown else "*"
    headers = {"Content-Range": f"{span}/{total}"}
    status = 206 if result.total is not None and result.shown < result.total else 200
    if function.returns_set or wants_object(request):
        return rows_response(request, result.rows, result.shown, status, headers)
    return Response(first_item(result.rows), status, headers, JSON)


async def _not_served(request: Request) -> Response:
    raise no_table(request.path_params["path"])
