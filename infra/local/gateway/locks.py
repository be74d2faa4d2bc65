"""One writer at a time for each object."""

from asyncio import Lock
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from infra.local.gateway.rows import ObjectKey


class ObjectLocks:
    """Held around a transaction, so that it begins after the one before has ended: `updated_at` is the time
    of a transaction's begin, and a later write has to have a later one."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[ObjectKey, Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, *keys: ObjectKey) -> AsyncIterator[None]:
        """Wait for all of them, in one order for all."""
        async with AsyncExitStack() as held:
            for key in sorted(set(keys)):
                await held.enter_async_context(self._locks.setdefault(key, Lock()))
            yield
