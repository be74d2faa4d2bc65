"""Calls of many threads, answered together."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

_Call = TypeVar("_Call")
_Answer = TypeVar("_Answer")


class Gathered(Generic[_Call, _Answer]):
    """Whoever calls while others are being answered waits, and is answered together with all that wait too.

    A lone call is answered at once. Where several wait, a moment is given to more of them.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[_Call]], Sequence[_Answer]],
        *,
        most: int,
        at_once: int,
        moment_s: float = 0.05,
    ) -> None:
        """`answer` gets up to `most` calls, and runs `at_once` times side by side."""
        self._answer = answer
        self._most = most
        self._at_once = at_once
        self._moment_s = moment_s
        self._lock = threading.Lock()
        self._waiting: list[tuple[_Call, Future[_Answer]]] = []
        self._threads: ThreadPoolExecutor | None = None

    def __call__(self, call: _Call) -> _Answer:
        """The call's answer. Raises what the answering raises."""
        future: Future[_Answer] = Future()
        with self._lock:
            if self._threads is None:  # not before a server has forked
                self._threads = ThreadPoolExecutor(self._at_once, thread_name_prefix="gathered")
            self._waiting.append((call, future))
        self._threads.submit(self._answer_waiting)
        return future.result()

    def _answer_waiting(self) -> None:
        if 1 < len(self._waiting) < self._most:
            time.sleep(self._moment_s)
        with self._lock:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if not batch:
            return
        try:
            answers = self._answer([call for call, _ in batch])
        except BaseException as exc:  # noqa: BLE001 -- it belongs to those who called
            for _, future in batch:
                future.set_exception(exc)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)
