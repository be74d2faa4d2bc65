"""An audit finds what does not fit, repairs it, and goes on where it stood: a folder and the database."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from shared import auditing, indexing, inspecting
from shared.audits import Audit, AuditState, FaultKind, Progress
from shared.database import Database
from shared.database.audits import Audits
from shared.embedding.offline import OfflineEmbedder
from shared.errors import NotNow, SettingsError, Unavailable
from shared.models import PREVIEWS_SUFFIX, Change, ObjectEvent, ObjectRef, StoredObject
from shared.storage.local import LocalStorage
from tests.integration.conftest import picture_bytes

_OFFLINE = OfflineEmbedder()
_PICTURE = picture_bytes((40, 50, 60))
_OTHER = picture_bytes((60, 50, 40), (70, 70))


class FlakyStore(LocalStorage):
    """A folder whose lists may fail from a name on."""

    fails_after: str | None = None

    def list_page(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        if self.fails_after is not None and after >= self.fails_after:
            raise Unavailable("the disk does not answer")
        return super().list_page(bucket, after=after, limit=limit)


class Bucket:
    """A folder as a bucket, its index, and the audits between them."""

    def __init__(self, root: Path, database: Database, sql: psycopg.Connection) -> None:
        self.name = f"audit-{uuid4().hex[:12]}"
        self.folder = root / self.name
        self.previews = root / (self.name + PREVIEWS_SUFFIX)
        self.folder.mkdir()
        self.store = FlakyStore(root, timeout_s=5)
        self.index = Audits(database, provider="local")
        self.reports: list[Progress] = []
        self._database = database
        self._sql = sql

    def write(self, *names: str, content: bytes = _PICTURE) -> None:
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def add(self, *names: str) -> None:
        """Objects that are in the index."""
        self.write(*names)
        self.hear(*names)

    def hear(self, *names: str, change: Change = Change.WRITTEN, key: str = "Z1") -> None:
        """Events of those names come, and are followed."""
        self._follow([ObjectEvent(ObjectRef(self.name, name), change, key) for name in names])

    def embed_queue(self) -> None:
        """What is pending is embedded."""
        self._follow(list(auditing.differences(self.name, store=self.store, index=self._database)))

    def audit(
        self, *, repair: bool = True, allow_removals: bool = False, begin_by: float = float("inf")
    ) -> Audit:
        follow = partial(indexing.apply, store=self.store, embedder=_OFFLINE, index=self._database)
        return auditing.audit(
            self.name,
            store=self.store,
            index=self.index,
            repair=repair,
            allow_removals=allow_removals,
            follow=follow,
            begin_by=begin_by,
            report=self.reports.append,
        )

    def states(self) -> dict[str, str]:
        return {image.ref.name: image.standing.value for image in self._database.list_images(self.name)}

    def change(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """By SQL, of the picture `it.png`."""
        query = statement.format(it="(select id from pixseek.images where bucket = %s and name = 'it.png')")
        cursor = self._sql.execute(query.encode(), (*values, self.name))
        return cursor.fetchall() if cursor.description else []

    def _follow(self, events: Sequence[ObjectEvent]) -> None:
        outcomes = indexing.apply(events, store=self.store, embedder=_OFFLINE, index=self._database)
        assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)


@pytest.fixture
def bucket(tmp_path: Path, local_database: Database, sql: psycopg.Connection) -> Iterator[Bucket]:
    """With 12 pictures that fit; no work of it is left to others."""
    made = Bucket(tmp_path, local_database, sql)
    made.add("it.png", *(f"mate {number}.png" for number in range(11)))
    yield made
    sql.execute(
        "update pixseek.images set state = 'deleted' where bucket = %s and state = 'pending'", (made.name,)
    )


def _lose_its_event(bucket: Bucket) -> None:
    bucket.write("new.png", content=_OTHER)


def _lose_what_came_after_a_removal(bucket: Bucket) -> None:
    (bucket.folder / "it.png").unlink()
    bucket.hear("it.png", change=Change.REMOVED, key="Z9")
    bucket.write("it.png", content=_OTHER)


def _lose_a_removal(bucket: Bucket) -> None:
    (bucket.folder / "it.png").unlink()


def _lose_an_overwrite(bucket: Bucket) -> None:
    bucket.write("it.png", content=_OTHER)


def _lose_its_vector(bucket: Bucket) -> None:
    bucket.change("delete from pixseek.vectors where image_id = {it}")


def _give_it_up(bucket: Bucket) -> None:
    _lose_its_vector(bucket)
    bucket.change(
        "insert into pixseek.work (image_id, model_id, attempts, is_failed, reason) "
        "select {it}, id, 5, true, 'the model did not answer' from pixseek.models where state = 'active'"
    )
    bucket.change("update pixseek.images set state = 'failed', reason = 'no answer' where id = {it}")


def _lease_it_for_ever(bucket: Bucket) -> None:
    _lose_its_vector(bucket)
    bucket.change(
        "insert into pixseek.work (image_id, model_id, attempts, leased_until) "
        "select {it}, id, 1, now() + interval '9 days' from pixseek.models where state = 'active'"
    )
    bucket.change("update pixseek.images set state = 'pending' where id = {it}")


def _lose_a_file_of_a_preview(bucket: Bucket) -> None:
    next(bucket.previews.rglob("*.webp")).unlink()


def _lose_the_record_of_a_preview(bucket: Bucket) -> None:
    bucket.change("update pixseek.images set has_preview = false where id = {it}")


def _leave_a_preview(bucket: Bucket) -> None:
    (bucket.previews / "999999999").mkdir()
    (bucket.previews / "999999999" / "1.webp").write_bytes(b"left by a worker that was killed")


_DAMAGES = [
    (_lose_its_event, FaultKind.MISSING, "new.png"),
    (_lose_what_came_after_a_removal, FaultKind.MISSING, "it.png"),
    (_lose_a_removal, FaultKind.ORPHANED, "it.png"),
    (_lose_an_overwrite, FaultKind.STALE, "it.png"),
    (_lose_its_vector, FaultKind.WRONG_MODEL, "it.png"),
    (_give_it_up, FaultKind.FAILED, "it.png"),
    (_lease_it_for_ever, FaultKind.STUCK_LEASE, "it.png"),
    (_lose_a_file_of_a_preview, FaultKind.LOST_PREVIEW, None),
    (_lose_the_record_of_a_preview, FaultKind.LOST_PREVIEW, "it.png"),
    (_leave_a_preview, FaultKind.ORPHAN_PREVIEW, "999999999/1.webp"),
]


def test_where_bucket_and_index_agree_nothing_is_found(bucket: Bucket) -> None:
    found = bucket.audit()

    assert found.is_well
    assert (found.progress.objects, found.progress.images, found.progress.faults) == (12, 12, {})


@pytest.mark.parametrize(("damage", "kind", "name"), _DAMAGES)
def test_whatever_is_wrong_is_found_and_one_repair_mends_it(
    damage: Callable[[Bucket], None], kind: FaultKind, name: str | None, bucket: Bucket
) -> None:
    damage(bucket)

    seen = bucket.audit(repair=False)
    found = bucket.audit()
    bucket.embed_queue()
    again = bucket.audit()

    assert seen.progress.faults == {kind: 1}
    assert seen.progress.repaired == {}
    assert name in {None, seen.progress.examples[kind][0]}
    assert found.progress.faults == {kind: 1}
    assert found.is_well
    assert again.progress.faults == {}
    assert bucket.states().get("it.png") == ("deleted" if kind is FaultKind.ORPHANED else "indexed")


def test_all_of_it_at_once_is_mended_too(bucket: Bucket) -> None:
    bucket.write("new.png", content=_OTHER)
    bucket.write("mate 1.png", content=_OTHER)
    (bucket.folder / "mate 2.png").unlink()
    _give_it_up(bucket)
    _leave_a_preview(bucket)

    found = bucket.audit()
    bucket.embed_queue()
    again = bucket.audit()

    assert found.progress.faults == {
        FaultKind.FAILED: 1,
        FaultKind.STALE: 1,
        FaultKind.ORPHANED: 1,
        FaultKind.MISSING: 1,
        # Of the picture that has other bytes now: its preview went at once. Of the one that is gone: last.
        FaultKind.ORPHAN_PREVIEW: 1,
    }
    assert found.is_well
    assert again.progress.faults == {}
    assert len(list(bucket.previews.rglob("*.webp"))) == 12


def test_a_folder_of_previews_that_is_gone_is_written_again(bucket: Bucket) -> None:
    for preview in bucket.previews.rglob("*.webp"):
        preview.unlink()

    found = bucket.audit()

    assert found.progress.repaired == {FaultKind.LOST_PREVIEW: 12}
    assert len(list(bucket.previews.rglob("*.webp"))) == 12
    assert bucket.audit().progress.faults == {}


def test_a_bucket_without_a_preview_yet_is_well(
    tmp_path: Path, local_database: Database, sql: psycopg.Connection
) -> None:
    bucket = Bucket(tmp_path, local_database, sql)
    bucket.write("bad.png", content=b"no picture")
    bucket.hear("bad.png")

    assert bucket.audit().is_well
    assert not bucket.previews.exists()


def test_what_is_no_picture_stays_failed_and_is_no_fault(bucket: Bucket) -> None:
    bucket.write("bad.png", content=b"no picture")
    bucket.hear("bad.png")

    found = bucket.audit()

    assert found.progress.faults == {}
    assert bucket.states()["bad.png"] == "failed"


def test_what_an_event_brings_while_it_looks_keeps_its_vector(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lose_its_event(bucket)
    register = bucket.index.register

    def register_late(objects: Sequence[tuple[StoredObject, str]]) -> object:
        bucket.hear("new.png", key="Z5")
        return register(objects)

    monkeypatch.setattr(bucket.index, "register", register_late)

    found = bucket.audit()

    assert found.progress.faults == found.progress.repaired == {FaultKind.MISSING: 1}
    assert bucket.states()["new.png"] == "indexed"


def test_a_bucket_that_was_restored_keeps_every_vector_at_no_call(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in list(bucket.folder.iterdir()):
        restored = path.with_suffix(".restored")
        restored.write_bytes(path.read_bytes())
        restored.rename(path)
    monkeypatch.setattr(OfflineEmbedder, "embed_views", None)  # it is not asked

    found = bucket.audit()
    again = bucket.audit()

    assert found.progress.faults == found.progress.repaired == {FaultKind.STALE: 12}
    assert set(bucket.states().values()) == {"indexed"}
    assert again.progress.faults == {}


def test_what_may_not_be_read_stays_failed_and_is_no_fault_each_time(
    bucket: Bucket, local_database: Database
) -> None:
    _lose_its_event(bucket)
    event = ObjectEvent(ObjectRef(bucket.name, "new.png"), Change.WRITTEN, "Z1")
    local_database.fail_unread([event], "the bucket refuses to hand it out (403)")

    found = bucket.audit()

    assert found.progress.faults == {}
    assert bucket.states()["new.png"] == "failed"


def test_what_comes_back_before_it_is_removed_stays(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    (bucket.folder / "it.png").unlink()
    count_removals = bucket.index.count_removals

    def count_late(audit_id: int) -> object:
        bucket.write("it.png")
        return count_removals(audit_id)

    monkeypatch.setattr(bucket.index, "count_removals", count_late)

    found = bucket.audit()

    assert found.is_well
    assert found.progress.faults == {}
    assert bucket.states()["it.png"] == "indexed"


def test_an_emptied_bucket_does_not_empty_the_index_until_that_is_allowed(bucket: Bucket) -> None:
    for path in bucket.folder.iterdir():
        path.unlink()

    braked = bucket.audit()
    states = set(bucket.states().values())
    allowed = bucket.audit(allow_removals=True)

    assert braked.state is AuditState.BRAKED
    assert "12 of 12 pictures are gone" in str(braked.reason)
    assert states == {"indexed"}
    assert allowed.is_well
    assert set(bucket.states().values()) == {"deleted"}
    assert list(bucket.previews.rglob("*.webp")) == []


def test_a_list_that_fails_in_the_middle_removes_nothing_and_the_next_run_goes_on(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting, "PAGE", 3)
    _lose_a_removal(bucket)
    bucket.store.fails_after = "mate 6.png"

    with pytest.raises(Unavailable):
        bucket.audit()
    kept = bucket.states()["it.png"]
    bucket.store.fails_after = None
    bucket.reports.clear()
    found = bucket.audit()

    assert kept == "indexed"
    assert bucket.reports[0].objects > 6
    assert found.is_well
    assert (found.progress.objects, found.progress.images) == (11, 12)
    assert bucket.states()["it.png"] == "deleted"


def test_only_one_audits_a_bucket_at_a_time(bucket: Bucket) -> None:
    bucket.index.begin(bucket.name, repairs=True)

    with pytest.raises(NotNow, match=f"bucket {bucket.name} is being audited"):
        bucket.audit()


def test_what_was_killed_is_gone_on_with_when_its_lease_has_ended(
    bucket: Bucket, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting, "PAGE", 3)
    killed = bucket.audit(begin_by=0)
    bucket.index.begin(bucket.name, repairs=True)  # and it dies
    sql.execute("update pixseek.audits set leased_until = now() where id = %s", (killed.audit_id,))

    found = bucket.audit()

    assert killed.state is AuditState.PAUSED
    assert found.audit_id == killed.audit_id
    assert (found.progress.objects, found.progress.images) == (12, 12)


def test_runs_of_one_page_each_come_to_the_same(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting, "PAGE", 3)
    _lose_a_removal(bucket)
    _lose_its_event(bucket)
    _leave_a_preview(bucket)

    runs = [bucket.audit(begin_by=0) for _ in range(12)]

    assert {run.audit_id for run in runs[:5]} == {runs[0].audit_id}
    done = next(run for run in runs if run.state is AuditState.DONE)
    assert done.is_well
    assert done.progress.repaired == {
        FaultKind.ORPHANED: 1,
        FaultKind.MISSING: 1,
        FaultKind.ORPHAN_PREVIEW: 1,
    }


def test_a_bucket_that_is_not_there_ends_the_audit_and_says_so(
    bucket: Bucket, sql: psycopg.Connection
) -> None:
    bucket.folder.rename(bucket.folder.with_name("elsewhere"))

    with pytest.raises(SettingsError, match="there is no bucket"):
        bucket.audit()

    query = "select state, reason from pixseek.audits where bucket = %s"
    [(state, reason)] = sql.execute(query, (bucket.name,)).fetchall()
    assert state == "failed"
    assert "there is no bucket" in reason
    assert set(bucket.states().values()) == {"indexed"}


def test_a_wrong_clock_changes_nothing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    _lose_a_removal(bucket)
    monkeypatch.setattr(time, "time", lambda: 86_400.0)

    found = bucket.audit(begin_by=time.monotonic() + 60)

    assert found.is_well
    assert bucket.states()["it.png"] == "deleted"
