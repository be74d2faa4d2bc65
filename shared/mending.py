"""Repair what an audit has found, a page at a time. What the index lacks is left to the workers to embed."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Protocol

from shared.audit_ports import AuditIndex
from shared.audits import Fault, FaultKind, Removal
from shared.batching import AT_ONCE, each, in_batches
from shared.errors import PixseekError
from shared.models import Change, ObjectEvent, ObjectRef, Recorded, Standing
from shared.ports import ObjectStore

_FOLLOWED_AT_ONCE: Final = 32
_FOLLOWING_S: Final = 60.0
"""Some that wait longer for the model are left to the workers: the audit is ours for two minutes."""
_QUEUED: Final = (FaultKind.WRONG_MODEL, FaultKind.FAILED, FaultKind.STUCK_LEASE)
_ON_RECORD: Final = {Standing.PENDING, Standing.WAITING, Standing.INDEXED, Standing.BLOCKED}
_OVERTAKEN: Final = {Standing.OUTDATED, Standing.DELETED, Standing.CHANGED}


class Followed(Protocol):
    """What became of an event."""

    @property
    def standing(self) -> Standing | None:
        """Where its picture stands; None when there was no answer."""

    @property
    def error(self) -> PixseekError | None:
        """Why it is not done with."""

    @property
    def preview_error(self) -> PixseekError | None:
        """Why its preview was not written."""


class Follow(Protocol):
    """Follows events at once: reads the objects, and writes their previews."""

    def __call__(self, events: Sequence[ObjectEvent], *, deadline: float) -> Sequence[Followed]:
        """What became of each. A model gets until the deadline (`time.monotonic`)."""


@dataclass(slots=True)
class Mended:
    """What became of some faults. Those of which nothing is said are left for the next audit."""

    repaired: Counter[FaultKind] = field(default_factory=Counter)
    refuted: list[ObjectRef] = field(default_factory=list)
    """Of what was seen at a bad moment, and is no fault by now."""
    refused: list[PixseekError] = field(default_factory=list)
    """Why some could not be repaired."""

    def settle(
        self, kind: FaultKind, ref: ObjectRef, answer: Recorded | PixseekError, good: AbstractSet[Standing]
    ) -> None:
        """By the index's answer: another than a good one means that an event was faster."""
        if isinstance(answer, PixseekError):
            self.refused.append(answer)
        elif answer.standing in good:
            self.repaired[kind] += 1
        else:
            self.refuted.append(ref)


@dataclass(frozen=True, slots=True)
class Mender:
    """What a bucket is repaired with."""

    bucket: str
    store: ObjectStore
    index: AuditIndex
    follow: Follow | None
    """None: what has to be read is left."""
    begin_by: float

    def mend(self, faults: Sequence[Fault], keep_alive: Callable[[], None]) -> Mended:
        """Repair some faults. What is gone waits until all is known.

        `keep_alive` is called now and then, as reading may take long.
        """
        kinds: defaultdict[FaultKind, list[Fault]] = defaultdict(list)
        for fault in faults:
            kinds[fault.kind].append(fault)
        mended = Mended()
        for missing in in_batches(kinds[FaultKind.MISSING], AT_ONCE):
            self._register(missing, mended)
        for kind in _QUEUED:
            for queued in in_batches(kinds[kind], AT_ONCE):
                self._queue(kind, queued, mended)
        for orphans in in_batches(kinds[FaultKind.ORPHAN_PREVIEW], AT_ONCE):
            self._delete(orphans, mended)
        self._lose([fault.ref.name for fault in kinds[FaultKind.LOST_PREVIEW] if fault.image is None])
        for some in in_batches(kinds[FaultKind.STALE] + kinds[FaultKind.LOST_PREVIEW], _FOLLOWED_AT_ONCE):
            if self.follow is None or time.monotonic() > self.begin_by:
                break
            self._read(some, self.follow, mended)
            keep_alive()
        return mended

    def remove(self, removals: Sequence[Removal]) -> Mended:
        """Take what is still gone out of the index."""
        mended = Mended()
        events = [
            ObjectEvent(
                ObjectRef(self.bucket, removal.name), Change.REMOVED, removal.ordering_key, is_of_sweep=True
            )
            for removal in removals
        ]
        gone = []
        for event, head in each(events, lambda some: self.store.heads([event.ref for event in some])):
            if isinstance(head, PixseekError):
                mended.refused.append(head)
            elif head is None:
                gone.append(event)
            else:
                mended.refuted.append(event.ref)
        answers = each(gone, self.index.remove)
        for event, answer in answers:
            mended.settle(FaultKind.ORPHANED, event.ref, answer, {Standing.DELETED})
        self._delete_old_previews(answer for _, answer in answers)
        return mended

    def _register(self, faults: Sequence[Fault], mended: Mended) -> None:
        known = [(fault.stored, _key(fault)) for fault in faults if fault.stored is not None]
        answers = each(known, self.index.register)
        for (stored, _), answer in answers:
            mended.settle(FaultKind.MISSING, stored.ref, answer, _ON_RECORD)
        self._delete_old_previews(answer for _, answer in answers)

    def _queue(self, kind: FaultKind, faults: Sequence[Fault], mended: Mended) -> None:
        def queue(names: Sequence[str]) -> Sequence[str]:
            mended.repaired[kind] += self.index.queue(self.bucket, names)
            return names

        answers = each([fault.ref.name for fault in faults], queue)
        mended.refused += [answer for _, answer in answers if isinstance(answer, PixseekError)]

    def _delete(self, faults: Sequence[Fault], mended: Mended) -> None:
        answers = each([fault.ref for fault in faults], self._deleted)
        refused = [answer for _, answer in answers if isinstance(answer, PixseekError)]
        mended.repaired[FaultKind.ORPHAN_PREVIEW] += len(answers) - len(refused)
        mended.refused += refused

    def _lose(self, names: Sequence[str]) -> None:
        """Previews whose rows say that they are there: nobody is to be given a link to them."""

        def lose(some: Sequence[str]) -> Sequence[str]:
            self.index.lose_previews(self.bucket, some)
            return some

        for some in in_batches(names, AT_ONCE):
            each(some, lose)

    def _read(self, faults: Sequence[Fault], follow: Follow, mended: Mended) -> None:
        """The same bytes keep their vector, and others are embedded. A preview is written where none is."""
        events = []
        for fault, event in each(faults, self._events):
            if isinstance(event, PixseekError):
                mended.refused.append(event)
            elif event is None:
                mended.refuted.append(fault.ref)
            else:
                events.append((fault, event))
        deadline = time.monotonic() + _FOLLOWING_S
        outcomes = follow([event for _, event in events], deadline=deadline) if events else []
        for (fault, _), outcome in zip(events, outcomes, strict=True):
            error = outcome.error or outcome.preview_error
            if outcome.standing in _OVERTAKEN:
                mended.refuted.append(fault.ref)
            elif error is None or (fault.kind is FaultKind.STALE and outcome.standing is not None):
                # What is on record as it is has its place, also when its vector is still to come.
                mended.repaired[fault.kind] += 1
            else:
                mended.refused.append(error)

    def _events(self, faults: Sequence[Fault]) -> list[ObjectEvent | None]:
        """Upon which what is wrong is looked at again; None for what is gone by now."""
        return [
            next(iter(self.index.sweep_events([fault.ref])), None)
            if fault.image is None
            else ObjectEvent(fault.ref, Change.WRITTEN, fault.image.ordering_key, is_of_sweep=True)
            for fault in faults
        ]

    def _delete_old_previews(self, answers: Iterable[Recorded | PixseekError]) -> None:
        """One that is refused is an orphan when the previews are looked at."""
        old = [answer.old_preview for answer in answers if isinstance(answer, Recorded)]
        each([preview for preview in old if preview is not None], self._deleted)

    def _deleted(self, refs: Sequence[ObjectRef]) -> Sequence[ObjectRef]:
        self.store.delete(refs)
        return refs


def _key(fault: Fault) -> str:
    return "" if fault.image is None else fault.image.ordering_key
