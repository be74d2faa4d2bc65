"""What happens to a bucket, in order, and what befalls those who follow it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from benchmarks.chaos_parts.pictures import picture_file
from benchmarks.chaos_parts.poison import poisoned_file


class Act(StrEnum):
    """What is done to a bucket."""

    PUT = "put"
    COPY = "copy"
    MOVE = "move"
    REMOVE = "remove"


@dataclass(frozen=True)
class Content:
    """A file, and the words that the reason must hold if it is poisoned."""

    number: int
    words: str | None = None

    @cached_property
    def data(self) -> bytes:
        """Its bytes, made when they are needed."""
        return picture_file(self.number) if self.words is None else poisoned_file(self.number)

    @cached_property
    def hash(self) -> str:
        """sha256, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Operation:
    """One act. `content` is what lies under the name afterwards; None for a removal."""

    act: Act
    name: str
    content: Content | None
    source: str = ""
    """Of a copy and a move."""

    @property
    def data(self) -> bytes:
        """What lies there afterwards; nothing after a removal."""
        return b"" if self.content is None else self.content.data


class Trouble(StrEnum):
    """What is done to those who follow the bucket."""

    KILL = "kill"
    KILL_PAID = "kill paid"
    """Of one that has just got a vector from the model, and has not stored it yet."""
    RESTART = "restart"
    """Of Postgres, which ends every session and writes down what it has."""
    CRASH = "crash"
    """Of Postgres, which has to recover."""


@dataclass(frozen=True, slots=True)
class Befalls:
    """A trouble, and a time within the batches that are then under way."""

    trouble: Trouble
    after_s: float
    slot: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations, and before which of them what befalls."""

    contents: Sequence[Content]
    operations: Sequence[Operation]
    troubles: Mapping[int, Sequence[Befalls]]
