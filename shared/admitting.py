"""Requests, counted beside the work that answers them."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from shared.beside import outcome, start
from shared.errors import RateLimited
from shared.ports import RequestCounter

_MOST_REFUSED: Final = 10_000


class Unlimited:
    """For who may ask as often as they like."""

    def wait(self) -> None:
        """At once."""


class Refused:
    """Callers who were told to wait: until then their requests cost nothing any more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def check(self, caller: str) -> None:
        """Raises `RateLimited`."""
        left_s = self._until.get(caller, -math.inf) - self._clock()
        if left_s > 0:
            raise RateLimited(left_s)

    def keep(self, caller: str, wait_s: float) -> None:
        """Let a caller wait."""
        if len(self._until) >= _MOST_REFUSED:
            self._until.clear()
        self._until[caller] = self._clock() + wait_s


class Counted:
    """An `Admission` that is asked for at once, and waited for when it is needed."""

    def __init__(
        self, counter: RequestCounter, caller: str, *, per_minute: int, deadline: float, refused: Refused
    ) -> None:
        """Raises `RateLimited` for who was told to wait."""
        refused.check(caller)
        self._caller = caller
        self._refused = refused
        self._deadline = deadline
        self._begun = start(partial(counter.count_request, caller, per_minute=per_minute, deadline=deadline))

    def wait(self) -> None:
        """Return when the request may be answered. Raises `RateLimited`, `Unavailable`."""
        wait_s = outcome(self._begun, deadline=self._deadline, of="the count of requests")
        if wait_s > 0:
            self._refused.keep(self._caller, wait_s)
            raise RateLimited(wait_s)
