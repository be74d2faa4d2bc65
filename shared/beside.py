"""Work beside the work: what a request need not wait for one after the other."""

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from shared.errors import Unavailable

_Result = TypeVar("_Result")
# Each of as many requests as a process has threads for wants up to four; what hangs keeps some more.
_AT_ONCE: Final = 320


def start(act: Callable[[], _Result]) -> Future[_Result]:
    """Begin something in a thread."""
    return _threads().submit(act)


def outcome(begun: Future[_Result], *, deadline: float, of: str) -> _Result:
    """What it came to, or its error. Raises `Unavailable` when that is later than the deadline."""
    left_s = None if deadline == math.inf else max(0.0, deadline - time.monotonic())
    try:
        return begun.result(left_s)
    except TimeoutError as exc:
        if begun.done():  # at the last moment, or it is its own error
            return begun.result()
        begun.cancel()  # what has not begun is not to happen after all
        raise Unavailable(f"{of} did not come in time") from exc


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="beside")
