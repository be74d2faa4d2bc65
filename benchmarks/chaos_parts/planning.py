"""Draws a plan from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from benchmarks.chaos_parts.plan import Act, Befalls, Content, Operation, Plan, Trouble
from benchmarks.chaos_parts.poison import KINDS, words_of

_EVENTS_A_NAME: Final = 5
_PICTURES_A_NAME: Final = 1.5
_FRESH: Final = 0.4
"""Of the writes, as long as there are pictures that were never used."""
_KEPT: Final = 0.7
"""Of the poisoned ones: nothing happens to them any more."""
_EVENTS_A_KILL: Final = 160


@dataclass(slots=True)
class _Drawing:
    """A plan while it is made: what lies where, and what is to come."""

    random: Random
    names: Sequence[str]
    fresh: list[Content]
    events_of_a_move: int
    told: int = 0
    """Events so far."""
    used: list[Content] = field(default_factory=list)
    there: dict[str, Content] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    operations: list[Operation] = field(default_factory=list)
    later: list[tuple[int, str, Content]] = field(default_factory=list)
    """Writes that are due once there are so many operations."""

    def put(self, name: str, content: Content) -> None:
        self.there[name] = content
        self._do(Operation(Act.PUT, name, content))

    def put_soon(self, name: str, content: Content) -> None:
        """At once, or when others have come between."""
        due = len(self.operations) + self.random.choice((0, 0, self.random.randrange(60)))
        self.later.append((due, name, content))

    def remove(self, name: str) -> None:
        del self.there[name]
        self._do(Operation(Act.REMOVE, name, None))

    def copy_or_move(self, act: Act, source: str) -> None:
        free = [name for name in self.names if name not in self.there and name not in self.kept]
        if free:
            name = self.random.choice(free)
            content = self.there[source] if act is Act.COPY else self.there.pop(source)
            self.there[name] = content
            self._do(Operation(act, name, content, source))

    def _do(self, operation: Operation) -> None:
        self.operations.append(operation)
        self.told += self.events_of_a_move if operation.act is Act.MOVE else 1

    def content(self) -> Content:
        if self.fresh and (not self.used or self.random.random() < _FRESH):
            self.used.append(self.fresh.pop())
            return self.used[-1]
        return self.random.choice(self.used)

    def a_name(self) -> str:
        return self.random.choice([name for name in self.names if name not in self.kept])

    def step(self) -> None:
        """One operation, or a few that belong together."""
        for entry in [entry for entry in self.later if entry[0] <= len(self.operations)]:
            self.later.remove(entry)
            if entry[1] not in self.kept:
                self.put(entry[1], entry[2])
        there = [name for name in self.there if name not in self.kept]
        draw = self.random.random()
        if draw < 0.4 or not there:
            self.put(self.a_name(), self.content())
            return
        name = self.random.choice(there)
        before = self.there[name]
        if draw < 0.47:
            self.put(name, before)
        elif draw < 0.6:
            self.copy_or_move(Act.COPY, name)
        elif draw < 0.72:
            self.copy_or_move(Act.MOVE, name)
        elif draw < 0.84:
            self.remove(name)
        elif draw < 0.93:  # other bytes, and the same again
            self.put(name, self.content())
            self.put_soon(name, before)
        else:  # away, and the same again
            self.remove(name)
            self.put_soon(name, before)

    def poison(self, content: Content) -> None:
        """Over a healthy one, or where nothing was. Some come to others' names, and go."""
        name = self.a_name()
        self.put(name, content)
        if self.random.random() < _KEPT:
            self.kept.add(name)
        if self.random.random() < 0.25:
            self.copy_or_move(Act.COPY, name)


def make_plan(events: int, seed: str, *, words: Sequence[str], events_of_a_move: int) -> Plan:
    """Operations that tell of so many events, on a fifth as many names, which hold the words."""
    random = Random(seed)  # noqa: S311 -- a plan, no secret
    count = max(len(KINDS), events // _EVENTS_A_NAME)
    names = [f"{random.choice(('a', 'b/c', 'd e'))}/{words[n % len(words)]} {n}.jpg" for n in range(count)]
    first = random.randrange(10**6)
    fresh = [Content(1000 * first + n) for n in range(int(_PICTURES_A_NAME * count))]
    numbers = range(len(KINDS) * first, len(KINDS) * (first + 1))
    poisons = [Content(number, words_of(number)) for number in numbers]
    drawing = _Drawing(random, names, list(fresh), events_of_a_move)
    # Not among the last: what comes beside them has to be delivered too.
    due = sorted(random.sample(range(events // 20, int(events * 0.85)), len(poisons)), reverse=True)
    coming = list(poisons)
    random.shuffle(coming)
    while drawing.told < events:
        if due and drawing.told >= due[-1]:
            due.pop()
            drawing.poison(coming.pop())
        else:
            drawing.step()
    return Plan([*fresh, *poisons], drawing.operations, _troubles(random, events, len(drawing.operations)))


def _troubles(random: Random, events: int, operations: int) -> dict[int, list[Befalls]]:
    """Kills all along, and Postgres twice, once in each way."""
    kills = max(5, events // _EVENTS_A_KILL)
    kinds = [Trouble.KILL_PAID] * (kills // 2) + [Trouble.KILL] * (kills - kills // 2)
    kinds += [Trouble.RESTART, Trouble.CRASH]
    random.shuffle(kinds)
    troubles: dict[int, list[Befalls]] = {}
    for number, kind in enumerate(kinds):
        # One in each stretch, so that one has recovered before the next comes.
        at = int(operations * (0.05 + 0.9 * (number + random.random()) / len(kinds)))
        befalls = Befalls(kind, random.uniform(0, 0.6), random.randrange(1000))
        troubles.setdefault(at, []).append(befalls)
    return troubles
