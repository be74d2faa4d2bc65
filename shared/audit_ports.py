"""What audits need of the index, and of its recall; adapters offer it."""

from collections.abc import Sequence
from typing import Protocol

from shared.audits import (
    AuditedImage,
    AuditState,
    BegunAudit,
    Compared,
    PreviewFault,
    Progress,
    Question,
    Recall,
    Removal,
    RemovalCount,
)
from shared.models import ObjectEvent, ObjectRef, Recorded, StoredObject


class AuditIndex(Protocol):
    """The index as an audit of a bucket sees and mends it, and where its progress is kept.

    Names are in the order of their UTF-8 bytes. Raises `Unavailable` when the database does not answer.
    """

    def begin(self, bucket: str, *, repairs: bool) -> BegunAudit:
        """Go on with the bucket's audit, or begin one. Raises `NotNow` while somebody else is at it."""

    def keep(self, audit_id: int, progress: Progress, *, removals: Sequence[Removal] = ()) -> None:
        """Remember how far it has come, and what more is gone; nobody else may go on meanwhile."""

    def pause(self, audit_id: int) -> None:
        """Let anybody go on with it."""

    def end(self, audit_id: int, state: AuditState, *, reason: str | None = None) -> None:
        """It is over."""

    def images(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[AuditedImage]:
        """The next `limit` images of a bucket after a name, tombstones too."""

    def register(self, objects: Sequence[tuple[StoredObject, str]]) -> list[Recorded]:
        """Make objects work for whoever embeds, unless the index has learned of them since; each comes with
        the ordering key that its row had when that was seen, or an empty one.
        """

    def queue(self, bucket: str, names: Sequence[str]) -> int:
        """Make images work again, with all tries; how many."""

    def remove(self, events: Sequence[ObjectEvent]) -> list[Recorded]:
        """Take objects out of the index."""

    def removals(self, audit_id: int, *, after: str = "", limit: int = 500) -> list[Removal]:
        """The next objects of an audit's bucket that are gone."""

    def count_removals(self, audit_id: int) -> RemovalCount:
        """How many are gone, of how many."""

    def preview_faults(
        self, bucket: str, names: Sequence[str], *, after: str, until: str | None
    ) -> list[PreviewFault]:
        """What is wrong with one page of a bucket's previews, at most 1000 faults: `names` are there, all
        after one name up to another, or to the end.
        """

    def lose_previews(self, bucket: str, names: Sequence[str]) -> int:
        """Put on record that images have no preview; how many."""

    def sweep_events(self, refs: Sequence[ObjectRef]) -> list[ObjectEvent]:
        """An event for each image that is still there, upon which it is looked at again."""


class RecallIndex(Protocol):
    """The vector index beside exact search. Raises `Unavailable` when the database does not answer."""

    def sample(self, size: int) -> list[Question]:
        """Up to so many questions at random: remembered queries and stored images."""

    def compare(self, question: Question, *, count: int) -> Compared | None:
        """The `count` nearest of the index beside the exact ones; None when the question is gone."""

    def keep_recall(self, recall: Recall) -> None:
        """Remember it for the active model."""
