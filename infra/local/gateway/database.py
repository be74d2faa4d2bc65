"""Transactions under a caller's role, with the settings that PostgREST and Storage both make."""

import json
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.requests import Request

from infra.local.gateway.tokens import Caller

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

_ACQUIRE_S = 5.0
# A role's own statement_timeout comes with logging in, not with SET ROLE; so it is taken over by hand.
_BECOME = """
select
  set_config('search_path', %(search_path)s, true),
  set_config('request.jwt.claims', %(claims)s, true),
  set_config('request.method', %(method)s, true),
  set_config('request.path', %(path)s, true),
  set_config('request.headers', %(headers)s, true),
  (select set_config('statement_timeout', split_part(setting, '=', 2), true)
   from pg_catalog.pg_roles r, unnest(r.rolconfig) setting
   where r.rolname = %(role)s and setting like 'statement_timeout=%%'),
  set_config('role', %(role)s, true)
"""


def make_pool(dsn: str, size: int) -> Pool:
    """A closed pool. Each connection is tried before use, so that a restarted Postgres goes unnoticed."""
    return AsyncConnectionPool(
        dsn,
        min_size=2,
        max_size=size,
        open=False,
        timeout=_ACQUIRE_S,
        kwargs={"autocommit": True},
        check=_check,
    )


async def _check(connection: Connection) -> None:
    """A server that has gone has closed its end, which can be seen without asking it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """One transaction under the pool's own role. Raises psycopg's errors, and `PoolTimeout` when all
    connections are busy."""
    connection = await _acquire(pool)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await pool.putconn(connection)


async def _acquire(pool: Pool) -> Connection:
    """A busy pool and a dead Postgres look alike from here: a connection of one's own tells them apart."""
    try:
        return await pool.getconn()
    except PoolTimeout:
        await (await AsyncConnection.connect(str(pool.conninfo))).close()
        raise


async def become(connection: Connection, caller: Caller, request: Request, search_path: str) -> None:
    """Go on with this transaction under the caller's role, claims and time limit."""
    await connection.execute(
        _BECOME,
        {
            "role": caller.role,
            "claims": caller.claims,
            "method": request.method,
            "path": request.url.path,
            "headers": json.dumps(dict(request.headers)),
            "search_path": search_path,
        },
    )
