"""Database webhooks: each change of storage.objects posted to the function until it has answered."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from uuid import UUID

import aiohttp
import psycopg
from psycopg_pool import PoolTimeout

from infra.local.gateway.config import Settings
from infra.local.gateway.database import Connection, Pool, transaction
from infra.local.gateway.rows import Json

AT_ONCE = 128  # the function gathers them into batches
_ANSWER_S = 60.0
_LOOK_EVERY_S = 1.0
_LONGEST_WAIT_S = 60.0
_FINISH_S = 3.0
_GATHER_S = 0.01  # what comes at once is sent, and settled, together
_WORTH_A_RETRY = {408, 429}
_MAX_ATTEMPTS = 100  # over an hour and a half
# The oldest event of each object that is due. The events of one object are sent in order, one at a time.
_DUE = """
select o.id, o.object_id, o.payload, o.attempts
from gateway.webhook_outbox o
where not o.given_up and o.next_attempt_at <= now() and o.object_id <> all(%s)
  and not exists (
    select from gateway.webhook_outbox e
    where e.object_id = o.object_id and e.id < o.id and not e.given_up)
order by o.id limit %s
"""
_RETRY = """
update gateway.webhook_outbox
set attempts = attempts + 1, status = %s, next_attempt_at = now() + make_interval(secs => %s)
where id = %s
"""
_GIVE_UP = (
    "update gateway.webhook_outbox set attempts = attempts + 1, status = %s, given_up = true where id = %s"
)

_log = logging.getLogger("gateway.webhook")


class _Event(NamedTuple):
    id: int
    object_id: UUID
    payload: Json
    attempts: int


class _Answered(NamedTuple):
    event: _Event
    status: int | None
    """None when there was no answer."""


class Webhook:
    """Delivers the outbox, at least once each: a row goes when the receiver has taken it, and stays on record
    when it was refused for good or too often. No transaction is open while the receiver works."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._answered: list[_Answered] = []
        self._news = asyncio.Event()

    async def deliver(self) -> None:
        """Until cancelled; posts under way get a moment to end."""
        headers = {"x-webhook-secret": self._settings.webhook_secret.get_secret_value()}
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
            listening = asyncio.create_task(self._listen())
            try:
                while True:
                    await self._look(http)
            finally:
                listening.cancel()
                await self._finish()

    async def _look(self, http: aiohttp.ClientSession) -> None:
        """Settle what was answered, start what is due, then wait for news: an event, an answer, a while."""
        self._news.clear()
        try:
            due = await self._settle_and_find_due()
        except (psycopg.Error, PoolTimeout) as exc:
            _log.warning("the outbox cannot be read: %s", type(exc).__name__)
            await asyncio.sleep(_LOOK_EVERY_S)
            return
        for event in due:
            self._under_way[event.object_id] = asyncio.create_task(self._send(http, event))
        try:
            await asyncio.wait_for(self._news.wait(), _LOOK_EVERY_S)
        except TimeoutError:
            return
        await asyncio.sleep(_GATHER_S)

    async def _settle_and_find_due(self) -> list[_Event]:
        answered = list(self._answered)
        free = AT_ONCE - len(self._under_way) + len(answered)
        async with transaction(self._pool) as connection:
            await self._settle(connection, answered)
            ended = {answer.event.object_id for answer in answered}
            still = [object_id for object_id in self._under_way if object_id not in ended]
            cursor = await connection.execute(_DUE, (still, free))
            due = [_Event(*row) for row in await cursor.fetchall()]
        # Only now: what could not be settled would be sent again while it waits for that.
        del self._answered[: len(answered)]
        for answer in answered:
            del self._under_way[answer.event.object_id]
        return due

    async def _send(self, http: aiohttp.ClientSession, event: _Event) -> None:
        status: int | None = None
        with suppress(aiohttp.ClientError, TimeoutError):
            # Not to be followed elsewhere: the secret goes with it.
            async with http.post(
                self._settings.webhook_url, json=event.payload, allow_redirects=False
            ) as answer:
                status = answer.status
        self._answered.append(_Answered(event, status))
        self._news.set()

    async def _settle(self, connection: Connection, answered: Sequence[_Answered]) -> None:
        taken = [event.id for event, status in answered if status is not None and 200 <= status < 300]
        await connection.execute("delete from gateway.webhook_outbox where id = any(%s)", (taken,))
        for event, status in answered:
            if event.id in taken:
                continue
            if event.attempts + 1 >= _MAX_ATTEMPTS or (
                status is not None and 400 <= status < 500 and status not in _WORTH_A_RETRY
            ):
                _log.warning("event %s given up: the receiver answered %s", event.id, status)
                await connection.execute(_GIVE_UP, (status, event.id))
            else:
                wait_s = min(0.5 * 2.0 ** min(event.attempts, 10), _LONGEST_WAIT_S)
                await connection.execute(_RETRY, (status, wait_s, event.id))

    async def _listen(self) -> None:
        """Be told of new events at once; without it they are found a little later."""
        while True:
            try:
                async with _listening(self._settings.dsn_storage) as connection:
                    async for _ in connection.notifies():
                        self._news.set()
            except psycopg.Error:
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _finish(self) -> None:
        """What does not end in time is cancelled; its row is still there and is sent again."""
        tasks = list(self._under_way.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_FINISH_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with suppress(psycopg.Error, PoolTimeout):  # else they are sent again
            async with transaction(self._pool) as connection:
                await self._settle(connection, self._answered)


@asynccontextmanager
async def _listening(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with connection:
        await connection.execute("listen webhook_outbox")
        yield connection
