"""Deliveries on their way: each message twice, far out of order, some never; at least once, as SQS has it."""

import heapq
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final

from benchmarks.chaos_parts.buckets import Message

_NEVER: Final = 0.02
_NEAR: Final = 16
_MOST_RECEIVES: Final = 100


class Shuffled:
    """Says when each message's two deliveries are due, counted in messages that were told since."""

    def __init__(self, random: Random, *, far: int) -> None:
        self._random = random
        self._far = far
        self.told = 0
        """Messages so far."""
        self._numbers = count()
        self._due: list[tuple[int, int, Message]] = []
        self.never: list[Message] = []
        """Of which no delivery is made."""

    def tell(self, messages: Sequence[Message]) -> None:
        """What has just happened."""
        for message in messages:
            self.told += 1
            if self._random.random() < _NEVER:
                self.never.append(message)
                continue
            for _ in range(2):
                reach = self._far if self._random.random() < 0.5 else _NEAR
                due = self.told + self._random.randrange(reach)
                heapq.heappush(self._due, (due, next(self._numbers), message))

    def due(self, *, is_end: bool = False) -> list[Message]:
        """What is delivered now; at the end, all the rest."""
        messages = []
        while self._due and (is_end or self._due[0][0] <= self.told):
            messages.append(heapq.heappop(self._due)[2])
        return messages


@dataclass(eq=False, slots=True)
class Delivery:
    """One that is to be made until it is done with."""

    id: str
    message: Message
    receives: int = 0


class Deliveries:
    """A queue: what is received comes again after a while, unless it is done by then. Threads share it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._undone: set[Delivery] = set()
        self._fresh = 0
        self._visible: list[tuple[float, int, Delivery]] = []
        self._numbers = count()
        self.is_closed = False
        self.dead: list[Delivery] = []
        """Given up after very many receives."""
        self.again = 0
        """Receives beyond the first of each."""
        self.done_with = 0

    def put(self, messages: Sequence[Message]) -> None:
        """Deliveries that are due now."""
        with self._changed:
            for message in messages:
                delivery = Delivery(f"delivery-{next(self._numbers)}", message)
                self._undone.add(delivery)
                self._fresh += 1
                self._show(delivery, time.monotonic())
            self._changed.notify_all()

    def receive(self, most: int, *, hidden_s: float = math.inf) -> list[Delivery]:
        """Up to so many, as soon as there is one; they come again after `hidden_s`. None once closed."""
        with self._changed:
            while not self.is_closed:
                received = self._take(most)
                for delivery in received:
                    if hidden_s < math.inf:
                        self._show(delivery, time.monotonic() + hidden_s)
                if received:
                    self._changed.notify_all()
                    return received
                self._changed.wait(self._next_s())
            return []

    def done(self, delivery: Delivery) -> None:
        """It does not come again."""
        with self._changed:
            self.done_with += delivery in self._undone
            self._undone.discard(delivery)
            self._changed.notify_all()

    def retry(self, delivery: Delivery, *, after_s: float) -> None:
        """It comes again."""
        with self._changed:
            self._show(delivery, time.monotonic() + after_s)
            self._changed.notify_all()

    def wait_until_fewer(self, count: int, *, within_s: float) -> bool:
        """Whether there are fewer that nobody has received yet, by then at the latest."""
        with self._changed:
            return self._changed.wait_for(lambda: self._fresh < count, within_s)

    def wait_until_done(self, *, within_s: float) -> bool:
        """Whether nothing is left, by then at the latest."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._undone, within_s)

    def close(self) -> None:
        """Nothing is received any more."""
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    def left(self) -> list[Delivery]:
        """What is not done with, the dead not counted."""
        with self._changed:
            return list(self._undone)

    def _take(self, most: int) -> list[Delivery]:
        received: list[Delivery] = []
        while self._visible and len(received) < most and self._visible[0][0] <= time.monotonic():
            delivery = heapq.heappop(self._visible)[2]
            if delivery not in self._undone:
                continue
            if delivery.receives >= _MOST_RECEIVES:
                self._undone.discard(delivery)
                self.dead.append(delivery)
                continue
            self.again += delivery.receives > 0
            self._fresh -= delivery.receives == 0
            delivery.receives += 1
            received.append(delivery)
        return received

    def _show(self, delivery: Delivery, at_s: float) -> None:
        heapq.heappush(self._visible, (at_s, next(self._numbers), delivery))

    def _next_s(self) -> float:
        return 0.5 if not self._visible else min(0.5, max(0.001, self._visible[0][0] - time.monotonic()))
