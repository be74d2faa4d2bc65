"""Calls that the spend guard has granted to this process and that are not made yet."""

import heapq
import math
import threading
import time
from collections.abc import Callable
from typing import Final

from shared.errors import OverBudget
from shared.models import Granted

_MOST_AT_ONCE: Final = 500


class Unlimited:
    """For a model that costs nothing, or one call by hand."""

    def acquire(self, *, deadline: float) -> None:
        """At once."""


class Permits:
    """Threads share it. Permits come with a batch, or are taken when there are none left."""

    def __init__(
        self,
        take: Callable[[int, float, int], Granted],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`take` asks the guard for so many permits, none later than in so many seconds, and says how many
        of before were not used in time.
        """
        self._take = take
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._unused = 0
        self._from_until: list[tuple[float, float]] = []

    def add(self, granted: Granted) -> None:
        """Keep what came with the answer that has just arrived."""
        with self._lock:
            self._add(granted)

    def acquire(self, *, deadline: float) -> None:
        """Return when one call may be made.

        Raises `OverBudget` when that is after the deadline (of the clock), or the day's budget is spent.
        """
        begins, until = self._take_one(deadline)
        self._sleep(max(0.0, begins - self._clock()))
        # On a busy machine a thread may wake too late for its permit, and takes another.
        while until < self._clock():
            begins, until = self._take_one(deadline, unused=1)
            self._sleep(max(0.0, begins - self._clock()))

    def _take_one(self, deadline: float, *, unused: int = 0) -> tuple[float, float]:
        with self._counting:
            self._waiting += 1
        with self._lock:
            self._unused += unused
            try:
                return self._next(deadline)
            finally:
                # Not after the lock: who holds it next would take a permit for us once more.
                with self._counting:
                    self._waiting -= 1

    def _next(self, deadline: float) -> tuple[float, float]:
        now = self._clock()
        while self._from_until and self._from_until[0][1] < now:
            heapq.heappop(self._from_until)
            self._unused += 1
        if not self._from_until:
            # For all that wait for the lock.
            count = min(self._waiting, _MOST_AT_ONCE)
            granted = self._take(count, max(0.0, deadline - now), self._unused)
            self._unused = 0
            self._add(granted)
            if not granted.waits_s:
                raise OverBudget(granted.frees_at)
        if self._from_until[0][0] > deadline:
            raise OverBudget
        return heapq.heappop(self._from_until)

    def _add(self, granted: Granted) -> None:
        now = self._clock()
        for wait_s in granted.waits_s:
            until = math.inf if granted.valid_s is None else now + wait_s + granted.valid_s
            heapq.heappush(self._from_until, (now + wait_s, until))
