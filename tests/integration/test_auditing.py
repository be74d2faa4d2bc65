"""A sweep finds what no event told, whatever it was, and its events mend it."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from shared import auditing, indexing
from shared.database import Database
from shared.embedding.offline import OfflineEmbedder
from shared.models import PREVIEWS_SUFFIX, Change, ObjectEvent, ObjectRef
from shared.storage.local import LocalStorage
from tests.integration.conftest import picture_bytes

_OFFLINE = OfflineEmbedder()
_PICTURE = picture_bytes((40, 50, 60))
_OTHER = picture_bytes((60, 50, 40), (70, 70))


class Bucket:
    """A folder as a bucket, its index, and the sweep between them."""

    def __init__(self, root: Path, database: Database) -> None:
        self.name = f"sweep-{uuid4().hex[:12]}"
        self.folder = root / self.name
        self.previews = root / (self.name + PREVIEWS_SUFFIX)
        self.folder.mkdir()
        self._store = LocalStorage(root, timeout_s=5)
        self._database = database

    def write(self, *names: str, content: bytes = _PICTURE) -> None:
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def hear(self, *names: str, change: Change = Change.WRITTEN, key: str = "Z1") -> None:
        """Events of those names come, and are followed."""
        self._follow([ObjectEvent(ObjectRef(self.name, name), change, key) for name in names])

    def differences(self, *, with_previews: bool = True) -> list[tuple[str, str]]:
        events = auditing.differences(
            self.name, store=self._store, index=self._database, with_previews=with_previews
        )
        return [(event.ref.name, event.change.value) for event in events]

    def sweep(self) -> None:
        self._follow(list(auditing.differences(self.name, store=self._store, index=self._database)))

    def delete_orphan_previews(self) -> int:
        return auditing.delete_orphan_previews(self.name, store=self._store, index=self._database)

    def states(self) -> dict[str, str]:
        return {image.ref.name: image.standing.value for image in self._database.list_images(self.name)}

    def _follow(self, events: list[ObjectEvent]) -> None:
        outcomes = indexing.apply(events, store=self._store, embedder=_OFFLINE, index=self._database)
        assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)


@pytest.fixture
def bucket(tmp_path: Path, local_database: Database) -> Bucket:
    return Bucket(tmp_path, local_database)


def test_where_index_and_bucket_agree_there_is_nothing_to_do(bucket: Bucket) -> None:
    bucket.write("a.png", "b c.png", "\u732b.png")
    bucket.hear("a.png", "b c.png", "\u732b.png")

    assert bucket.differences() == []


def test_what_was_never_told_is_found_in_the_order_of_the_names_bytes(bucket: Bucket) -> None:
    bucket.write("b.png", "B.png", "\u732b.png", "known.png")
    bucket.hear("known.png")

    found = bucket.differences()

    assert found == [(name, "written") for name in ("B.png", "b.png", "\u732b.png")]


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_pages_of_any_size_are_compared(page: int, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "_PAGE", page)
    bucket.write("a.png", "b.png", "c.png", "d.png")
    bucket.hear("b.png", "d.png")
    (bucket.folder / "d.png").unlink()

    found = bucket.differences()

    assert found == [("a.png", "written"), ("c.png", "written"), ("d.png", "removed")]


def _lose_an_overwrite(bucket: Bucket) -> None:
    bucket.write("it.png", content=_OTHER)


def _lose_a_removal(bucket: Bucket) -> None:
    (bucket.folder / "it.png").unlink()


def _lose_what_came_after_a_removal(bucket: Bucket) -> None:
    (bucket.folder / "it.png").unlink()
    bucket.hear("it.png", change=Change.REMOVED, key="Z9")
    bucket.write("it.png", content=_OTHER)


@pytest.mark.parametrize(
    ("lose", "state"),
    [
        (_lose_an_overwrite, "indexed"),
        (_lose_a_removal, "deleted"),
        (_lose_what_came_after_a_removal, "indexed"),
    ],
)
def test_whatever_was_lost_one_sweep_mends_it(
    lose: Callable[[Bucket], None], state: str, bucket: Bucket
) -> None:
    bucket.write("it.png", "mate.png")
    bucket.hear("it.png", "mate.png")
    lose(bucket)

    bucket.sweep()

    assert bucket.states() == {"it.png": state, "mate.png": "indexed"}
    assert bucket.differences() == []


def test_what_came_while_the_sweep_looked_is_newer(
    bucket: Bucket, tmp_path: Path, local_database: Database
) -> None:
    bucket.write("it.png")
    [found] = auditing.differences(
        bucket.name, store=LocalStorage(tmp_path, timeout_s=5), index=local_database
    )
    (bucket.folder / "it.png").unlink()
    bucket.hear("it.png", change=Change.REMOVED, key="Z9")

    [outcome] = indexing.apply(
        [found],
        store=LocalStorage(tmp_path, timeout_s=5),
        embedder=_OFFLINE,
        index=local_database,
    )

    assert outcome.standing == "outdated"
    assert bucket.states() == {"it.png": "deleted"}


def test_what_failed_for_good_is_left_alone_until_it_changes(bucket: Bucket) -> None:
    bucket.write("bad.png", content=b"no picture")
    bucket.hear("bad.png")
    before = bucket.differences()
    bucket.write("bad.png")

    bucket.sweep()

    assert before == []
    assert bucket.states() == {"bad.png": "indexed"}


def test_previews_that_no_picture_needs_are_deleted_and_the_others_stay(bucket: Bucket) -> None:
    bucket.write("a.png", "b.png")
    bucket.hear("a.png", "b.png")
    needed = sorted(path for path in bucket.previews.rglob("*.webp"))
    (bucket.previews / "999999").mkdir()
    (bucket.previews / "999999" / "1.webp").write_bytes(b"left by a worker that was killed")
    (bucket.previews / "by hand.webp").write_bytes(b"?")

    deleted = bucket.delete_orphan_previews()

    assert deleted == 2
    assert sorted(path for path in bucket.previews.rglob("*.webp")) == needed
    assert len(needed) == 2
