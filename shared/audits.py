"""What an audit compares, finds and reports: a bucket against its index, and the index's recall."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shared.models import ObjectRef, Standing, StoredObject


class FaultKind(StrEnum):
    """How an object, its row and its preview can fail to fit."""

    MISSING = "missing"
    """The object is there, and the index has no live row."""
    ORPHANED = "orphaned"
    """The index has a live row, and the object is gone."""
    STALE = "stale"
    """The index has another version of it."""
    WRONG_MODEL = "wrong_model"
    """Searchable by its row, and without a vector of the active model."""
    FAILED = "failed"
    """Given up after too many tries, which is no fault of the picture."""
    STUCK_LEASE = "stuck_lease"
    """Leased by a worker that cannot be at work any more."""
    LOST_PREVIEW = "lost_preview"
    """Searchable, and without its preview."""
    ORPHAN_PREVIEW = "orphan_preview"
    """A preview that no picture needs."""


class Stage(StrEnum):
    """What an audit is at. In this order."""

    BUCKET = "bucket"
    PREVIEWS = "previews"
    REMOVALS = "removals"
    END = "end"


class AuditState(StrEnum):
    """How an audit's run has ended."""

    DONE = "done"
    BRAKED = "braked"
    """So much is gone that somebody has to look first: nothing was removed."""
    PAUSED = "paused"
    """Out of time; the next run goes on from there."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuditedImage:
    """What the index has under a name of a bucket, as an audit compares it."""

    ref: ObjectRef
    standing: Standing
    version: str | None
    size_bytes: int | None
    ordering_key: str
    has_preview: bool
    has_vector: bool
    """Of the active model."""
    is_given_up: bool
    is_stuck: bool

    @property
    def is_live(self) -> bool:
        """Whether it is more than a tombstone."""
        return self.standing is not Standing.DELETED


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit."""

    kind: FaultKind
    ref: ObjectRef
    """The picture; of an orphan the preview."""
    stored: StoredObject | None = None
    image: AuditedImage | None = None


@dataclass(frozen=True, slots=True)
class PreviewFault:
    """A preview without its picture, or a picture without its preview."""

    kind: FaultKind
    preview: ObjectRef
    image: ObjectRef | None


@dataclass(frozen=True, slots=True)
class Removal:
    """An object of the bucket that is gone, and the ordering key that its row had when that was seen."""

    name: str
    ordering_key: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an audit has come; where it was left, it goes on."""

    stage: Stage = Stage.BUCKET
    position: str = ""
    """The last name of the stage that is done with."""
    objects: int = 0
    images: int = 0
    """Live rows of the index."""
    faults: Mapping[FaultKind, int] = field(default_factory=dict)
    examples: Mapping[FaultKind, Sequence[str]] = field(default_factory=dict)
    """Some names each."""
    repaired: Mapping[FaultKind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BegunAudit:
    """An audit that is ours to go on with."""

    audit_id: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class RemovalCount:
    """How much would be removed of how much."""

    removals: int
    live: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What a run of an audit has come to."""

    audit_id: int
    bucket: str
    state: AuditState
    progress: Progress
    reason: str | None = None
    """Why it was braked, or what could not be looked at."""
    braked: RemovalCount | None = None

    @property
    def left(self) -> Mapping[FaultKind, int]:
        """Faults that are not repaired, by kind."""
        repaired = self.progress.repaired
        return {
            kind: left
            for kind, count in self.progress.faults.items()
            if (left := count - repaired.get(kind, 0)) > 0
        }

    @property
    def is_well(self) -> bool:
        """Whether it has seen all, and nothing is left to repair."""
        return self.state is AuditState.DONE and not self.left


@dataclass(frozen=True, slots=True)
class Question:
    """A search whose exact answer is known: by a remembered query, or by a picture of the index."""

    kind: str
    id: int


@dataclass(frozen=True, slots=True)
class Compared:
    """The answer of the vector index beside the exact one."""

    expected: int
    """How many pictures the exact answer has."""
    found: int
    """How many of the index's are as near as those."""
    answered: int
    """How many the index has answered."""


@dataclass(frozen=True, slots=True)
class Recall:
    """How much of what is nearest the searches find."""

    questions: int
    recall: float
    """Of the kind of questions that find least."""
    short_share: float
    """Of the questions that had fewer answers than there are pictures."""
    floor: float
    is_alarming: bool
    reason: str | None = None
    """Why it is alarming, or says nothing."""
