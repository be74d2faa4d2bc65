"""The rows of auth.sessions and their refresh tokens: started, renewed, ended."""

import hashlib
import secrets
from enum import Enum, StrEnum, auto
from typing import NamedTuple
from uuid import UUID

from infra.local.gateway.database import Connection

# The session before its tokens, here as in a delete: so that the two do not wait for each other.
_HOLD = """
select s.id, s.user_id from auth.sessions s
where s.id = (select t.session_id from auth.refresh_tokens t where t.token = %s) for update
"""
_SPEND = "update auth.refresh_tokens set revoked = true where token = %s and not revoked"


class Scope(StrEnum):
    """Which of a user's sessions to end."""

    GLOBAL = auto()
    LOCAL = auto()
    OTHERS = auto()


_END = {
    Scope.GLOBAL: "delete from auth.sessions where user_id = %(user_id)s",
    Scope.LOCAL: "delete from auth.sessions where user_id = %(user_id)s and id = %(session_id)s",
    Scope.OTHERS: "delete from auth.sessions where user_id = %(user_id)s and id <> %(session_id)s",
}


class Session(NamedTuple):
    """A session, with the token that renews it."""

    id: UUID
    user_id: UUID
    refresh_token: str


class NotRenewed(Enum):
    """Why there is no new token."""

    UNKNOWN = auto()
    SPENT = auto()


async def start(connection: Connection, user_id: UUID) -> Session:
    """A new one."""
    statement = "insert into auth.sessions (user_id) values (%s) returning id"
    row = await (await connection.execute(statement, (user_id,))).fetchone()
    assert row is not None  # noqa: S101 -- an insert returns its row
    return await _with_token(connection, row[0], user_id)


async def renew(connection: Connection, refresh_token: str) -> Session | NotRenewed:
    """A token works once. Whoever shows it again has a copy, or it was stolen: the session ends for both."""
    digest = _digest(refresh_token)
    held = await (await connection.execute(_HOLD, (digest,))).fetchone()
    if held is None:
        return NotRenewed.UNKNOWN
    session_id, user_id = held
    if (await connection.execute(_SPEND, (digest,))).rowcount == 0:
        await end(connection, user_id, session_id, Scope.LOCAL)
        return NotRenewed.SPENT
    await connection.execute("update auth.sessions set updated_at = now() where id = %s", (session_id,))
    return await _with_token(connection, session_id, user_id)


async def is_open(connection: Connection, user_id: UUID, session_id: UUID) -> bool:
    """Whether it is the user's, and was not ended."""
    query = "select from auth.sessions where id = %s and user_id = %s"
    return await (await connection.execute(query, (session_id, user_id))).fetchone() is not None


async def end(connection: Connection, user_id: UUID, session_id: UUID | None, scope: Scope) -> None:
    """Of the user's sessions all, this one, or all but this one."""
    await connection.execute(_END[scope], {"user_id": user_id, "session_id": session_id})


async def _with_token(connection: Connection, session_id: UUID, user_id: UUID) -> Session:
    """Only a digest is kept: who reads the table cannot renew a session."""
    token = secrets.token_urlsafe(32)
    statement = "insert into auth.refresh_tokens (token, session_id) values (%s, %s)"
    await connection.execute(statement, (_digest(token), session_id))
    return Session(session_id, user_id, token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
