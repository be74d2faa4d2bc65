"""Requests, counted beside the work that answers them."""

from functools import partial

from shared.beside import outcome, start
from shared.errors import RateLimited
from shared.ports import RequestCounter


class Unlimited:
    """For who may ask as often as they like."""

    def wait(self) -> None:
        """At once."""


class Counted:
    """An `Admission` that is asked for at once, and waited for when it is needed."""

    def __init__(self, counter: RequestCounter, caller: str, *, per_minute: int, deadline: float) -> None:
        self._deadline = deadline
        self._begun = start(partial(counter.count_request, caller, per_minute=per_minute, deadline=deadline))

    def wait(self) -> None:
        """Return when the request may be answered. Raises `RateLimited`, `Unavailable`."""
        wait_s = outcome(self._begun, deadline=self._deadline, of="the count of requests")
        if wait_s > 0:
            raise RateLimited(wait_s)
