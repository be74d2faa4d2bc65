"""How far a model has come, moment by moment."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A moment."""

    at_s: float
    """When it was asked for, by `time.monotonic`."""
    vectors: int
    is_claimed: bool
    """Somebody works on some."""
    is_active: bool


def rate(samples: Sequence[Sample]) -> float:
    """Pictures a second, from the first claim to the last vector that was stored."""
    began = next(sample for sample in samples if sample.is_claimed or sample.vectors)
    most = max(sample.vectors for sample in samples)
    ended = next(sample for sample in samples if sample.vectors == most)
    return (ended.vectors - began.vectors) / (ended.at_s - began.at_s)
