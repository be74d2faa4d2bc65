"""The stages of an audit: the bucket, its previews, and last the removal of what is gone."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.audit_ports import AuditIndex
from shared.audits import (
    Audit,
    AuditedImage,
    AuditState,
    Fault,
    FaultKind,
    Progress,
    Removal,
    RemovalCount,
    Stage,
)
from shared.batching import AT_ONCE, in_batches
from shared.comparing import Pair, fault_of, merged, name_of, pages
from shared.confirming import Confirmed, confirmed, confirmed_previews
from shared.errors import InputError, SettingsError
from shared.mending import Mended, Mender
from shared.models import PREVIEWS_SUFFIX, StoredObject
from shared.ports import ObjectStore
from shared.tallying import Tally

PAGE: Final = 1000
_FEW: Final = 10


@dataclass(slots=True)
class Inspection:
    """One audit of a bucket, from where it stands."""

    audit_id: int
    bucket: str
    store: ObjectStore
    index: AuditIndex
    tally: Tally
    mender: Mender | None
    """None: it only looks."""
    max_removed_share: float
    """Of the live pictures; infinite lifts the brake."""
    with_previews: bool
    on_fault: Callable[[Fault], None]
    braked: RemovalCount | None = None
    _why: str | None = None
    _kept: Progress = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is done yet that is not kept."""
        self._kept = self.tally.progress()

    @property
    def reason(self) -> str | None:
        """Why something was left."""
        return "; ".join(filter(None, (self._why, self.tally.refusal))) or None

    def steps(self) -> Iterator[None]:
        """Page by page; whatever comes after a step, the next run goes on from there."""
        if self.tally.stage is Stage.BUCKET:
            yield from self._bucket_steps()
            self._enter(Stage.PREVIEWS)
        if self.tally.stage is Stage.PREVIEWS:
            if self.with_previews:
                yield from self._preview_steps()
            self._enter(Stage.REMOVALS)
        if self.tally.stage is Stage.REMOVALS:
            if self.mender is not None:
                yield from self._removal_steps(self.mender)
            if not self.braked:
                self._enter(Stage.END)

    def outcome(self, state: AuditState) -> Audit:
        """What it has come to."""
        return Audit(self.audit_id, self.bucket, state, self.tally.progress(), self.reason, self.braked)

    def _bucket_steps(self) -> Iterator[None]:
        after = self.tally.position
        objects = pages(lambda name: self.store.list_page(self.bucket, after=name, limit=PAGE), after=after)
        images = pages(lambda name: self.index.images(self.bucket, after=name, limit=PAGE), after=after)
        for pairs in in_batches(merged(filter(_is_file, objects), images), PAGE):
            for stored, image in pairs:
                self.tally.see(stored, image)
            faults = self._faults(pairs)
            self._move(name_of(pairs[-1]), _removals(faults) if self.mender else ())
            yield

    def _faults(self, pairs: Sequence[Pair[AuditedImage]]) -> Sequence[Fault]:
        """Those of a page that are certain, repaired as far as that is possible."""
        suspected = [fault_of(*pair, with_previews=self.with_previews) for pair in pairs]
        found = confirmed(
            [fault for fault in suspected if fault is not None],
            store=self.store,
            index=self.index,
            bucket=self.bucket,
            after=self.tally.position,
            with_previews=self.with_previews,
        )
        self._settle(found)
        return found.faults

    def _preview_steps(self) -> Iterator[None]:
        while True:
            after = self.tally.position
            try:
                page = self.store.list_page(self.bucket + PREVIEWS_SUFFIX, after=after, limit=PAGE)
            except (InputError, SettingsError) as exc:
                self._why = f"the previews were not looked at: {exc}"
                return
            until = page[-1].ref.name if len(page) == PAGE else None
            names = [preview.ref.name for preview in page]
            faults = self.index.preview_faults(self.bucket, names, after=after, until=until)
            self._settle(confirmed_previews(faults, store=self.store))
            if len(faults) >= PAGE:  # there may be more
                self._move(faults[-1].preview.name)
            elif until is None:
                return
            else:
                self._move(until)
            yield

    def _removal_steps(self, mender: Mender) -> Iterator[None]:
        # Once: while it removes, the share that is left grows.
        if self.tally.position == "":
            count = self.index.count_removals(self.audit_id)
            if self._is_too_much(count):
                self.braked = count
                self._why = (
                    f"{count.removals} of {count.live} pictures are gone from the bucket; none was removed. "
                    f"Is that right? `pixseek audit {self.bucket} --repair --allow-removals` removes them."
                )
                return
        while gone := self.index.removals(self.audit_id, after=self.tally.position, limit=AT_ONCE):
            mended = mender.remove(gone)
            self.tally.take_back(FaultKind.ORPHANED, [ref.name for ref in mended.refuted])
            self.tally.repaired += mended.repaired
            self.tally.refuse(mended.refused)
            self._move(gone[-1].name)
            yield

    def _is_too_much(self, count: RemovalCount) -> bool:
        """A bucket that is listed as empty, or nearly so, is more likely a mistake than the truth."""
        if count.removals == 0 or self.max_removed_share == math.inf:
            return False
        is_all = count.removals >= count.live or self.tally.objects == 0
        return is_all or (count.removals > _FEW and count.removals > self.max_removed_share * count.live)

    def _settle(self, found: Confirmed) -> None:
        """Repair, and tell of what has turned out to be one."""
        self._find(found.unread)
        self.tally.refuse(found.refused)
        mended = Mended() if self.mender is None else self.mender.mend(found.faults, self._stay)
        refuted = set(mended.refuted)
        self._find([fault for fault in found.faults if fault.ref not in refuted])
        self.tally.repaired += mended.repaired
        self.tally.refuse(mended.refused)

    def _find(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            self.tally.find(fault)
            self.on_fault(fault)

    def _enter(self, stage: Stage) -> None:
        self.tally.enter(stage)
        self._keep()

    def _move(self, position: str, gone: Sequence[Removal] = ()) -> None:
        """A page is done with."""
        self.tally.position = position
        self._keep(gone)

    def _keep(self, gone: Sequence[Removal] = ()) -> None:
        self._kept = self.tally.progress()
        self.index.keep(self.audit_id, self._kept, removals=gone)

    def _stay(self) -> None:
        """Still at the same page: were it kept as counted, whoever goes on would count it again."""
        self.index.keep(self.audit_id, self._kept)


def _removals(faults: Sequence[Fault]) -> list[Removal]:
    return [
        Removal(fault.ref.name, fault.image.ordering_key)
        for fault in faults
        if fault.kind is FaultKind.ORPHANED and fault.image is not None
    ]


def _is_file(stored: StoredObject) -> bool:
    """Consoles keep a folder as an empty object, which no event tells of either."""
    return not stored.ref.name.endswith("/")
