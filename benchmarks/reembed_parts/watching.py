"""How far a model has come, as the database sees it, from moment to moment."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import psycopg

from benchmarks.reembed_parts.progress import Sample
from benchmarks.reembed_parts.running import NEXT_MODEL, Running

_EVERY_S: Final = 1.0
_CLOSELY_S: Final = 0.1
"""Where the beginning and the end are to be caught."""
_LAST: Final = 200
"""Pictures from the end: so many that it may come within a second or two."""
_TIMEOUT_MS: Final = 10_000
_STATE: Final = """
select (select count(*) from pixseek.vectors v where v.model_id = m.id),
       exists (select from pixseek.work w where w.model_id = m.id and w.leased_until > clock_timestamp()),
       m.state = 'active'
from pixseek.models m
where m.name = %s
"""


class Watch:
    """Of the model to come; a thread, until the end of the block. Goes on when the database comes back."""

    def __init__(self, running: Running) -> None:
        self._dsn = running.stack.dsn("postgres")
        self._images = running.images
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def now(self) -> Sample:
        """The latest."""
        return self.samples[-1] if self.samples else Sample(time.monotonic(), 0, False, False)

    def wait_for(
        self, condition: Callable[[Sample], bool], timeout_s: float, check: Callable[[], None]
    ) -> None:
        """Until it holds; `check` may raise meanwhile. Raises `TimeoutError`."""
        until = time.monotonic() + timeout_s
        while not condition(self.now):
            check()
            if time.monotonic() > until:
                raise TimeoutError(f"not within {timeout_s:.0f} s; the last seen: {self.now}")
            time.sleep(0.05)

    def look_once_more(self) -> None:
        """Wait for a sample that was begun after now."""
        asked_s = time.monotonic()
        self.wait_for(lambda now: now.at_s > asked_s, 60, lambda: None)

    def _run(self) -> None:
        while not self._over.is_set():
            with (
                suppress(psycopg.OperationalError, psycopg.InterfaceError),
                psycopg.connect(self._dsn, autocommit=True) as session,
            ):
                session.execute(f"set statement_timeout = {_TIMEOUT_MS}".encode())
                self._look(session)
            self._over.wait(_CLOSELY_S)

    def _look(self, session: psycopg.Connection) -> None:
        while not self._over.is_set():
            at_s = time.monotonic()
            row = session.execute(_STATE.encode(), (NEXT_MODEL,)).fetchone()
            sample = Sample(at_s, *(row or (0, False, False)))
            self.samples.append(sample)
            is_last = self._images - _LAST < sample.vectors < self._images
            is_close = is_last or (not sample.vectors and not sample.is_claimed)
            self._over.wait(_CLOSELY_S if is_close else _EVERY_S)
