"""The bar of pictures that are being embedded."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from shared.claiming import Done

_COLUMNS: Final = (
    TextColumn("embedded"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[failed]} failed, {task.fields[rate]:.1f}/s"),
    TimeRemainingColumn(),
)


class EmbeddingBar:
    """Done, failed, rate and time left. Threads share it."""

    def __init__(self, bars: Progress, total: int) -> None:
        self._bars = bars
        self._task: TaskID = bars.add_task("", total=total, failed=0, rate=0.0)
        self._lock = threading.Lock()
        self._started = self._moved_at = time.monotonic()
        self._pictures = self._failed = 0
        self.calls = 0

    @property
    def idle_s(self) -> float:
        """Since anything was done."""
        return time.monotonic() - self._moved_at

    def add(self, done: Done) -> None:
        """A batch is done."""
        with self._lock:
            self._moved_at = time.monotonic()
            self._pictures += done.indexed + done.failed
            self._failed += done.failed
            self.calls += done.calls
            rate = self._pictures / max(0.001, self._moved_at - self._started)
            self._bars.update(self._task, completed=self._pictures, failed=self._failed, rate=rate)


@contextmanager
def embedding_bar(console: Console, total: int) -> Iterator[EmbeddingBar]:
    """Of so many pictures."""
    with Progress(*_COLUMNS, console=console) as bars:
        yield EmbeddingBar(bars, total)
