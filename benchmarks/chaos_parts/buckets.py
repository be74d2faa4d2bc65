"""Buckets that tell what happens to them, and what is in them at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.chaos_parts.plan import Operation


@dataclass(frozen=True, slots=True)
class Message:
    """An event as its receiver gets it, and the objects that it tells of."""

    body: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object as it is now."""

    name: str
    version: str
    """As the index should have it."""
    data: bytes


class Bucket(Protocol):
    """One flavour's bucket, and the one with its previews."""

    @property
    def name(self) -> str:
        """The bucket's."""

    def apply(self, operation: Operation) -> Sequence[Message]:
        """Do it, and tell of it."""

    def objects(self) -> Iterator[BucketObject]:
        """All that are in the bucket."""

    def previews(self) -> Iterator[BucketObject]:
        """All that are in the bucket of its previews."""
