"""Following a bucket: storage has the last word, what comes again costs nothing, previews keep up."""

import json
import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

import psycopg
import pytest

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    DIMENSIONS,
    Database,
    Row,
    Session,
    as_recorded,
    at_once,
    beside,
    call,
    index,
    item,
    names,
    own_database,
    result,
    search,
    sha256,
    vector,
)

_ALICE = "00000000-0000-4000-8000-00000000000a"
_BOB = "00000000-0000-4000-8000-00000000000b"
_SIZE = 10
# Where a language, a number or a quoting rule would put them elsewhere, or read them as something else.
_NAMES = ["10%.jpg", "B.jpg", "a.jpg", "a_b.jpg", "it's.jpg", 'say "x".jpg', "É.jpg", "图片.jpg"]

_Record: TypeAlias = Callable[..., list[Row]]


@pytest.fixture(scope="module")
def session(server: Postgres) -> Iterator[Session]:
    """Of the service role, in one database for all tests that need no other session."""
    with own_database(server) as database:
        yield database.session()


@pytest.fixture
def service(session: Session) -> Iterator[Session]:
    """What a test does is undone."""
    with session.transaction(force_rollback=True):
        yield session


@pytest.fixture
def worker(database: Database) -> Session:
    """Of the service role, in a database where others work too."""
    return database.session()


def _put(
    session: Session, name: str, moment: int = 1, *, bucket: str = "photos", **columns: object
) -> object:
    """An object in Storage, over what is there; the moment is a second."""
    row: Row = {
        "bucket_id": bucket,
        "name": name,
        "version": f"v{moment}",
        "metadata": {"eTag": '"e"', "size": _SIZE},
        "user_metadata": None,
        "owner_id": None,
        "created_at": _moment(0),
        "updated_at": _moment(moment),
        **columns,
    }
    _delete(session, name, bucket)
    session.execute(
        "insert into storage.buckets (id, name) values (%s, %s) on conflict do nothing", (bucket, bucket)
    )
    return session.execute(
        "insert into storage.objects"
        " (bucket_id, name, version, metadata, user_metadata, owner_id, created_at, updated_at) values"
        " (%(bucket_id)s, %(name)s, %(version)s, %(metadata)s, %(user_metadata)s, %(owner_id)s,"
        " %(created_at)s, %(updated_at)s)",
        {
            key: value and json.dumps(value) if key.endswith("metadata") else value
            for key, value in row.items()
        },
    )


def _delete(session: Session, name: str, bucket: str = "photos") -> None:
    session.execute("set storage.allow_delete_query = 'true'")
    session.execute("delete from storage.objects where bucket_id = %s and name = %s", (bucket, name))


def _moment(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}Z"


def _key(second: int) -> str:
    """How that moment ranks."""
    return f"20260101T0000{second:02}.000000Z"


def _record(session: Session, *images: Row, **arguments: object) -> list[Row]:
    """Of a store that the database cannot ask."""
    return _record_seen(session, *images, **{"provider": "s3", **arguments})


def _record_seen(session: Session, *images: Row, **arguments: object) -> list[Row]:
    """Of Supabase's Storage."""
    return call(session, "record_images_v3", images=[*images], **arguments)


def _remove(session: Session, *objects: Row, **arguments: object) -> list[Row]:
    removals = [{key: each[key] for key in ("bucket", "name", "ordering_key")} for each in objects]
    return call(session, "remove_images_v2", objects=removals, **{"provider": "s3", **arguments})


def _store(session: Session, *results: Row, **arguments: object) -> list[str]:
    return _standings(call(session, "store_vectors_v2", vectors=[*results], **arguments))


def _standings(rows: list[Row]) -> list[str]:
    return [row["standing"] for row in rows]


def _embedded(image: Row, embedding: str = vector(1)) -> Row:
    return result(image, embedding)


def _with_preview(image: Row, preview: str | None) -> Row:
    return {**as_recorded(image), "preview": preview}


def _indexed(session: Session, image: Row, embedding: str = vector(1), **arguments: object) -> Row:
    """Record an image, store its vector and its preview; as it was recorded."""
    [recorded] = _record(session, image, **arguments)
    _store(session, {**_embedded(image, embedding), "preview": recorded["preview"]})
    return recorded


def _image(session: Session, name: str) -> Row:
    """All that is on record of it."""
    [(row,)] = session.execute("select to_jsonb(i) from pixseek.images i where name = %s", (name,))
    image: Row = row
    return image


def _images(session: Session) -> list[str]:
    rows = session.execute("select name from pixseek.images order by name")
    return [name for (name,) in rows]


def _spared(session: Session) -> int:
    [(count,)] = session.execute("select count(*) from pixseek.spare_vectors")
    return int(count)


def _states(session: Session, *object_names: str) -> dict[str, str]:
    rows = call(session, "image_states_v1", bucket_name="photos", object_names=[*object_names])
    return {row["name"]: row["state"] for row in rows}


def test_of_an_object_of_supabase_storage_says_all_that_is_not_in_its_bytes(service: Session) -> None:
    _put(service, "a.jpg", 7, owner_id=_ALICE)
    claimed: Row = {"owner": _BOB, "version": "mine", "created_at": _moment(59), "size_bytes": _SIZE}

    _record_seen(service, item("a.jpg", "zzz", width=3, **claimed))

    image = _image(service, "a.jpg")
    assert (image["owner"], image["version"], image["ordering_key"]) == (_ALICE, "v7", _key(7))
    assert (image["size_bytes"], image["width"], image["created_at"][:19]) == (_SIZE, 3, _moment(0)[:19])


@pytest.mark.parametrize(
    ("said", "owner"),
    [({"by": _ALICE}, _ALICE), ({"for": _ALICE}, None), ([_ALICE], None), ("by", None), (None, None)],
    ids=str,
)
def test_metadata_for_the_owner_rule_is_what_storage_has(
    said: object, owner: str | None, service: Session
) -> None:
    call(
        service,
        "put_bucket_v1",
        bucket_name="photos",
        owner_rule="metadata",
        owner_metadata_key="by",
    )
    _put(service, "a.jpg", user_metadata=said)

    recorded = _record_seen(service, item("a.jpg", metadata={"by": _BOB}))

    assert _standings(recorded) == ["pending"]
    assert _image(service, "a.jpg")["owner"] == owner


@pytest.mark.parametrize("said", [[1], "text", 7, None], ids=str)
def test_metadata_that_is_no_object_is_listed_as_none(said: object, service: Session) -> None:
    _put(service, "a.jpg", user_metadata=said)

    listed = call(service, "list_objects_v1", bucket_name="photos")
    stored = call(service, "stored_objects_v1", bucket_name="photos", object_names=["a.jpg"])

    assert [row["metadata"] for row in listed + stored] == [{}, {}]


@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        ([{}], {"etag": "other"}),
        ([{}], {"size_bytes": _SIZE + 1}),
        ([], {}),
        ([{"bucket": "elsewhere"}], {}),
        ([{"version": None}], {}),
        ([{"metadata": {"eTag": '"e"'}}], {}),
        ([{"metadata": None}], {}),
    ],
    ids=["etag", "size", "no row", "other bucket", "no version", "no size", "no metadata"],
)
def test_what_is_not_there_as_it_was_read_is_left_out_and_its_mates_are_recorded(
    rows: list[Row], seen: Row, service: Session
) -> None:
    _ = [_put(service, name) for name in ("a.jpg", "c.jpg")]
    _ = [_put(service, "b.jpg", **row) for row in rows]
    read: Row = {"etag": "e", "size_bytes": _SIZE}

    recorded = _record_seen(
        service, item("a.jpg", **read), item("b.jpg", **{**read, **seen}), item("c.jpg", **read)
    )

    assert [(row["name"], row["standing"]) for row in recorded] == [
        ("a.jpg", "pending"),
        ("b.jpg", "changed"),
        ("c.jpg", "pending"),
    ]
    assert {*recorded[1].values()} == {"photos", "b.jpg", "changed", None, False}
    assert _images(service) == ["a.jpg", "c.jpg"]


def test_what_has_changed_leaves_the_index_as_it_is(service: Session) -> None:
    _put(service, "a.jpg", 1)
    _record_seen(service, item("a.jpg"))
    before = _image(service, "a.jpg")
    _put(service, "a.jpg", 2, metadata={"eTag": '"new"', "size": _SIZE})

    recorded = _record_seen(service, item("a.jpg", content="read before", etag="e"))

    assert _standings(recorded) == ["changed"]
    assert _image(service, "a.jpg") == before


def test_the_bucket_of_what_has_changed_is_not_registered(service: Session) -> None:
    _record_seen(service, item("a.jpg"))
    _remove(service, item("a.jpg"), item("b.jpg", bucket="other"))

    assert [(row["name"], row["provider"]) for row in call(service, "list_buckets_v1")] == [
        ("other", "s3"),
        ("photos", "s3"),
    ]


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ('"x"', "x"),
        ('W/"x"', "x"),
        ("x", '"x"'),
        ('"x"', 'W/"x"'),
        ('"x-2"', "x-2"),
        ('"x"', None),
        (None, "x"),
    ],
)
def test_an_etag_is_the_same_however_it_is_written(
    stored: str | None, read: str | None, service: Session
) -> None:
    _put(service, "a.jpg", metadata={"eTag": stored, "size": _SIZE})

    recorded = _record_seen(service, item("a.jpg", etag=read))

    assert _standings(recorded) == ["pending"]


def test_answers_come_in_the_order_of_the_call_whatever_they_are(service: Session) -> None:
    _ = [_put(service, f"{letter}.jpg", 1) for letter in "abcde"]
    _record_seen(service, item("b.jpg"))
    _store(service, _embedded(item("b.jpg")))
    _remove(service, item("e.jpg", _key(9)))
    call(service, "block_images_v1", image_ids=[index(service, item("c.jpg"), vector(1))], reason="no")

    recorded = _record_seen(service, *[item(f"{letter}.jpg", reason=reason) for letter, reason in _ANSWERS])

    assert [(row["name"][0], row["standing"]) for row in recorded] == [
        ("e", "outdated"),
        ("x", "changed"),
        ("d", "failed"),
        ("c", "blocked"),
        ("y", "changed"),
        ("b", "indexed"),
        ("a", "pending"),
    ]


_ANSWERS = [(letter, "no picture" if letter == "d" else None) for letter in "exdcyba"]


@pytest.mark.parametrize("provider", ["s3", "gcs", "local"])
def test_of_other_providers_the_item_says_all_and_storage_is_not_asked(
    provider: str, service: Session
) -> None:
    _put(service, "a.jpg", 7, owner_id=_ALICE)
    said: Row = {"owner": _BOB, "version": "mine", "size_bytes": 1, "etag": "mine", "created_at": _moment(5)}

    recorded = _record(service, item("a.jpg", "key", **said), provider=provider)

    image = _image(service, "a.jpg")
    assert _standings(recorded) == ["pending"]
    assert (image["owner"], image["version"], image["ordering_key"]) == (_BOB, "mine", "key")
    assert (image["size_bytes"], image["created_at"][:19]) == (1, _moment(5)[:19])
    assert [row["provider"] for row in call(service, "list_buckets_v1")] == [provider]


def test_a_bucket_keeps_the_provider_that_it_has(service: Session) -> None:
    _record(service, item("a.jpg"), provider="gcs")

    _record(service, item("b.jpg"), item("c.jpg", bucket="other"), provider="s3")

    assert [row["provider"] for row in call(service, "list_buckets_v1")] == ["s3", "gcs"]


def test_an_object_that_is_twice_in_a_call_is_recorded_once_as_it_is_newest(service: Session) -> None:
    recorded = _record(service, item("a.jpg", "2", content="new"), item("a.jpg", "1", content="old"))

    assert _standings(recorded) == ["pending", "outdated"]
    assert _image(service, "a.jpg")["content_hash"] == sha256("new")
    assert _image(service, "a.jpg")["edition"] == 1


def test_an_object_of_supabase_that_is_twice_in_a_call_is_recorded_as_it_was_read_last(
    service: Session,
) -> None:
    _put(service, "a.jpg")

    recorded = _record_seen(service, item("a.jpg", "9", content="x"), item("a.jpg", "1", content="y"))

    assert _standings(recorded) == ["pending", "pending"]
    assert len({row["preview"] for row in recorded}) == 1
    assert _image(service, "a.jpg")["content_hash"] == sha256("y")


@pytest.mark.parametrize(
    ("later", "colour"),
    [
        ([], "#c0ffee"),
        ([item("a.jpg", "2", average_colour="#000000")], "#000000"),
        ([item("a.jpg", "2")], "#c0ffee"),
        ([item("a.jpg", "2", content="new", average_colour="#123456")], "#123456"),
        ([item("a.jpg", "2", content="new")], None),
        ([item("a.jpg", "0", content="old", average_colour="#123456")], "#c0ffee"),
    ],
    ids=["as it came", "another", "the same bytes without", "other bytes", "other bytes without", "outdated"],
)
def test_the_average_colour_is_that_of_the_bytes(
    later: list[Row], colour: str | None, service: Session
) -> None:
    _record(service, item("a.jpg", "1", average_colour="#c0ffee"))

    _ = [_record(service, image) for image in later]

    assert _image(service, "a.jpg")["average_colour"] == colour


def test_a_sweep_brings_back_what_the_tombstone_that_it_saw_hides(service: Session) -> None:
    _remove(service, item("a.jpg", "5"))

    ordinary = _record(service, item("a.jpg", "5"))
    swept = _record(service, item("a.jpg", "5", is_of_sweep=True))

    assert (_standings(ordinary), _standings(swept)) == (["outdated"], ["pending"])
    assert swept[0]["preview"]


def test_what_a_sweep_has_brought_back_goes_with_the_next_removal_of_that_key(service: Session) -> None:
    _remove(service, item("a.jpg", "5"))
    _record(service, item("a.jpg", "5", is_of_sweep=True))

    removed = _remove(service, item("a.jpg", "5"))

    assert _standings(removed) == ["deleted"]


@pytest.mark.parametrize(("removed", "recorded"), [(["6"], []), ([], ["7"])], ids=["removed", "recorded"])
def test_a_sweep_counts_for_nothing_beside_what_the_index_has_learned_since(
    removed: list[str], recorded: list[str], service: Session
) -> None:
    _remove(service, item("a.jpg", "5"))
    _ = [_remove(service, item("a.jpg", key)) for key in removed]
    _ = [_record(service, item("a.jpg", key, content="new")) for key in recorded]

    swept = _record(service, item("a.jpg", "5", content="seen", is_of_sweep=True))

    assert _standings(swept) == ["outdated"]


@pytest.mark.parametrize("moment", [4, 5, 6])
def test_a_sweep_brings_back_what_storage_has_whenever_storage_dates_it(
    moment: int, service: Session
) -> None:
    _remove(service, item("a.jpg", _key(5)))
    _put(service, "a.jpg", moment)

    swept = _record_seen(service, item("a.jpg", _key(5), is_of_sweep=True))

    assert _standings(swept) == ["pending"]
    assert _image(service, "a.jpg")["ordering_key"] == _key(max(moment, 5))


def test_what_storage_dates_before_the_index_is_recorded_for_a_sweep_only(
    service: Session,
) -> None:
    _record(service, item("a.jpg", _key(9)))
    _put(service, "a.jpg", 5)

    ordinary = _record_seen(service, item("a.jpg", _key(9), content="new"))
    swept = _record_seen(service, item("a.jpg", _key(9), content="new", is_of_sweep=True))

    assert (_standings(ordinary), _standings(swept)) == (["outdated"], ["pending"])
    assert _image(service, "a.jpg")["ordering_key"] == _key(9)


def test_a_sweep_does_not_bring_back_what_was_removed_while_it_waited(
    database: Database, worker: Session
) -> None:
    image, removing = item("a.jpg", _key(1)), database.session()
    _put(worker, "a.jpg", 1)
    _record_seen(worker, image)
    removing.execute("begin")
    _delete(removing, "a.jpg")
    _remove(removing, image, provider="supabase")

    with beside(database, worker, lambda: _record_seen(worker, {**image, "is_of_sweep": True})) as recorded:
        removing.execute("commit")

    assert _standings(recorded.result()) == ["outdated"]
    assert _states(worker, "a.jpg") == {"a.jpg": "deleted"}


@pytest.mark.parametrize(
    ("contents", "editions"),
    [("a", [1]), ("aa", [1, 1]), ("ab", [1, 2]), ("aba", [1, 2, 3]), ("abba", [1, 2, 2, 3])],
)
def test_a_previews_name_has_the_image_and_how_often_its_bytes_changed(
    contents: str, editions: list[int], service: Session
) -> None:
    images = [item("a.jpg", str(key), content=content) for key, content in enumerate(contents)]

    recorded = [_record(service, image)[0] for image in images]

    assert [row["preview"] for row in recorded] == [
        f"{row['image_id']}/{edition}.webp" for row, edition in zip(recorded, editions, strict=True)
    ]


def test_a_picture_that_was_removed_comes_back_under_another_name_of_its_preview(service: Session) -> None:
    first = _indexed(service, item("a.jpg", "1"))
    _remove(service, item("a.jpg", "1"))

    [again] = _record(service, item("a.jpg", "2"))

    assert again["image_id"] == first["image_id"]
    assert again["preview"] != first["preview"]
    assert (again["has_preview"], again["old_preview"]) == (False, None)


def test_a_preview_is_there_once_it_was_said_so(service: Session) -> None:
    image = item("a.jpg")
    [before] = _record(service, image)

    stored = _store(service, _with_preview(image, before["preview"]))

    [after] = _record(service, image)
    assert stored == ["pending"]
    assert (before["has_preview"], after["has_preview"]) == (False, True)
    assert (after["preview"], after["old_preview"]) == (before["preview"], None)


@pytest.mark.parametrize(
    "name", ["{id}/0.webp", "{id}/2.webp", "0/1.webp", "{id}/1.png", "{id}/01.webp", "", " {id}/1.webp"]
)
def test_a_preview_of_another_name_is_not_the_pictures(name: str, service: Session) -> None:
    image = item("a.jpg")
    [recorded] = _record(service, image)

    _store(service, _with_preview(image, name.format(id=recorded["image_id"])))

    assert [row["has_preview"] for row in _record(service, image)] == [False]


@pytest.mark.parametrize(("contents", "standing"), [("ab", "outdated"), ("aba", "indexed")])
def test_a_preview_that_comes_late_is_not_that_of_newer_bytes(
    contents: str, standing: str, service: Session
) -> None:
    images = [item("a.jpg", str(key), content=content) for key, content in enumerate(contents)]
    [first] = _record(service, images[0])
    _store(service, _embedded(images[0]))
    _ = [_record(service, image) for image in images[1:]]

    stored = _store(service, _with_preview(images[0], first["preview"]))

    assert stored == [standing]
    assert [row["has_preview"] for row in _record(service, images[-1])] == [False]


@pytest.mark.parametrize("later", [{}, {"reason": "no picture"}], ids=["a picture", "no picture"])
def test_an_overwrite_tells_which_preview_can_go(later: Row, service: Session) -> None:
    before = _indexed(service, item("a.jpg", "1"))

    [overwritten] = _record(service, item("a.jpg", "2", content="new", **later))
    [again] = _record(service, item("a.jpg", "2", content="new", **later))

    assert (overwritten["old_preview"], overwritten["has_preview"]) == (before["preview"], False)
    assert again["old_preview"] is None


def test_an_overwrite_of_what_has_no_preview_tells_of_none(service: Session) -> None:
    _record(service, item("a.jpg", "1"))

    [overwritten] = _record(service, item("a.jpg", "2", content="new"))

    assert overwritten["old_preview"] is None


def test_the_same_bytes_again_keep_their_preview(service: Session) -> None:
    before = _indexed(service, item("a.jpg", "1"))

    [again] = _record(service, item("a.jpg", "2"))

    assert (again["preview"], again["has_preview"], again["old_preview"]) == (before["preview"], True, None)


def test_a_removal_tells_which_preview_can_go_once(service: Session) -> None:
    before = _indexed(service, item("a.jpg", "2"))

    removed = [_remove(service, item("a.jpg", key))[0] for key in ("1", "2", "3")]

    assert [(row["standing"], row["old_preview"]) for row in removed] == [
        ("outdated", None),
        ("deleted", before["preview"]),
        ("deleted", None),
    ]


@pytest.mark.parametrize(
    ("blocked_for", "later", "standing"),
    [
        (None, {"reason": "no picture"}, "failed"),
        ("a complaint", {}, "blocked"),
        (None, {"ordering_key": "4"}, "outdated"),
    ],
    ids=["failed", "blocked", "outdated"],
)
def test_a_preview_is_asked_for_only_of_what_may_be_shown(
    blocked_for: str | None, later: Row, standing: str, service: Session
) -> None:
    image = item("a.jpg", "5")
    [recorded] = _record(service, image)
    call(service, "block_images_v1", image_ids=[recorded["image_id"]], reason=blocked_for)

    [row] = _record(service, {**image, **later})

    assert (row["standing"], row["preview"]) == (standing, None)


def test_what_storage_still_has_is_not_removed(service: Session) -> None:
    images = [item(f"{letter}.jpg", _key(1)) for letter in "abc"]
    _ = [_put(service, image["name"]) for image in images]
    _record_seen(service, *images)
    _delete(service, "b.jpg")

    removed = _remove(service, *images[::-1], item("never.jpg"), provider="supabase")

    assert [(row["name"], row["standing"]) for row in removed] == [
        ("c.jpg", "changed"),
        ("b.jpg", "deleted"),
        ("a.jpg", "changed"),
        ("never.jpg", "deleted"),
    ]
    assert _states(service, "a.jpg", "b.jpg", "c.jpg") == {
        "a.jpg": "pending",
        "b.jpg": "deleted",
        "c.jpg": "pending",
    }


@pytest.mark.parametrize(
    "row", [{"version": None}, {"metadata": {"eTag": '"e"'}}, {"metadata": None}], ids=str
)
def test_a_row_that_storage_did_not_write_keeps_nothing_in_the_index(row: Row, service: Session) -> None:
    _put(service, "a.jpg", **row)

    removed = _remove(service, item("a.jpg"), provider="supabase")

    assert _standings(removed) == ["deleted"]


@pytest.mark.parametrize("provider", ["s3", "gcs", "local"])
def test_of_other_providers_storage_is_not_asked_for_a_removal(provider: str, service: Session) -> None:
    _put(service, "a.jpg")

    removed = _remove(service, item("a.jpg"), provider=provider)

    assert _standings(removed) == ["deleted"]
    assert [row["provider"] for row in call(service, "list_buckets_v1")] == [provider]


def test_vectors_reasons_and_previews_come_in_one_call_and_are_answered_in_its_order(
    service: Session,
) -> None:
    images = [item(f"{number}.jpg") for number in range(7)]
    recorded = _record(service, *images)
    previews = [row["preview"] for row in recorded]
    _remove(service, images[6])

    standings = _store(
        service,
        _with_preview(images[0], previews[0]),
        {**_embedded(images[1]), "preview": previews[1]},
        {**as_recorded(images[2]), "reason": "too dark"},
        _with_preview(images[6], previews[6]),
        {**as_recorded(images[3]), "reason": "too slow", "may_retry": True, "preview": previews[3]},
        _embedded(item("5.jpg", content="of before")),
        _embedded(images[4]),
    )

    assert standings == ["pending", "indexed", "failed", "outdated", "pending", "outdated", "indexed"]
    assert [row["has_preview"] for row in _record(service, *images[:6])] == [
        *[True, True, False, True, False, False]
    ]


def test_a_preview_alone_leaves_the_picture_to_who_is_embedding_it(service: Session) -> None:
    image = item("a.jpg")
    [recorded] = _record(service, image)

    _store(service, _with_preview(image, recorded["preview"]))
    others = _standings(_record(service, image, item("copy.jpg", content="a.jpg")))
    stored = _store(service, _embedded(image))

    assert (others, stored) == (["waiting", "waiting"], ["indexed"])
    assert call(service, "claim_images_v1") == []
    assert names(search(service, vector(1))) == ["a.jpg", "copy.jpg"]


def test_a_preview_of_what_turned_out_to_be_no_picture_does_not_make_it_one(service: Session) -> None:
    image = item("a.jpg", "1")
    [recorded] = _record(service, image)
    _record(service, {**image, "ordering_key": "2", "reason": "no picture"})

    stored = _store(service, _with_preview(image, recorded["preview"]))

    assert (stored, _states(service, "a.jpg")) == (["failed"], {"a.jpg": "failed"})


def test_what_could_not_be_embedded_is_handed_out_again_with_its_preview(service: Session) -> None:
    image = item("a.jpg")
    [recorded] = _record(service, image)
    failed = {**as_recorded(image), "reason": "too dark", "preview": recorded["preview"]}
    _store(service, failed)

    orphans = _orphans(service, recorded["preview"])
    call(service, "requeue_images_v1")
    [claimed] = call(service, "claim_images_v1")

    assert orphans == []
    assert claimed["name"] == "a.jpg"
    assert [row["has_preview"] for row in _record(service, image)] == [True]


def test_permits_come_with_what_is_recorded_and_what_got_none_is_nobodys(service: Session) -> None:
    call(service, "limit_spending_v1", limits={"indexing_calls_per_day": 2})
    images = [item(f"{letter}.jpg") for letter in "abc"]

    recorded = _record(service, *images, permit_wait_s=60)

    work = service.execute("select attempts from pixseek.work order by attempts").fetchall()
    assert _standings(recorded) == ["pending"] * 3
    granted = [
        tuple(row[key] is not None for key in ("embed_in_s", "embed_until_s", "permits_at"))
        for row in recorded
    ]
    assert sorted(granted) == [(False, False, True), (True, True, False), (True, True, False)]
    assert work == [(0,), (1,), (1,)]


def test_bytes_that_were_deleted_and_come_again_need_no_model(service: Session) -> None:
    _indexed(service, item("a.jpg", "1"), vector(1))
    _remove(service, item("a.jpg", "2"))

    recorded = _record(service, item("a.jpg", "3"))

    assert _standings(recorded) == ["indexed"]
    assert [hit["similarity"] for hit in search(service, vector(1))["hits"]] == [1]


def test_the_events_of_a_move_may_come_the_wrong_way_round(service: Session) -> None:
    _indexed(service, item("old.jpg", "1", content="c"))

    _remove(service, item("old.jpg", "1"))
    recorded = _record(service, item("new.jpg", "2", content="c"))

    assert _standings(recorded) == ["indexed"]
    assert names(search(service, vector(1))) == ["new.jpg"]


def test_an_overwrite_and_back_needs_one_model_call_for_each_content(service: Session) -> None:
    _indexed(service, item("a.jpg", "1", content="x"), vector(1))
    _indexed(service, item("a.jpg", "2", content="y"), vector(0, 1))

    back = _record(service, item("a.jpg", "3", content="x"))
    similar = [hit["similarity"] for hit in search(service, vector(1))["hits"]]
    forth = _record(service, item("a.jpg", "4", content="y"))

    assert (_standings(back), similar, _standings(forth)) == (["indexed"], [1], ["indexed"])


def test_two_pictures_that_change_places_in_one_call_keep_their_vectors(service: Session) -> None:
    _ = [_indexed(service, item(name, "1"), vector(*axis)) for name, axis in _PLACES]

    recorded = _record(service, item("a.jpg", "2", content="b.jpg"), item("b.jpg", "2", content="a.jpg"))

    assert _standings(recorded) == ["indexed", "indexed"]
    assert names(search(service, vector(1))) == ["b.jpg", "a.jpg"]


_PLACES = [("a.jpg", (1,)), ("b.jpg", (0, 1))]


def test_a_vector_that_comes_too_late_for_its_picture_is_there_when_its_bytes_come_back(
    service: Session,
) -> None:
    old, new = item("a.jpg", "1", content="x"), item("a.jpg", "2", content="y")
    _ = [_record(service, image) for image in (old, new)]

    late = _store(service, _embedded(old))
    back = _record(service, item("a.jpg", "3", content="x"))

    assert (late, _standings(back)) == (["outdated"], ["indexed"])
    assert _store(service, _embedded(new)) == ["outdated"]


def test_a_vector_of_a_picture_that_was_moved_meanwhile_serves_its_new_name(service: Session) -> None:
    _record(service, item("old.jpg", "1", content="c"))
    _remove(service, item("old.jpg", "1"))

    late = _store(service, _embedded(item("old.jpg", content="c")))
    recorded = _record(service, item("new.jpg", "2", content="c"))

    assert (late, _standings(recorded)) == (["outdated"], ["indexed"])


def test_of_two_vectors_for_the_same_bytes_the_newer_is_spared(service: Session) -> None:
    _indexed(service, item("a.jpg", "1"), vector(1))
    _remove(service, item("a.jpg", "1"))
    _record(service, item("a.jpg", "2"))
    _store(service, _embedded(item("a.jpg"), vector(0, 1)))
    _remove(service, item("a.jpg", "2"))

    _record(service, item("a.jpg", "3"))

    assert [hit["similarity"] for hit in search(service, vector(0, 1))["hits"]] == [1]


def test_bytes_are_spared_under_every_model(service: Session) -> None:
    call(service, "create_model_v1", model_name="n", model_dimensions=DIMENSIONS)
    image = item("a.jpg", "1")
    _indexed(service, image)
    _store(service, _embedded(image), model_name="n")
    _remove(service, image)

    _record(service, item("a.jpg", "2"))

    assert names(search(service, vector(1), model_name="n")) == ["a.jpg"]


def test_a_clients_vector_is_never_spared(service: Session) -> None:
    call(service, "create_model_v1", model_name="g", model_dimensions=512)
    call(service, "activate_model_v1", model_name="g")
    embedding = vector(1, dimensions=512)
    service.execute("insert into public.images (image, embedding) values ('a.jpg', %s)", (embedding,))
    image = item("a.jpg", "1", bucket="images")
    _record(service, image)

    _remove(service, image)

    assert _spared(service) == 0
    assert _standings(_record(service, {**image, "ordering_key": "2"})) == ["waiting"]


def _age(session: Session, interval: str) -> None:
    """As if the models and what was spared were that old."""
    session.execute("update pixseek.models set created_at = now() - interval '1 year'")
    session.execute("update pixseek.spare_vectors set spared_at = now() - %s::interval", (interval,))


@pytest.mark.parametrize(
    ("age", "left", "standing"), [("23 hours", 2, "indexed"), ("25 hours", 1, "pending")]
)
def test_spare_vectors_are_gone_after_a_day(age: str, left: int, standing: str, service: Session) -> None:
    _indexed(service, item("a.jpg", "1"))
    _indexed(service, item("b.jpg", "1"))
    _remove(service, item("a.jpg", "1"))
    _age(service, age)

    _remove(service, item("b.jpg", "1"))

    assert _spared(service) == left
    assert _standings(_record(service, item("a.jpg", "2"))) == [standing]


def test_nobody_waits_for_an_old_spare_vector_that_is_in_use(database: Database, worker: Session) -> None:
    _ = [_indexed(worker, item(name, "1")) for name in ("a.jpg", "b.jpg")]
    _remove(worker, item("a.jpg", "1"))
    owner, holding = database.owner(), database.owner()
    _age(owner, "25 hours")
    holding.execute("begin; select from pixseek.spare_vectors for update")
    worker.execute("set statement_timeout = '5s'")

    removed = _remove(worker, item("b.jpg", "1"))

    holding.execute("rollback")
    assert (_standings(removed), _spared(worker)) == (["deleted"], 2)


def test_a_removal_again_keeps_a_spare_vector_for_another_day(service: Session) -> None:
    _indexed(service, item("a.jpg", "1"))
    _remove(service, item("a.jpg", "1"))
    _age(service, "20 hours")

    _record(service, item("a.jpg", "2"))
    _remove(service, item("a.jpg", "2"))

    renewed = service.execute("select spared_at = now() from pixseek.spare_vectors")
    assert renewed.fetchall() == [(True,)]


def test_spare_vectors_of_a_dropped_model_are_used_no_more(worker: Session) -> None:
    _indexed(worker, item("a.jpg", "1"))
    _remove(worker, item("a.jpg", "1"))
    call(worker, "create_model_v1", model_name="n", model_dimensions=DIMENSIONS)
    call(worker, "activate_model_v1", model_name="n")

    call(worker, "drop_model_v1", model_name="m")
    under_another = _record(worker, item("a.jpg", "2"))
    call(worker, "create_model_v1", model_name="m", model_dimensions=DIMENSIONS)
    anew = _record(worker, item("a.jpg", "3"), model_name="m")

    vectors = {row["name"]: row["vectors"] for row in call(worker, "list_models_v1")}
    assert (_standings(under_another), _standings(anew)) == (["pending"], ["pending"])
    assert vectors == {"m": 0, "n": 0}


def _pages(session: Session, function: str) -> list[list[str]]:
    """Two of six, and what is left."""
    first = call(session, function, bucket_name="photos", page_size=6)
    second = call(session, function, bucket_name="photos", after=first[-1]["name"], page_size=6)
    last = call(session, function, bucket_name="photos", after=second[-1]["name"], page_size=6)
    return [[row["name"] for row in page] for page in (first, second, last)]


@pytest.mark.parametrize("function", ["list_objects_v1", "list_images_v1"])
def test_pages_go_by_the_bytes_of_the_names_and_miss_none(function: str, service: Session) -> None:
    _ = [_put(service, name) for name in reversed(_NAMES)]
    _put(service, "a.jpg", bucket="other")
    _record(service, *[item(name) for name in _NAMES], item("a.jpg", bucket="other"))

    pages = _pages(service, function)

    assert pages == [_NAMES[:6], _NAMES[6:], []]
    assert sorted(_NAMES, key=str.encode) == _NAMES


@pytest.mark.parametrize("function", ["list_objects_v1", "list_images_v1"])
def test_a_page_after_nothing_is_the_first(function: str, service: Session) -> None:
    _put(service, "a.jpg")
    _record(service, item("a.jpg"))

    pages = [call(service, function, bucket_name="photos", **more) for more in ({}, {"after": None})]

    assert [[row["name"] for row in page] for page in pages] == [["a.jpg"], ["a.jpg"]]


def test_the_list_of_objects_says_of_each_what_storage_has(service: Session) -> None:
    said = {"by": _BOB}
    metadata = {"eTag": 'W/"x"', "size": 3}
    _put(service, "a.jpg", 5, owner_id=_ALICE, user_metadata=said, metadata=metadata)
    _put(service, "by hand.jpg", version=None)
    _put(service, "by hand too.jpg", metadata={"eTag": '"e"'})

    [row] = call(service, "list_objects_v1", bucket_name="photos")

    assert (row["name"], row["version"], row["etag"], row["owner"]) == ("a.jpg", "v5", "x", _ALICE)
    assert (row["metadata"], row["size_bytes"]) == (said, 3)
    assert (row["created_at"].second, row["updated_at"].second) == (0, 5)


def test_the_list_of_images_has_tombstones_and_says_of_each_what_a_sweep_compares(service: Session) -> None:
    _indexed(service, item("a.jpg", "3", version="v3", size_bytes=7))
    _record(service, item("b.jpg", "1", reason="no picture"))
    _remove(service, item("c.jpg", "2"))

    listed = call(service, "list_images_v1", bucket_name="photos")

    assert [tuple(row.values()) for row in listed] == [
        ("a.jpg", "v3", 7, "3", "indexed", True),
        ("b.jpg", None, None, "1", "failed", False),
        ("c.jpg", None, None, "2", "deleted", False),
    ]


def _orphans(session: Session, *preview_names: str, bucket: str = "photos") -> list[str]:
    rows = call(session, "orphan_previews_v1", bucket_name=bucket, preview_names=[*preview_names])
    return [row["orphan_previews_v1"] for row in rows]


@pytest.mark.parametrize(
    "name",
    [
        "{id}/1.webp",
        "{id}/3.webp",
        "{id}/2.png",
        "{id}/02.webp",
        "0{id}/2.webp",
        "{id}/2.webp/2.webp",
        " {id}/2.webp",
        "{id}/2.webp\n",
        "{id}/-2.webp",
        "{id}",
        "/",
        "",
        "999999999999999999/2.webp",
        "99999999999999999999999999/2.webp",
        "{id}/99999999999999999999999999.webp",
        "holiday.webp",
        "图/2.webp",
        "'; drop table pixseek.images; --",
    ],
)
def test_a_preview_is_an_orphan_unless_it_is_of_the_bytes_that_a_picture_has(
    name: str, service: Session
) -> None:
    _record(service, item("a.jpg", "1", content="old"))
    [row] = _record(service, item("a.jpg", "2", content="new"))
    given = name.format(id=row["image_id"])

    orphans = _orphans(service, row["preview"], given)

    assert orphans == [given]
    assert row["preview"] == f"{row['image_id']}/2.webp"


def test_the_previews_of_what_is_gone_are_orphans_and_those_of_what_is_hidden_or_waits_are_not(
    service: Session,
) -> None:
    images = [item(f"{letter}.jpg") for letter in "abcd"]
    recorded = {row["name"]: row for row in _record(service, *images)}
    previews = [row["preview"] for row in recorded.values()]
    _remove(service, images[0])
    call(service, "block_images_v1", image_ids=[recorded["b.jpg"]["image_id"]], reason="no")
    _store(service, {**as_recorded(images[2]), "reason": "too dark"})

    orphans = _orphans(service, *previews)

    assert orphans == [recorded["a.jpg"]["preview"]]


def test_a_preview_in_another_bucket_is_an_orphan_there(service: Session) -> None:
    [recorded] = _record(service, item("a.jpg"))
    _record(service, item("a.jpg", bucket="other"))

    orphans = [_orphans(service, recorded["preview"], bucket=name) for name in ("photos", "other", "none")]

    assert orphans == [[], [recorded["preview"]], [recorded["preview"]]]


def _failed(session: Session, **arguments: object) -> list[str]:
    rows = call(session, "failed_images_v2", match_count=10, **arguments)
    return [row["image"] for row in rows]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({}, ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]),
        ({"bucket_name": "other"}, ["d.jpg"]),
        ({"bucket_name": "nowhere"}, []),
        ({"reason_part": "not a picture"}, ["d.jpg", "a.jpg"]),
        ({"reason_part": "PICTURE"}, ["d.jpg", "a.jpg"]),
        ({"reason_part": "picture", "bucket_name": "photos"}, ["a.jpg"]),
        ({"reason_part": "%"}, ["b.jpg"]),
        ({"reason_part": "100%"}, ["b.jpg"]),
        ({"reason_part": "_"}, ["c.jpg"]),
        ({"reason_part": "\\"}, []),
        ({"reason_part": "坏"}, ["c.jpg"]),
        ({"reason_part": ""}, ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]),
    ],
    ids=str,
)
def test_failures_are_found_by_bucket_and_by_words_of_their_reason(
    arguments: Row, found: list[str], service: Session
) -> None:
    reasons = {"a.jpg": "Not a picture: a PDF", "b.jpg": "100% dark", "c.jpg": "bad_header 坏"}
    _ = [_record(service, item(name, reason=reason)) for name, reason in reasons.items()]
    _record(service, item("d.jpg", bucket="other", reason="no, NOT A PICTURE"))

    assert _failed(service, **arguments) == found


def test_a_failure_says_which_picture_as_the_index_knows_it(service: Session) -> None:
    [recorded] = _record(service, item("a.jpg", "7", reason="no picture"))

    [row] = call(service, "failed_images_v2", match_count=1)

    assert (row["image_id"], row["bucket"], row["image"]) == (recorded["image_id"], "photos", "a.jpg")
    assert (row["reason"], row["ordering_key"]) == ("no picture", "7")


def test_a_copy_that_comes_while_the_vector_is_stored_gets_it_too(
    database: Database, worker: Session
) -> None:
    first, second = item("a.jpg", content="c"), item("b.jpg", content="c")
    _record(worker, first)
    late = database.session()
    late.execute("begin")

    recorded = _record(late, second)
    with beside(database, worker, lambda: _store(worker, _embedded(first))) as stored:
        late.execute("commit")

    assert (_standings(recorded), stored.result()) == (["waiting"], ["indexed"])
    assert _states(worker, "b.jpg") == {"b.jpg": "indexed"}


def test_a_record_waits_for_the_removal_of_the_same_picture_and_finds_its_vector(
    database: Database, worker: Session
) -> None:
    _indexed(worker, item("a.jpg", "1"))
    removing = database.session()
    removing.execute("begin")

    removed = _remove(removing, item("a.jpg", "2"))
    with beside(database, worker, lambda: _record(worker, item("a.jpg", "3"))) as recorded:
        removing.execute("commit")

    assert (_standings(removed), _standings(recorded.result())) == (["deleted"], ["indexed"])


def test_a_preview_waits_for_the_overwrite_of_its_picture_and_is_not_that_of_the_new_bytes(
    database: Database, worker: Session
) -> None:
    old, new = item("a.jpg", "1", content="old"), item("a.jpg", "2", content="new")
    [recorded] = _record(worker, old)
    overwriting = database.session()
    overwriting.execute("begin")

    _record(overwriting, new)
    preview = {**_embedded(old), "preview": recorded["preview"]}
    with beside(database, worker, lambda: _store(worker, preview)) as stored:
        overwriting.execute("commit")

    assert stored.result() == ["outdated"]
    assert [row["has_preview"] for row in _record(worker, new)] == [False]


def test_batches_that_overlap_in_opposite_order_wait_for_each_other(
    database: Database, worker: Session
) -> None:
    images = [item(f"{letter}.jpg", "1") for letter in "abcd"]
    _ = [_indexed(worker, image) for image in images]
    newer = [item(f"{letter}.jpg", "2", content=f"new {letter}") for letter in "eadcb"]
    holding, recording, removing = database.owner(), database.session(), database.session()
    holding.execute("begin; select from pixseek.images where name = 'c.jpg' for no key update")

    with (
        beside(database, worker, lambda: _record(worker, *newer)) as forth,
        beside(database, recording, lambda: _record(recording, *newer[::-1])) as back,
        beside(database, removing, lambda: _remove(removing, *images)) as removed,
    ):
        holding.execute("commit")

    assert sorted(_standings(forth.result()) + _standings(back.result())) == ["pending"] * 5 + ["waiting"] * 5
    assert len(removed.result()) == 4


def _batch(rng: random.Random, key: int) -> list[Row]:
    """A few images of a few contents."""
    picked = rng.sample(range(24), 8)
    return [item(f"{number}.jpg", str(key), content=f"{number % 6} {key % 3}") for number in picked]


def _upload(session: Session, batch: list[Row]) -> object:
    return _record(session, *batch)


def _upload_and_finish(session: Session, batch: list[Row]) -> object:
    recorded = _record(session, *batch)
    previews = [row["preview"] for row in recorded]
    results = [
        {**_embedded(image), "preview": preview} for image, preview in zip(batch, previews, strict=True)
    ]
    return _store(session, *results[:4], *[_with_preview(image, "1/1.webp") for image in batch[4:]])


def _take_away(session: Session, batch: list[Row]) -> object:
    return _remove(session, *batch)


def _claim_and_embed(session: Session, _: list[Row]) -> object:
    claimed = call(session, "claim_images_v1", n=5)
    return claimed and _store(session, *[_embedded(image) for image in claimed])


_ACTS = [_upload, _upload_and_finish, _take_away, _claim_and_embed]


def _do_anything(session: Session, seed: int) -> list[str]:
    """Twenty acts; the codes of what errors come."""
    rng = random.Random(seed)  # noqa: S311 -- the same ones each time
    codes: list[str] = []
    for key in range(100, 120):
        try:
            rng.choice(_ACTS)(session, _batch(rng, key))
        except psycopg.Error as exc:
            codes.append(f"{exc.sqlstate} {exc.diag.message_primary}: {exc.diag.context}")
    return codes


def test_whatever_is_done_at_once_ends_without_an_error(database: Database) -> None:
    workers = [(database.session(), seed) for seed in range(5)]

    faults = at_once(lambda worker: _do_anything(*worker), workers)

    assert faults == [[]] * 5


def _before(function: str) -> _Record:
    return lambda session, *images: call(session, function, images=[*images])


_BEFORE = [_before("record_images_v1"), _before("record_images_v2")]


@pytest.mark.parametrize("record", _BEFORE, ids=["v1", "v2"])
def test_what_called_before_goes_on(record: _Record, service: Session) -> None:
    image = item("a.jpg", "1")

    recorded = record(service, image)
    stored = call(service, "store_vectors_v1", vectors=[_embedded(image)])
    again = record(service, {**image, "ordering_key": "2"})
    removed = call(service, "remove_images_v1", objects=[{**image, "ordering_key": "3"}])

    assert [_standings(rows)[0] for rows in (recorded, stored, again, removed)] == [
        "pending",
        "indexed",
        "indexed",
        "deleted",
    ]


@pytest.mark.parametrize("record", _BEFORE, ids=["v1", "v2"])
def test_an_overwrite_by_what_called_before_takes_preview_and_colour_away(
    record: _Record, service: Session
) -> None:
    before = _indexed(service, item("a.jpg", "1", average_colour="#c0ffee"))

    record(service, item("a.jpg", "2", content="new"))

    [row] = _record(service, item("a.jpg", "2", content="new"))
    assert (row["has_preview"], row["preview"]) == (False, before["preview"].replace("/1.", "/2."))
    assert _image(service, "a.jpg")["average_colour"] is None


def test_a_removal_by_what_called_before_takes_preview_and_colour_away(service: Session) -> None:
    _indexed(service, item("a.jpg", "1", average_colour="#c0ffee"))

    call(service, "remove_images_v1", objects=[item("a.jpg", "2")])

    image = _image(service, "a.jpg")
    assert (image["state"], image["has_preview"], image["average_colour"]) == ("deleted", False, None)


@pytest.mark.parametrize("record", _BEFORE, ids=["v1", "v2"])
def test_what_was_spared_serves_what_called_before(record: _Record, service: Session) -> None:
    _indexed(service, item("a.jpg", "1"))
    _remove(service, item("a.jpg", "1"))

    assert _standings(record(service, item("a.jpg", "2"))) == ["indexed"]
