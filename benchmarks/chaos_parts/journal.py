"""What happened while events were delivered, for those who judge the end."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.chaos_parts.plan import Content, Operation


@dataclass(frozen=True, slots=True)
class Cut:
    """A delivery, or a batch of them, whose worker was killed meanwhile. Times of `time.monotonic`, which all
    processes of a machine share."""

    worker: str
    names: frozenset[str]
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A delivery of healthy objects that its worker wants again. Times of `time.time`, as logs have them."""

    worker: str
    names: tuple[str, ...]
    began_at: float
    ended_at: float
    is_beside_poison: bool


@dataclass(slots=True)
class Journal:
    """Threads share it."""

    cuts: list[Cut] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    mates: set[str] = field(default_factory=set)
    """Healthy objects that came together with a poisoned one."""
    counts: Counter[str] = field(default_factory=Counter)
    _there: dict[str, Content] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Once more."""
        with self._lock:
            self.counts[what] += 1

    def happened(self, operation: Operation) -> None:
        """What lies where now."""
        with self._lock:
            self._there.pop(operation.source, None) if operation.act == "move" else None
            if operation.content is None:
                self._there.pop(operation.name, None)
            else:
                self._there[operation.name] = operation.content

    def poisoned(self, names: frozenset[str]) -> set[str]:
        """Those of the names under which a poisoned file lies now."""
        with self._lock:
            return {name for name in names if (found := self._there.get(name)) and found.words is not None}

    def came_together(self, names: frozenset[str]) -> set[str]:
        """Note who has a poisoned mate; returns the poisoned ones."""
        poisoned = self.poisoned(names)
        if poisoned:
            with self._lock:
                self.mates |= names - poisoned
        return poisoned
