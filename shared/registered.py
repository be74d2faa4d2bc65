"""What the registry of models says, and the work that it hands out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from shared.models import EmbeddingModel, ObjectRef

ModelState: TypeAlias = Literal["building", "active", "retired", "dropped"]


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model that the index knows."""

    name: str
    dimensions: int
    state: ModelState
    vectors: int
    is_target: bool = False
    """Pictures are being brought to it."""
    is_guides: bool = False
    """The guide's clients embed with it."""
    retired_for_s: float | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the index a model covers."""

    share: float
    """Of the live pictures that did not fail for good under it; 1 for an empty index."""
    vectors: int
    missing: int
    failed: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What it takes to bring a model to all pictures."""

    images: int
    calls: int
    """The same bytes take one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A picture that was handed out, and is nobody else's for a while."""

    image_id: int
    ref: ObjectRef
    ordering_key: str
    """As the index knows it."""
    content_hash: str | None
    """Of the bytes that the index knows; None when they were never read."""


class ModelRegistry(Protocol):
    """The models of an index. Every method raises `Unavailable` when the database does not answer."""

    def aim(self, model: EmbeddingModel) -> ModelState:
        """Register a model, and make it the one that pictures are brought to if it is being built.

        Raises `NotNow` while pictures are being brought to another.
        """

    def models(self) -> Sequence[RegisteredModel]:
        """All, the oldest first."""

    def coverage(self, model: str) -> Coverage:
        """How much of the index a model covers. Raises `SettingsError` for an unknown one."""

    def estimate(self, model: str | None) -> Estimate:
        """What it takes to bring a model to all pictures; None is one that the index does not know yet."""

    def activate(self, model: str, *, least_coverage: float) -> None:
        """Make a model the one that searches use; that of before comes back whatever it covers.

        Raises `NotNow` when it does not cover the index, `SettingsError` for an unknown one.
        """

    def drop(self, model: str) -> None:
        """Remove a model's vectors. Raises `NotNow` for the active one."""

    def claim(
        self, model: str, count: int, *, lease_s: int, buckets: Collection[str] = ()
    ) -> Sequence[Claim]:
        """Up to so many pictures without a model's vector, leased to the caller; of some buckets, or all."""

    def give_back(self, claims: Sequence[Claim], *, model: str) -> None:
        """Leave claims to whoever comes next, with the tries that they had before."""

    def asked_most(self, model: str, count: int) -> Sequence[str]:
        """The texts that are asked most among those that a model does not remember."""
