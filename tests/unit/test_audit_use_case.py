"""The course of an audit: what is kept, when it stops, when it refuses to go on.

What it repairs is tested with the real database (tests/integration/test_audit.py).
"""

# ruff: noqa: ARG002 -- a port is asked more than these look at

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from shared import auditing, inspecting
from shared.audits import (
    Audit,
    AuditedImage,
    AuditState,
    BegunAudit,
    Fault,
    FaultKind,
    PreviewFault,
    Progress,
    Removal,
    RemovalCount,
    Stage,
)
from shared.errors import InputError, NotNow, ObjectRefused, OverBudget, SettingsError, Unavailable
from shared.indexing import Outcome
from shared.models import ObjectEvent, ObjectRef, Recorded, Standing, StoredObject
from shared.ports import ObjectStore
from tests.unit.search_ports import AskedStore

_IMAGE = AuditedImage(
    ObjectRef("photos", ""),
    Standing.INDEXED,
    "v1",
    100,
    "key-1",
    has_preview=True,
    has_vector=True,
    is_given_up=False,
    is_stuck=False,
)


@dataclass
class ListedStore(AskedStore):
    """Some objects, in order; a list that goes beyond one of them may fail."""

    names: Sequence[str] = ()
    fails_after: str | None = None
    fault: BaseException | None = None
    vanished: frozenset[str] = frozenset()
    """They are listed, and not there any more."""
    refused: frozenset[str] = frozenset()
    meet: Callable[[], object] = lambda: None
    """Before it is asked for heads."""

    def list_page(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        self.log.append(f"list {bucket} after {after!r}")
        if self.fault is not None and after == self.fails_after:
            raise self.fault
        names = self.names if bucket == "photos" else ()
        return [StoredObject(ObjectRef(bucket, name), "v1", 100) for name in names if name > after][:limit]

    def heads(self, refs: Sequence[ObjectRef]) -> list[StoredObject | None]:
        self.meet()
        if not self.refused.isdisjoint(ref.name for ref in refs):
            raise ObjectRefused("the bucket refuses to hand it out (403)")
        there = set(self.names) - self.vanished
        return [StoredObject(ref, "v1", 100) if ref.name in there else None for ref in refs]


@dataclass
class KeptAudits:
    """Has some images, and keeps what it is told of one audit."""

    log: list[str]
    names: Sequence[str] = ()
    progress: Progress = field(default_factory=Progress)
    removal_names: list[str] = field(default_factory=list)
    live: int | None = None
    removed: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)
    busy: bool = False
    reasons: list[str | None] = field(default_factory=list)
    has_previews: bool = True
    stale: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """Its answers to what is registered, unless that is pending."""
    meet: Callable[[], object] = lambda: None
    """Before it counts what is gone."""
    keeps_left: int | None = None
    """Then it does not answer."""

    def begin(self, bucket: str, *, repairs: bool) -> BegunAudit:
        if self.busy:
            raise NotNow("bucket photos is being audited")
        self.log.append(f"begin {bucket}, repairs: {repairs}")
        return BegunAudit(7, self.progress)

    def keep(self, audit_id: int, progress: Progress, *, removals: Sequence[Removal] = ()) -> None:
        if self.keeps_left is not None:
            self.keeps_left -= 1
            if self.keeps_left < 0:
                raise Unavailable("the database does not answer")
        self.progress = progress
        self.removal_names += [removal.name for removal in removals]

    def pause(self, audit_id: int) -> None:
        self.log.append("pause")

    def end(self, audit_id: int, state: AuditState, *, reason: str | None = None) -> None:
        self.log.append(f"end {state}")
        self.reasons.append(reason)

    def images(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[AuditedImage]:
        names = [name for name in self.names if name > after]
        image = replace(_IMAGE, has_preview=self.has_previews)
        versions = dict.fromkeys(self.stale, "v0")
        return [
            replace(image, ref=ObjectRef(bucket, name), version=versions.get(name, "v1"))
            for name in names[:limit]
        ]

    def register(self, objects: Sequence[tuple[StoredObject, str]]) -> list[Recorded]:
        names = [stored.ref.name for stored, _ in objects]
        if not self.refused.isdisjoint(names):
            raise InputError("image 1 of the call: its size is not possible")
        self.registered += names
        return [Recorded(self.standings.get(name, Standing.PENDING)) for name in names]

    def queue(self, bucket: str, names: Sequence[str]) -> int:
        return len(names)

    def remove(self, events: Sequence[ObjectEvent]) -> list[Recorded]:
        self.removed += [event.ref.name for event in events]
        return [Recorded(Standing.DELETED) for _ in events]

    def removals(self, audit_id: int, *, after: str = "", limit: int = 500) -> list[Removal]:
        return [Removal(name, "key-1") for name in self.removal_names if name > after][:limit]

    def count_removals(self, audit_id: int) -> RemovalCount:
        self.meet()
        live = len(self.names) if self.live is None else self.live
        return RemovalCount(len(self.removal_names), live)

    def preview_faults(
        self, bucket: str, names: Sequence[str], *, after: str, until: str | None
    ) -> list[PreviewFault]:
        return []

    def lose_previews(self, bucket: str, names: Sequence[str]) -> int:
        return len(names)

    def sweep_events(self, refs: Sequence[ObjectRef]) -> list[ObjectEvent]:
        return []


class World:
    """A bucket and an index that fit, until a test says otherwise. Pages have two entries."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.store = ListedStore(self.log, names=_names(6))
        self.index = KeptAudits(self.log, names=_names(6))
        self.found: list[Fault] = []
        self.followed: list[list[str]] = []
        self.outcome = Outcome(Standing.INDEXED)

    def follow(self, events: Sequence[ObjectEvent], *, deadline: float) -> list[Outcome]:
        self.followed.append([event.ref.name for event in events])
        return [self.outcome for _ in events]

    def audit(
        self,
        *,
        repair: bool = True,
        allow_removals: bool = False,
        begin_by: float = float("inf"),
        reads: bool = True,
    ) -> Audit:
        return auditing.audit(
            "photos",
            store=cast(ObjectStore, self.store),
            index=self.index,
            repair=repair,
            allow_removals=allow_removals,
            follow=self.follow if reads else None,
            begin_by=begin_by,
            on_fault=self.found.append,
        )


def _names(count: int) -> list[str]:
    return [f"{number:03}.jpg" for number in range(count)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(inspecting, "PAGE", 2)
    return World()


def test_where_all_fits_it_is_done_and_says_what_it_has_seen(world: World) -> None:
    found = world.audit()

    assert found.state is AuditState.DONE
    assert found.is_well
    assert (found.progress.objects, found.progress.images, found.progress.faults) == (6, 6, {})
    assert world.log[0] == "begin photos, repairs: True"
    assert world.log[-1] == "end done"
    assert world.index.progress.stage is Stage.END


def test_a_folders_mark_is_no_object(world: World) -> None:
    world.store.names = [*_names(6), "folder/"]

    assert world.audit().progress.objects == 6


def test_it_only_looks_unless_it_is_to_repair(world: World) -> None:
    world.store.names = [*_names(3), "new.jpg"]

    found = world.audit(repair=False)

    assert found.progress.faults == {FaultKind.MISSING: 1, FaultKind.ORPHANED: 3}
    assert found.left == {FaultKind.MISSING: 1, FaultKind.ORPHANED: 3}
    assert not found.is_well
    assert (world.index.registered, world.index.removed, world.index.removal_names) == ([], [], [])
    assert [(fault.kind.value, fault.ref.name) for fault in world.found] == [
        ("orphaned", "003.jpg"),
        ("orphaned", "004.jpg"),
        ("orphaned", "005.jpg"),
        ("missing", "new.jpg"),
    ]


def test_the_first_names_of_a_fault_are_its_examples(world: World) -> None:
    world.store.names = _names(20)

    found = world.audit()

    assert found.progress.examples == {FaultKind.MISSING: tuple(_names(20)[6:11])}
    assert found.progress.repaired == {FaultKind.MISSING: 14}


def test_what_is_stale_is_read_before_anything_of_it_is_thrown_away(world: World) -> None:
    world.index.stale = frozenset(["001.jpg", "004.jpg"])

    found = world.audit()

    assert world.followed == [["001.jpg"], ["004.jpg"]]
    assert world.index.registered == []
    assert found.progress.faults == {FaultKind.STALE: 2}
    assert found.is_well


def test_what_is_stale_is_repaired_also_when_its_vector_is_still_to_come(world: World) -> None:
    world.index.stale = frozenset(["001.jpg"])
    world.outcome = Outcome(Standing.PENDING, error=OverBudget())

    assert world.audit().is_well


@pytest.mark.parametrize("standing", [Standing.OUTDATED, Standing.DELETED])
def test_what_an_event_overtakes_while_it_is_read_is_no_fault(standing: Standing, world: World) -> None:
    world.index.stale = frozenset(["001.jpg"])
    world.outcome = Outcome(standing)

    found = world.audit()

    assert found.progress.faults == {}
    assert found.is_well


def test_without_an_embedder_what_is_stale_is_left(world: World) -> None:
    world.index.stale = frozenset(["001.jpg"])

    found = world.audit(reads=False)

    assert found.left == {FaultKind.STALE: 1}
    assert world.index.registered == []


@pytest.mark.parametrize("repair", [True, False])
def test_what_comes_and_goes_while_pages_are_read_is_no_fault(repair: bool, world: World) -> None:
    world.store.names = _names(9)
    world.store.vanished = frozenset(["006.jpg"])
    world.store.meet = lambda: setattr(world.index, "names", [*_names(6), "007.jpg", "008.jpg"])

    found = world.audit(repair=repair)

    assert found.progress.faults == {}
    assert found.is_well
    assert world.found == []
    assert (world.index.registered, world.followed) == ([], [])


@pytest.mark.parametrize("repair", [True, False])
def test_what_an_event_mends_before_the_second_look_is_no_fault(repair: bool, world: World) -> None:
    world.index.stale = frozenset(["001.jpg"])
    world.store.meet = lambda: setattr(world.index, "stale", frozenset())

    found = world.audit(repair=repair)

    assert found.is_well
    assert (world.found, world.followed) == ([], [])


@pytest.mark.parametrize("repair", [True, False])
def test_what_comes_back_before_the_second_look_is_not_gone(repair: bool, world: World) -> None:
    world.store.names = _names(6)[1:]
    world.store.meet = lambda: setattr(world.store, "names", _names(6))

    found = world.audit(repair=repair)

    assert found.is_well
    assert (world.found, world.index.removal_names) == ([], [])


def test_what_the_index_knows_better_is_taken_back(world: World) -> None:
    world.store.names = _names(9)
    world.index.standings = {"006.jpg": Standing.OUTDATED, "008.jpg": Standing.CHANGED}

    found = world.audit()

    assert found.progress.faults == found.progress.repaired == {FaultKind.MISSING: 1}
    assert found.progress.examples == {FaultKind.MISSING: ("007.jpg",)}
    assert [fault.ref.name for fault in world.found] == ["007.jpg"]


def test_what_comes_back_before_it_is_removed_is_taken_back(world: World) -> None:
    world.index.names = _names(30)
    world.store.names = _names(30)[2:]
    world.index.live = 30
    world.index.meet = lambda: setattr(world.store, "names", _names(30)[1:])

    found = world.audit()

    assert world.index.removed == ["000.jpg"]
    assert found.progress.faults == found.progress.repaired == {FaultKind.ORPHANED: 1}
    assert found.progress.examples == {FaultKind.ORPHANED: ("000.jpg",)}


def test_one_that_may_not_be_read_costs_no_other_its_repair(world: World) -> None:
    world.store.names = _names(10)
    world.store.refused = frozenset(["007.jpg"])

    found = world.audit()

    assert found.state is AuditState.DONE
    assert found.left == {FaultKind.MISSING: 1}
    assert (
        found.reason == "1 refused, and left as they are; the first: the bucket refuses to hand it out (403)"
    )
    assert world.index.registered == ["006.jpg", "008.jpg", "009.jpg"]


def test_one_that_the_database_refuses_costs_no_other_its_repair(world: World) -> None:
    world.store.names = _names(10)
    world.index.refused = frozenset(["006.jpg", "009.jpg"])

    found = world.audit()

    assert found.left == {FaultKind.MISSING: 2}
    assert found.reason == "2 refused, and left as they are; the first: InputError"
    assert world.index.registered == ["007.jpg", "008.jpg"]


def test_one_that_cannot_be_read_to_its_end_says_why(world: World) -> None:
    world.index.stale = frozenset(["001.jpg"])
    world.outcome = Outcome(error=ObjectRefused("it is in an archive"))

    found = world.audit()

    assert found.left == {FaultKind.STALE: 1}
    assert found.reason == "1 refused, and left as they are; the first: it is in an archive"


def test_an_outage_pauses_it(world: World) -> None:
    world.store.names = _names(10)

    def meet() -> None:
        raise Unavailable("does not answer")

    world.store.meet = meet

    with pytest.raises(Unavailable):
        world.audit()

    assert world.log[-1] == "pause"
    assert world.index.progress.position == "005.jpg"


def test_what_is_gone_is_removed_when_all_is_known(world: World) -> None:
    world.index.names = _names(30)
    world.store.names = _names(30)[2:]

    found = world.audit()

    assert world.index.removed == ["000.jpg", "001.jpg"]
    assert found.is_well


@pytest.mark.parametrize(
    ("gone", "live", "is_braked"),
    [(1, 1, True), (3, 3, True), (9, 10, False), (10, 40, False), (11, 40, True), (11, 110, False)],
)
def test_too_much_that_is_gone_brakes_it(gone: int, live: int, is_braked: bool, world: World) -> None:
    world.index.names = _names(gone + 1)
    world.store.names = _names(gone + 1)[gone:]
    world.index.live = live

    found = world.audit()

    assert (found.state is AuditState.BRAKED) is is_braked
    assert (world.index.removed == []) is is_braked


def test_an_empty_bucket_where_a_full_one_was_empties_nothing(world: World) -> None:
    world.store.names = []
    world.index.live = 7  # one came meanwhile

    found = world.audit()

    assert found.state is AuditState.BRAKED
    assert found.braked == RemovalCount(6, 7)
    assert found.reason is not None
    assert "6 of 7 pictures are gone" in found.reason
    assert "pixseek audit photos --repair --allow-removals" in found.reason
    assert world.index.removed == []
    assert world.index.reasons == [found.reason]


def test_an_empty_bucket_whose_index_is_empty_is_well(world: World) -> None:
    world.store.names, world.index.names = [], []

    assert world.audit().is_well


def test_the_brake_is_lifted_on_demand(world: World) -> None:
    world.store.names = []

    found = world.audit(allow_removals=True)

    assert world.index.removed == _names(6)
    assert found.is_well


def test_a_brake_is_not_applied_again_in_the_middle_of_removals(world: World) -> None:
    world.index.removal_names = _names(20)
    world.index.live = 30
    world.index.progress = Progress(Stage.REMOVALS, "009.jpg")

    found = world.audit()

    assert found.state is AuditState.DONE
    assert world.index.removed == _names(20)[10:]


def test_a_list_that_fails_in_the_middle_removes_nothing_and_is_gone_on_with(world: World) -> None:
    world.index.names = _names(30)
    world.store.names = _names(30)[1:]
    world.store.fails_after, world.store.fault = "010.jpg", Unavailable("does not answer")

    with pytest.raises(Unavailable):
        world.audit()
    removed_before, stood_at = list(world.index.removed), world.index.progress.position
    world.store.fault = None
    found = world.audit()

    assert removed_before == []
    assert stood_at == "009.jpg"
    assert "pause" in world.log
    assert world.log.count("list photos after ''") == 1
    assert (found.progress.objects, found.progress.images) == (29, 30)
    assert world.index.removed == ["000.jpg"]


def test_a_page_is_counted_once_although_it_was_interrupted(world: World) -> None:
    world.index.has_previews = False
    world.index.keeps_left = 1  # while it writes previews, and not after that

    with pytest.raises(Unavailable):
        world.audit()
    world.index.keeps_left = None
    found = world.audit()

    assert world.followed[:2] == [["000.jpg", "001.jpg"], ["000.jpg", "001.jpg"]]
    assert (found.progress.objects, found.progress.images) == (6, 6)
    assert found.progress.faults == found.progress.repaired == {FaultKind.LOST_PREVIEW: 6}


def test_it_stops_when_the_time_is_over_and_has_done_one_page(world: World) -> None:
    first = world.audit(begin_by=0)
    second = world.audit(begin_by=0)

    assert (first.state, first.progress.position) == (AuditState.PAUSED, "001.jpg")
    assert (second.state, second.progress.position) == (AuditState.PAUSED, "003.jpg")
    assert world.log[-1] == "pause"


def test_runs_without_time_come_to_an_end(world: World) -> None:
    world.index.names = _names(30)
    world.store.names = [*_names(30)[1:], "new.jpg"]

    states = [world.audit(begin_by=0).state for _ in range(18)]

    assert states == [AuditState.PAUSED] * 17 + [AuditState.DONE]
    assert world.index.removed == ["000.jpg"]
    assert world.index.registered == ["new.jpg"]
    assert (world.index.progress.objects, world.index.progress.images) == (30, 30)


def test_where_somebody_else_is_at_it_nothing_is_begun(world: World) -> None:
    world.index.busy = True

    with pytest.raises(NotNow):
        world.audit()

    assert world.log == []


def test_whoever_is_interrupted_lets_the_next_one_go_on(world: World) -> None:
    world.store.fails_after, world.store.fault = "001.jpg", KeyboardInterrupt()

    with suppress(KeyboardInterrupt):
        world.audit()

    assert world.log[-1] == "pause"


def test_a_bucket_that_cannot_be_listed_ends_it(world: World) -> None:
    world.store.fails_after, world.store.fault = "", SettingsError("there is no bucket 'photos'")

    with pytest.raises(SettingsError):
        world.audit()

    assert world.log[-1] == "end failed"
    assert world.index.reasons == ["there is no bucket 'photos'"]


def test_a_clock_that_is_wrong_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    world.store.names = _names(7)

    found = world.audit(begin_by=time.monotonic() + 60)

    assert found.is_well
    assert world.index.registered == ["006.jpg"]
