"""What becomes of a batch: real bucket, real database, and faults let in between."""

import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from shared import indexing
from shared.database import Database
from shared.embedding.offline import OfflineEmbedder
from shared.errors import InputError, ObjectRefused, OverBudget, SettingsError, Unavailable
from shared.images import decode
from shared.indexing import Outcome
from shared.models import Change, ImageRecord, ObjectEvent, ObjectRef, Standing
from shared.storage.local import LocalStorage
from tests.faulty_ports import FaultyEmbedder, FaultyIndex, FaultyStore
from tests.integration.conftest import picture_bytes

_OFFLINE = OfflineEmbedder()


@pytest.fixture
def bucket() -> str:
    return f"indexing-{uuid4().hex[:12]}"


@pytest.fixture
def store(tmp_path: Path) -> FaultyStore:
    return FaultyStore(LocalStorage(tmp_path, timeout_s=5))


@pytest.fixture
def embedder() -> FaultyEmbedder:
    return FaultyEmbedder(_OFFLINE)


@pytest.fixture
def index(local_database: Database) -> FaultyIndex:
    return FaultyIndex(local_database)


class Bucket:
    """A bucket of the test's own, and how the index follows it."""

    def __init__(self, name: str, store: FaultyStore, embedder: FaultyEmbedder, index: FaultyIndex) -> None:
        self.name = name
        self.store, self.embedder, self.index = store, embedder, index

    def ref(self, name: str) -> ObjectRef:
        return ObjectRef(self.name, name)

    def write(self, name: str, content: bytes) -> None:
        self.store.put(self.ref(name), content, content_type="image/png")

    def write_all(self, names: Sequence[str], content: bytes) -> None:
        for name in names:
            self.write(name, content)

    def follow(
        self, *names: str, change: Change = Change.WRITTEN, key: str = "9", **named: float | bool
    ) -> list[Outcome]:
        events = [ObjectEvent(self.ref(name), change, key) for name in names]
        return self.apply(events, **named)

    def apply(self, events: Sequence[ObjectEvent], **named: float | bool) -> list[Outcome]:
        return indexing.apply(
            events,
            store=self.store,
            embedder=self.embedder,
            index=self.index,
            **named,  # type: ignore[arg-type] # of the names that it has
        )

    def previews(self) -> list[str]:
        listed = self.store.list_page(f"{self.name}-previews")
        return [preview.ref.name for preview in listed]


@pytest.fixture
def of(bucket: str, store: FaultyStore, embedder: FaultyEmbedder, index: FaultyIndex) -> Bucket:
    return Bucket(bucket, store, embedder, index)


def _grey(level: int) -> bytes:
    """Distinct for each test run, so that no vector of another test serves."""
    return picture_bytes((level, level, level)) + uuid4().bytes


class _Clock:
    """The real one, until it is told to go on."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def go_on(self, seconds: float) -> None:
        self._ahead_s += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_s


def _raising(error: Exception) -> None:
    raise error


class TestABatch:
    def test_each_object_gets_its_own_outcome_in_the_order_of_the_events(self, of: Bucket) -> None:
        of.write("good.png", _grey(1))
        of.write("text.png", b"just words")

        outcomes = of.follow("text.png", "gone.png", "good.png")

        assert [outcome.standing for outcome in outcomes] == ["failed", "deleted", "indexed"]
        assert "it is text" in str(outcomes[0].reason)
        assert [outcome.is_worth_a_retry for outcome in outcomes] == [False] * 3

    def test_more_objects_than_a_batch_holds_are_followed_all(self, of: Bucket) -> None:
        names = [f"{number}.png" for number in range(indexing.BATCH + 3)]
        content = _grey(2)
        of.write_all(names, content)

        outcomes = of.follow(*names)

        assert {outcome.standing for outcome in outcomes} == {Standing.INDEXED}
        assert len(of.embedder.asked) == 1

    def test_the_newest_event_of_an_object_counts_and_answers_for_the_others(self, of: Bucket) -> None:
        of.write("one.png", _grey(3))
        events = [
            ObjectEvent(of.ref("one.png"), Change.WRITTEN, "1"),
            ObjectEvent(of.ref("one.png"), Change.REMOVED, "3"),
            ObjectEvent(of.ref("one.png"), Change.WRITTEN, "2"),
        ]

        outcomes = of.apply(events)

        assert len(of.store.opened) == 1
        assert [outcome.standing for outcome in outcomes] == ["indexed"] * 3

    def test_equal_bytes_in_one_batch_are_embedded_once(self, of: Bucket) -> None:
        content = _grey(4)
        of.write("a.png", content)
        of.write("b.png", content)

        outcomes = of.follow("a.png", "b.png")

        assert [outcome.standing for outcome in outcomes] == ["indexed", "indexed"]
        assert sorted(outcome.embedded for outcome in outcomes) == [False, True]

    def test_an_item_that_the_database_refuses_does_not_cost_its_mates_their_place(self, of: Bucket) -> None:
        of.write("good.png", _grey(5))
        of.write("refused.png", _grey(6))

        def refuse(images: Sequence[ImageRecord]) -> None:
            if any(image.stored.ref.name == "refused.png" for image in images):
                raise InputError("a name that no column takes")

        of.index.before_record = refuse

        refused, good = of.follow("refused.png", "good.png")

        assert good.standing is Standing.INDEXED
        assert str(refused.error) == "a name that no column takes"
        assert not refused.is_worth_a_retry

    def test_an_object_that_cannot_be_read_now_holds_nobody_back(self, of: Bucket) -> None:
        of.write("good.png", _grey(7))
        of.write("away.png", _grey(8))
        of.store.before_open = lambda ref: (
            _raising(Unavailable("slow down")) if ref.name == "away.png" else None
        )

        away, good = of.follow("away.png", "good.png")

        assert good.standing is Standing.INDEXED
        assert away.is_worth_a_retry


class TestAnObjectThatWeMayNotRead:
    @staticmethod
    def _refuse(_: ObjectRef) -> None:
        raise ObjectRefused("403: may we read it?")

    def test_comes_again_and_is_on_record_with_the_hint_until_it_is_let_in(
        self, of: Bucket, local_database: Database
    ) -> None:
        of.write("secret.png", _grey(30))
        of.store.before_open = self._refuse

        [first] = of.follow("secret.png", key="1")
        [failure] = local_database.failures(10, bucket=of.name)
        of.store.before_open = lambda _: None
        [second] = of.follow("secret.png", key="1")

        assert first.is_worth_a_retry
        assert failure.reason == "403: may we read it?"
        assert second.standing is Standing.INDEXED
        assert local_database.failures(10, bucket=of.name) == []

    def test_stays_searchable_if_it_was(self, of: Bucket, local_database: Database) -> None:
        of.write("known.png", _grey(31))
        of.follow("known.png")
        of.store.before_open = self._refuse

        [outcome] = of.follow("known.png", key="ZZ")

        assert outcome.is_worth_a_retry
        assert [image.standing for image in local_database.list_images(of.name)] == ["indexed"]


class TestWhatIsRead:
    def test_what_is_too_large_is_not_read(self, of: Bucket, tmp_path: Path) -> None:
        path = tmp_path / of.name / "large.jpg"
        path.parent.mkdir()
        with path.open("wb") as file:
            file.truncate(26_000_000)

        [outcome] = of.follow("large.jpg")

        assert outcome.standing is Standing.FAILED
        assert "too large" in str(outcome.reason)

    def test_an_object_that_vanishes_before_it_is_read_is_removed(self, of: Bucket, tmp_path: Path) -> None:
        of.write("soon-gone.png", _grey(9))
        of.store.before_open = lambda ref: (tmp_path / of.name / ref.name).unlink()

        [outcome] = of.follow("soon-gone.png")

        assert outcome.standing is Standing.DELETED

    def test_a_removal_of_what_is_there_indexes_it(self, of: Bucket) -> None:
        of.write("there.png", _grey(10))

        [outcome] = of.follow("there.png", change=Change.REMOVED)

        assert outcome.standing is Standing.INDEXED


class TestTheModel:
    def test_one_that_it_refuses_is_on_record_and_its_mates_are_searchable(self, of: Bucket) -> None:
        of.write("good.png", _grey(11))
        of.write("odd.png", _grey(12))
        of.embedder.errors[_view(_grey(12))] = InputError("cannot be seen")

        odd, good = of.follow("odd.png", "good.png")

        assert (odd.standing, odd.reason, odd.error) == (Standing.FAILED, "cannot be seen", None)
        assert good.standing is Standing.INDEXED

    @pytest.mark.parametrize(
        "error", [Unavailable("the model is down"), OverBudget(), SettingsError("the key is wrong")]
    )
    def test_what_hinders_it_now_leaves_the_picture_to_the_next_try(
        self, error: Unavailable | SettingsError, of: Bucket
    ) -> None:
        of.write("patient.png", _grey(13))
        of.embedder.errors[_view(_grey(13))] = error

        [first] = of.follow("patient.png")
        of.embedder.errors.clear()
        [second] = of.follow("patient.png")

        assert first.error is error
        assert first.is_worth_a_retry
        assert second.standing is Standing.INDEXED

    def test_after_the_time_to_begin_nothing_is_begun(self, of: Bucket) -> None:
        of.write("late.png", _grey(14))

        outcomes = of.follow("late.png", "gone.png", begin_by=time.monotonic() - 1)

        assert [outcome.is_worth_a_retry for outcome in outcomes] == [True, True]
        assert of.store.opened == []

    def test_a_batch_that_was_begun_is_ended_and_the_next_one_is_not_begun(
        self, of: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = _grey(15)
        names = [f"{number}.png" for number in range(indexing.BATCH + 1)]
        of.write_all(names, content)
        clock = _Clock()
        monkeypatch.setattr(indexing, "time", clock)
        of.index.before_store = lambda: clock.go_on(1000)

        outcomes = of.follow(*names, begin_by=time.monotonic() + 600)

        assert [outcome.is_worth_a_retry for outcome in outcomes] == [*[False] * indexing.BATCH, True]


class TestPreviews:
    def test_a_picture_gets_one_that_goes_with_it(self, of: Bucket, tmp_path: Path) -> None:
        of.write("seen.png", picture_bytes((1, 90, 5), (900, 300)) + uuid4().bytes)

        of.follow("seen.png")
        [name] = of.previews()
        preview = decode((tmp_path / f"{of.name}-previews" / name).read_bytes())
        (tmp_path / of.name / "seen.png").unlink()
        of.follow("seen.png", change=Change.REMOVED, key="Z")

        assert (preview.content_type, preview.width, preview.height) == ("image/webp", 512, 171)
        assert of.previews() == []

    def test_an_overwrite_replaces_it(self, of: Bucket) -> None:
        of.write("either.png", _grey(16))
        of.follow("either.png")
        before = of.previews()

        of.write("either.png", _grey(17))
        of.follow("either.png")

        assert len(before) == len(of.previews()) == 1
        assert of.previews() != before

    def test_the_same_event_again_writes_none_again(self, of: Bucket) -> None:
        of.write("again.png", _grey(18))
        of.follow("again.png")
        written: list[ObjectRef] = []
        of.store.before_put = written.append

        of.follow("again.png")

        assert written == []

    def test_switched_off_none_is_written(self, of: Bucket, tmp_path: Path) -> None:
        of.write("plain.png", _grey(19))

        [outcome] = of.follow("plain.png", with_previews=False)

        assert outcome.standing is Standing.INDEXED
        assert [folder.name for folder in tmp_path.iterdir()] == [of.name]

    def test_one_that_cannot_be_written_now_does_not_hide_its_picture_and_is_tried_again(
        self, of: Bucket, sql: psycopg.Connection
    ) -> None:
        of.write("shy.png", _grey(20))
        of.store.before_put = lambda _: _raising(Unavailable("slow down"))

        [first] = of.follow("shy.png")
        state = sql.execute("select state from pixseek.images where bucket = %s", (of.name,)).fetchone()
        of.store.before_put = lambda _: None
        [second] = of.follow("shy.png")

        assert state == ("indexed",)
        assert (first.is_worth_a_retry, second.is_worth_a_retry) == (True, False)
        assert len(of.previews()) == 1
        assert len(of.embedder.asked) == 1

    def test_a_bucket_of_previews_that_is_missing_is_told_and_holds_nothing_back(self, of: Bucket) -> None:
        of.write("alone.png", _grey(21))
        of.store.before_put = lambda _: _raising(SettingsError("no such bucket"))

        [outcome] = of.follow("alone.png")

        assert (outcome.standing, outcome.error) == (Standing.INDEXED, None)
        assert str(outcome.preview_error) == "no such bucket"

    def test_an_old_one_that_cannot_be_deleted_is_told(self, of: Bucket) -> None:
        of.write("worn.png", _grey(22))
        of.follow("worn.png")
        of.write("worn.png", _grey(23))
        of.store.before_delete = lambda: _raising(Unavailable("slow down"))

        [outcome] = of.follow("worn.png")

        assert outcome.standing is Standing.INDEXED
        assert str(outcome.preview_error) == "slow down"


def _view(content: bytes) -> bytes:
    return _OFFLINE.view(decode(content))
