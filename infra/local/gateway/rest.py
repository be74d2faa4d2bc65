"""`/rest/v1`: SQL functions called as PostgREST calls them. It serves functions only."""

import json
from collections.abc import Collection
from typing import NamedTuple, NoReturn

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.gateway.database import Connection, Pool, become, transaction
from infra.local.gateway.errors import KeyRefused, RestError, rest_error
from infra.local.gateway.functions import Function, call_statement, find_function
from infra.local.gateway.tokens import Caller, ClaimsRefused, TokenRefused, Tokens

_OBJECT = "application/vnd.pgrst.object+json"
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
            Route("/{path:path}", _functions_only, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]),
        ]

    async def _call(self, request: Request) -> Response:
        """Call a function as the caller. The rights and time limits are those of the caller's role."""
        caller = self._caller(request)
        _check_profile(request)
        body = await _arguments(request)
        name = request.path_params["function"]
        try:
            async with transaction(self._pool) as connection:
                await become(connection, caller, request, _SEARCH_PATH)
                function = await find_function(connection, name, body.names)
                result = await _run(connection, function, body, request)
                return _reply(request, function, result)
        except (psycopg.Error, PoolTimeout) as exc:
            raise rest_error(exc, caller.role) from exc

    def _caller(self, request: Request) -> Caller:
        """The gateway asks for a key; the bearer token, when there is one, says who is asking."""
        key = request.headers.get("apikey")
        if not key:
            raise KeyRefused("No API key found in request", "No `apikey` request header was found.")
        try:
            caller = self._tokens.key_caller(key)
        except TokenRefused as exc:
            hint = "Double check your Supabase `anon` or `service_role` API key."
            raise KeyRefused("Invalid API key", hint) from exc
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token == key:
            return caller
        return self._bearer(token.strip())

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
        arguments = dict(request.query_params)
        return _Arguments(arguments.keys(), json.dumps(arguments))
    if request.url.query:
        raise RestError(
            400,
            "PGRST100",
            "This gateway takes no query parameters on a POST: filters, order and limits would be ignored",
            hint="Filter inside the function, or pass the limit as an argument.",
        )
    body = await request.body()
    try:
        text = body.decode() or "{}"
        arguments = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise RestError(400, "PGRST102", "Empty or invalid json") from exc
    if not isinstance(arguments, dict):
        raise RestError(400, "PGRST102", "The arguments of a function are one JSON object")
    return _Arguments(arguments.keys(), text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


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
    if _OBJECT in request.headers.get("accept", ""):
        if result.shown != 1:
            details = f"The result contains {result.shown} rows"
            message = "Cannot coerce the result to a single JSON object"
            raise RestError(406, "PGRST116", message, details)
        return Response(_first(result.rows), status, headers, f"{_OBJECT}; charset=utf-8")
    content = result.rows if function.returns_set else _first(result.rows)
    return Response(content, status, headers, "application/json; charset=utf-8")


def _first(rows: str) -> str:
    """The only item of a JSON array."""
    return rows.strip()[1:-1].strip()


async def _functions_only(request: Request) -> JSONResponse:
    path = request.path_params["path"]
    hint = "This gateway serves functions only: POST /rest/v1/rpc/<function>."
    raise RestError(
        404, "PGRST205", f"Could not find the table 'public.{path}' in the schema cache", hint=hint
    )
