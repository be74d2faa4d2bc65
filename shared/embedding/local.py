"""What models on this machine have in common: they load late, use all cores, and work in parts."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from shared.errors import PixseekError, Unavailable
from shared.models import Vector
from shared.ports import View

_Loaded = TypeVar("_Loaded")
_Item = TypeVar("_Item")


class Once(Generic[_Loaded]):
    """Something loaded on first use, after a server has forked its workers; once, whatever threads ask for
    it.
    """

    def __init__(self, load: Callable[[], _Loaded]) -> None:
        self._load = load
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    def get(self) -> _Loaded:
        """The loaded thing. Raises what the loading raises, and then tries again the next time."""
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded


def cores() -> int:
    """Those that this process may use; macOS does not tell, and has all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def runs(items: Sequence[_Item], size: int, deadline: float) -> Iterator[Sequence[_Item]]:
    """In parts of that size; a part that has begun is not stopped, the next one is.

    Raises `Unavailable` once the deadline has passed.
    """
    for start in range(0, len(items), size):
        if time.monotonic() > deadline:
            raise Unavailable("no time is left to embed the rest")
        yield items[start : start + size]


def embed_runs(
    views: Sequence[View], size: int, deadline: float, embed: Callable[[Sequence[View]], list[Vector]]
) -> list[Vector | PixseekError]:
    """One result a view, in order. A part succeeds or fails as one.

    What stops a part, no time or wrong weights, would stop all that come after it: they share its error.
    """
    embedded: list[Vector | PixseekError] = []
    try:
        for run in runs(views, size, deadline):
            embedded += embed(run)
    except PixseekError as exc:
        # Without its frames, which hold the views.
        embedded += [exc.with_traceback(None)] * (len(views) - len(embedded))
    return embedded
