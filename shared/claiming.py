"""Pictures that the database hands out, a batch at a time: read, embedded, stored."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from shared import images
from shared.errors import (
    InputError,
    ObjectGone,
    ObjectRefused,
    OverBudget,
    PixseekError,
    SettingsError,
    Unavailable,
)
from shared.finishing import Work, embed, keep
from shared.looking import Look, look
from shared.models import Change, ImageRecord, ObjectEvent, Recorded, Standing
from shared.ports import Embedder, ImageIndex, ObjectStore
from shared.registered import Claim, ModelRegistry

BATCH: Final = 32
LEASE_S: Final = 120
"""Longer than a batch takes. The pictures of a killed worker are handed out again after it."""
_STORING_S: Final = 15
_FEW: Final = 3
_PLAIN: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000008000000080800000000e164e157000000104944415478da636c608000"
    "26068a180026080090b5310a910000000049454e44ae426082"
)
"""A PNG, grey all over."""


class Followed(Protocol):
    """What became of an event's object."""

    @property
    def standing(self) -> Standing | None:
        """Where it stands, if there was an answer."""

    @property
    def error(self) -> PixseekError | None:
        """Why it is not done with."""

    @property
    def embedded(self) -> bool:
        """Whether a model was called for it."""


Follow = Callable[[Sequence[ObjectEvent]], Sequence[Followed]]
"""Makes the index follow objects that are others than it knows."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a batch."""

    indexed: int
    failed: int
    """For good, with their reasons on record."""
    later: int
    """To be handed out again."""
    calls: int
    """Pictures that a model was asked for."""

    @property
    def pictures(self) -> int:
        """In all."""
        return self.indexed + self.failed + self.later


@dataclass(frozen=True, slots=True)
class Worker:
    """Works on what is handed out. Threads may share one."""

    embedder: Embedder
    store: ObjectStore
    index: ImageIndex
    registry: ModelRegistry
    follow: Follow
    buckets: Collection[str] = ()
    begin_by: float = math.inf
    deadline: float = math.inf
    """For the model's answers; both of `time.monotonic`."""

    def work(self, most: int = BATCH) -> Done | None:
        """Do a batch of at most so many pictures; None when nothing is handed out.

        What hinders all of them alike costs none of them a try: they are given back, and it is raised
        (`Unavailable`, `OverBudget`, `SettingsError`).
        """
        claims = self.registry.claim(
            self.embedder.model.name, min(most, BATCH), lease_s=LEASE_S, buckets=self.buckets
        )
        if not claims:
            return None
        looks = self._look(claims)
        self._raise_if_common([found.error for found in looks], claims)
        self._raise_if_emptied(looks, claims)
        hashes = {claim.ref: claim.content_hash for claim in claims}
        works = [
            _work(found, found.image)
            for found in looks
            if found.image and found.image.content_hash == (hashes[found.event.ref] or "")
        ]
        seen = [work for work in works if work.look.view is not None]
        # What has no permit by then is given back: the lease must not end before it is embedded.
        deadline = min(self.deadline, time.monotonic() + LEASE_S - _STORING_S)
        embed(seen, self.embedder, deadline)
        vectors = [work.vector for work in seen]
        if not self._is_theirs(vectors, deadline):
            self._raise_if_common(vectors, claims)
        keep(works, index=self.index, model=self.embedder.model.name, deadline=self.deadline)
        changed = self._changed(looks, works)
        followed = self.follow(changed) if changed else []
        unread = sum(_is_outage(found.error) for found in looks)
        calls = len(seen) + sum(outcome.embedded for outcome in followed)
        return _done(works, followed, unread, calls=calls)

    def _look(self, claims: Sequence[Claim]) -> list[Look]:
        events = [
            ObjectEvent(claim.ref, Change.WRITTEN, claim.ordering_key, is_of_sweep=True) for claim in claims
        ]
        looks = look(
            events, store=self.store, embedder=self.embedder, with_previews=False, begin_by=self.begin_by
        )
        return list(looks)

    def _changed(self, looks: Iterable[Look], works: Iterable[Work]) -> list[ObjectEvent]:
        """Objects that are not as the index knows them, or cannot be read."""
        kept = {work.look.event.ref for work in works}
        return [found.event for found in looks if found.event.ref not in kept and not _is_outage(found.error)]

    def _is_theirs(self, outcomes: Sequence[object], deadline: float) -> bool:
        """Whether a plain picture gets a vector where none of these does: then they use up their tries, or
        they would be handed out, and hold up the switch, for ever.
        """
        is_outage = [isinstance(it, Unavailable) and not isinstance(it, OverBudget) for it in outcomes]
        if not outcomes or not all(is_outage):
            return False
        with images.one_at_a_time:
            view = self.embedder.view(images.decode(_PLAIN))
        [plain] = self.embedder.embed_views([view], deadline=deadline)
        return not isinstance(plain, PixseekError)

    def _raise_if_common(self, outcomes: Sequence[object], claims: Sequence[Claim]) -> None:
        errors = [it for it in outcomes if isinstance(it, PixseekError) and _is_outage(it)]
        if errors and len(errors) == len(outcomes):
            self.registry.give_back(claims, model=self.embedder.model.name)
            raise errors[0]

    def _raise_if_emptied(self, looks: Sequence[Look], claims: Sequence[Claim]) -> None:
        """A bucket that is not there looks like one that was emptied. An audit lists it, and asks."""
        gone = sum(isinstance(found.error, ObjectGone) for found in looks)
        if gone > _FEW and 2 * gone > len(looks):
            self.registry.give_back(claims, model=self.embedder.model.name)
            raise SettingsError(
                f"{gone} of {len(looks)} pictures are gone from {looks[0].event.ref.bucket!a} and others: is "
                "that where they lie? `pixseek audit` compares, and removes what is gone"
            )


def _work(found: Look, image: ImageRecord) -> Work:
    work = Work(found, image, Recorded(Standing.PENDING), Standing.PENDING)
    if image.reason is not None:
        work.vector = InputError(image.reason)
    return work


def _is_outage(outcome: object) -> bool:
    """An error that is no fault of the picture."""
    return isinstance(outcome, PixseekError) and not isinstance(
        outcome, InputError | ObjectGone | ObjectRefused
    )


def _done(works: Sequence[Work], followed: Sequence[Followed], unread: int, *, calls: int) -> Done:
    outcomes: list[Work | Followed] = [*works, *followed]
    # Also for an outage: it was the last try.
    failed = sum(outcome.standing is Standing.FAILED for outcome in outcomes)
    indexed = sum(
        outcome.error is None and outcome.standing not in {Standing.FAILED, Standing.PENDING}
        for outcome in outcomes
    )
    return Done(indexed, failed, len(outcomes) - failed - indexed + unread, calls)
