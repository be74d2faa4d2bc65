"""Database webhooks: each change of storage.objects posted to the function until it has answered."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple
from uuid import UUID

import httpx
import psycopg
from psycopg_pool import PoolTimeout

from infra.local.gateway.config import Settings
from infra.local.gateway.database import Pool, transaction
from infra.local.gateway.rows import Json

_AT_ONCE = 4
_ANSWER_S = 60.0
_LOOK_EVERY_S = 1.0
_LONGEST_WAIT_S = 60.0
_FINISH_S = 3.0
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


class Webhook:
    """Delivers the outbox, at least once each: a row goes when the receiver has taken it, and stays on record
    when it was refused for good or too often. No transaction is open while the receiver works."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    async def deliver(self) -> None:
        """Until cancelled; posts under way get a moment to end."""
        headers = {"x-webhook-secret": self._settings.webhook_secret.get_secret_value()}
        async with httpx.AsyncClient(headers=headers, timeout=_ANSWER_S, trust_env=False) as http:
            listening = asyncio.create_task(self._listen())
            try:
                while True:
                    await self._look(http)
            finally:
                listening.cancel()
                await self._finish()

    async def _look(self, http: httpx.AsyncClient) -> None:
        """Start what is due, then wait for news: an event, the end of a post, or a while."""
        self._news.clear()
        free = _AT_ONCE - len(self._under_way)
        try:
            due = await self._due(free) if free else []
        except (psycopg.Error, PoolTimeout) as exc:
            _log.warning("the outbox cannot be read: %s", type(exc).__name__)
            due = []
        for event in due:
            task = asyncio.create_task(self._send(http, event))
            self._under_way[event.object_id] = task
            task.add_done_callback(partial(self._ended, event.object_id))
        try:
            await asyncio.wait_for(self._news.wait(), _LOOK_EVERY_S)
        except TimeoutError:
            return

    async def _due(self, limit: int) -> list[_Event]:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(_DUE, (list(self._under_way), limit))
            return [_Event(*row) for row in await cursor.fetchall()]

    def _ended(self, object_id: UUID, _: asyncio.Task[None]) -> None:
        del self._under_way[object_id]
        self._news.set()

    async def _send(self, http: httpx.AsyncClient, event: _Event) -> None:
        try:
            status: int | None = (await http.post(self._settings.webhook_url, json=event.payload)).status_code
        except httpx.HTTPError:
            status = None
        try:
            await self._settle(event, status)
        except (psycopg.Error, PoolTimeout) as exc:
            _log.warning("event %s will be sent again: %s", event.id, type(exc).__name__)

    async def _settle(self, event: _Event, status: int | None) -> None:
        async with transaction(self._pool) as connection:
            if status is not None and 200 <= status < 300:
                await connection.execute("delete from gateway.webhook_outbox where id = %s", (event.id,))
            elif event.attempts + 1 >= _MAX_ATTEMPTS or (
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


@asynccontextmanager
async def _listening(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with connection:
        await connection.execute("listen webhook_outbox")
        yield connection
