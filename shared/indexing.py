"""Make the index follow the bucket, a batch of events at a time."""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shared.errors import InputError, ObjectGone, ObjectRefused, PixseekError, Unavailable
from shared.finishing import Work, answers, delete_previews, finish
from shared.looking import Look, look, printable
from shared.models import Change, ObjectEvent, ObjectRef, Recorded, Standing
from shared.ports import Embedder, ImageIndex, ObjectStore

BATCH: Final = 32
"""Objects that share the calls to the database."""
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event's object."""

    standing: Standing | None = None
    """None when there was no answer."""
    reason: str | None = None
    """Why it failed."""
    embedded: bool = False
    """Whether a model was called for it."""
    error: PixseekError | None = None
    """Why the event is not done with."""
    preview_error: PixseekError | None = None
    """Why its preview was not written, or an old one not deleted; a sweep does it."""

    @property
    def is_worth_a_retry(self) -> bool:
        """Whether the event should come again; else it is done with, or wrong for good."""
        return self.error is not None and not isinstance(self.error, InputError)


def apply(
    events: Sequence[ObjectEvent],
    *,
    store: ObjectStore,
    embedder: Embedder,
    index: ImageIndex,
    with_previews: bool = True,
    begin_by: float = math.inf,
    deadline: float = math.inf,
) -> list[Outcome]:
    """Make the index reflect some events; their outcomes in order. Safe to repeat: events come at least once.

    Storage is asked what is there now; an event says only where to look, and when. An object that can never
    be embedded is kept on record with the reason. No event fails for another's sake. Nothing new is begun
    after `begin_by`, and a model gets until the deadline (both of `time.monotonic`).
    """
    newest = list(_newest(events))
    outcomes: dict[ObjectRef, Outcome] = {}
    for start in range(0, len(newest), BATCH):
        batch = _Batch(store, embedder, index, with_previews, begin_by, deadline, outcomes)
        batch.run(newest[start : start + BATCH])
    return [outcomes[event.ref] for event in events]


def _newest(events: Iterable[ObjectEvent]) -> Iterable[ObjectEvent]:
    """The newest of each object's; of one moment the removal, which names what it removes."""
    newest: dict[ObjectRef, ObjectEvent] = {}
    for event in events:
        known = newest.setdefault(event.ref, event)
        if (known.ordering_key, known.change is Change.REMOVED) <= (
            event.ordering_key,
            event.change is Change.REMOVED,
        ):
            newest[event.ref] = event
    return newest.values()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some events, each of another object, and the ports to follow them."""

    store: ObjectStore
    embedder: Embedder
    index: ImageIndex
    with_previews: bool
    begin_by: float
    deadline: float
    outcomes: dict[ObjectRef, Outcome]

    def run(self, events: Sequence[ObjectEvent]) -> None:
        """What changes while it is looked at is looked at again."""
        for _ in range(_ROUNDS):
            if not events:
                return
            if time.monotonic() > self.begin_by:
                self._give_up(events, Unavailable("no time is left to begin with it"))
                return
            events = self._round(events)
        self._give_up(events, Unavailable("the object changes faster than it can be followed"))

    def _round(self, events: Sequence[ObjectEvent]) -> list[ObjectEvent]:
        """The events whose object is another by now."""
        gone, there = self._confirm([event for event in events if event.change is Change.REMOVED])
        looks = list(self._look([event for event in events if event.change is Change.WRITTEN] + there))
        vanished, refused = self._confirm(
            [found.event for found in looks if isinstance(found.error, ObjectGone)]
        )
        self._give_up(refused, ObjectRefused("the bucket lists the object but does not hand it out"))
        self._keep_refused(
            [found.event for found in looks if isinstance(found.error, ObjectRefused)] + refused
        )
        # The removals last: the new name of a picture that was moved finds the old one's vector.
        changed = self._record([found for found in looks if found.image is not None])
        return changed + self._remove(gone + vanished)

    def _confirm(self, events: Sequence[ObjectEvent]) -> tuple[list[ObjectEvent], list[ObjectEvent]]:
        """Those whose object is not there, and those whose is: storage has the last word."""
        gone, there = [], []
        for event, head in answers(events, lambda some: self.store.heads([event.ref for event in some])):
            if isinstance(head, PixseekError):
                self.outcomes[event.ref] = Outcome(error=head)
            elif head is None:
                gone.append(event)
            else:
                there.append(event)
        return gone, there

    def _look(self, events: Sequence[ObjectEvent]) -> Iterator[Look]:
        for found in look(
            events,
            store=self.store,
            embedder=self.embedder,
            with_previews=self.with_previews,
            begin_by=self.begin_by,
        ):
            if found.error is not None:
                self.outcomes[found.event.ref] = Outcome(error=found.error)
            yield found

    def _record(self, looks: Sequence[Look]) -> list[ObjectEvent]:
        changed, works = [], []
        for found, recorded in answers(looks, self._record_some):
            if isinstance(recorded, PixseekError):
                self.outcomes[found.event.ref] = Outcome(error=recorded)
            elif recorded.standing is Standing.CHANGED:
                changed.append(found.event)
            elif found.image is not None:
                works.append(Work(found, found.image, recorded, recorded.standing))
        finish(works, store=self.store, embedder=self.embedder, index=self.index, deadline=self.deadline)
        self.outcomes.update((work.look.event.ref, _outcome(work)) for work in works)
        return changed

    def _record_some(self, looks: Sequence[Look]) -> list[Recorded]:
        images = [found.image for found in looks if found.image is not None]
        return self.index.record(images, model=self.embedder.model.name, deadline=self.deadline)

    def _remove(self, events: Sequence[ObjectEvent]) -> list[ObjectEvent]:
        changed, old_previews = [], []
        for event, removed in answers(events, self.index.remove):
            if isinstance(removed, PixseekError):
                self.outcomes[event.ref] = Outcome(error=removed)
                continue
            if removed.standing is Standing.CHANGED:
                changed.append(event)
            self.outcomes[event.ref] = Outcome(removed.standing)
            if removed.old_preview is not None:
                old_previews.append((event.ref, removed.old_preview))
        error = delete_previews([preview for _, preview in old_previews], self.store)
        for ref, _ in old_previews:
            self.outcomes[ref] = Outcome(Standing.DELETED, preview_error=error)
        return changed

    def _keep_refused(self, events: Sequence[ObjectEvent]) -> None:
        """On record with the hint, should no later try be let in."""
        reasons: defaultdict[str, list[ObjectEvent]] = defaultdict(list)
        for event in events:
            reasons[str(self.outcomes[event.ref].error)].append(event)
        with suppress(PixseekError):  # they come again in any case
            for reason, refused in reasons.items():
                self.index.fail_unread(refused, printable(reason))

    def _give_up(self, events: Sequence[ObjectEvent], error: PixseekError) -> None:
        self.outcomes.update((event.ref, Outcome(error=error)) for event in events)


def _outcome(work: Work) -> Outcome:
    vector = work.vector
    reason = work.image.reason or (str(vector) if isinstance(vector, InputError) else None)
    return Outcome(work.standing, reason, vector is not None, work.error, work.preview_error)
