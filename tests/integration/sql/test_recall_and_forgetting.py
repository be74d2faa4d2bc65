"""How much of the nearest a search finds, and what is left of a picture that was forgotten."""

import random
from collections.abc import Iterator

import psycopg
import pytest

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    DIMENSIONS,
    Database,
    Row,
    Session,
    at_once,
    beside,
    call,
    item,
    own_database,
    result,
    search,
    sha256,
    vector,
)

_ALICE = "00000000-0000-4000-8000-00000000000a"
_SCRUBBED = "^forgotten/[0-9a-f]{64}$"


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


def _store(session: Session, *pictures: tuple[str, str]) -> list[int]:
    """Record pictures, by name and vector, and store their vectors; their ids."""
    call(session, "record_images_v1", images=[item(name) for name, _ in pictures])
    results = [result(item(name), embedding) for name, embedding in pictures]
    return [row["image_id"] for row in call(session, "store_vectors_v1", vectors=results)]


def _around(count: int, prefix: str = "", first: int = 0) -> list[tuple[str, str]]:
    """Pictures ever farther from `vector(1)`."""
    return [(f"{prefix}{number}.jpg", vector(1, number / 100)) for number in range(first, first + count)]


def _remember(session: Session, text: str, embedding: str) -> int:
    call(session, "remember_query_v1", query_text=text, query_embedding=embedding)
    [(query_id,)] = session.execute("select max(id) from pixseek.queries")
    return int(query_id)


def _recall(session: Session, kind: str, question_id: int, k: int = 10) -> tuple[int, int, int]:
    """Expected, found, answered."""
    [row] = call(session, "recall_of_v1", kind=kind, id=question_id, k=k)
    return row["expected"], row["found"], row["answered"]


def _sample(session: Session, size: int) -> list[tuple[str, int]]:
    return [(row["kind"], row["id"]) for row in call(session, "recall_sample_v1", sample_size=size)]


def _kinds(session: Session, size: int) -> tuple[int, int]:
    """How many queries and images a sample has, each of them once."""
    sample = _sample(session, size)
    assert len({*sample}) == len(sample)
    kinds = [kind for kind, _ in sample]
    return kinds.count("query"), kinds.count("image")


def test_a_good_index_finds_all_of_the_nearest(service: Session) -> None:
    ids = _store(service, *_around(30))
    query = _remember(service, "a dog", vector(1))

    recalls = [_recall(service, "query", query), _recall(service, "image", ids[20], k=5)]

    assert recalls == [(10, 10, 10), (5, 5, 5)]


def _set_ready(database: Database, is_ready: bool) -> None:
    """An index that is not ready gets no new rows; whoever searches knows nothing of it."""
    database.superuser().execute(
        "update pg_index set indisready = %s where indexrelid = ("
        " select c.oid from pg_class c join pg_am a on a.oid = c.relam"
        " where a.amname = 'hnsw' and c.relnamespace = 'pixseek'::regnamespace)",
        (is_ready,),
    )


def test_an_index_that_lacks_the_nearest_is_noticed(database: Database, worker: Session) -> None:
    _store(worker, *_around(40, "far ", 50))
    _set_ready(database, False)
    blind = database.session()
    _store(blind, *_around(5, "near "))
    _set_ready(database, True)
    asking = database.session()
    query = _remember(asking, "a dog", vector(1))

    recall = _recall(asking, "query", query)

    assert recall == (10, 5, 10)


def test_after_a_new_index_all_is_found_again(database: Database, worker: Session) -> None:
    _store(worker, *_around(40, "far ", 50))
    _set_ready(database, False)
    blind = database.session()
    _store(blind, *_around(5, "near "))
    _set_ready(database, True)
    database.owner().execute("reindex table pixseek.vectors_1")
    asking = database.session()
    query = _remember(asking, "a dog", vector(1))

    recall = _recall(asking, "query", query)

    assert recall == (10, 10, 10)


def test_equal_vectors_are_equally_right(service: Session) -> None:
    _store(service, *[(f"{number}.jpg", vector(1, 1)) for number in range(40)])
    query = _remember(service, "a dog", vector(1))

    recall = _recall(service, "query", query)

    assert recall == (10, 10, 10)


def test_fewer_pictures_than_asked_for_are_all_that_is_expected(service: Session) -> None:
    [image_id, *_] = _store(service, *_around(3))

    recall = _recall(service, "image", image_id)

    assert recall == (3, 3, 3)


def test_blocked_and_deleted_pictures_are_neither_expected_nor_asked_with(service: Session) -> None:
    ids = _store(service, *_around(4))
    call(service, "block_images_v1", image_ids=ids[:1], reason="a complaint")
    call(service, "remove_images_v1", objects=[item("1.jpg", "2")])

    recall = _recall(service, "image", ids[2])

    assert recall == (2, 2, 2)
    assert {image_id for _, image_id in _sample(service, 10)} == {*ids[2:]}


@pytest.mark.parametrize("kind", ["query", "image"])
def test_of_a_question_that_is_gone_nothing_is_expected(kind: str, service: Session) -> None:
    _store(service, *_around(3))

    assert _recall(service, kind, 1_000_000) == (0, 0, 0)


def test_questions_are_of_the_active_model(service: Session) -> None:
    [image_id] = _store(service, *_around(1))
    query = _remember(service, "a dog", vector(1))
    call(service, "create_model_v1", model_name="n", model_dimensions=DIMENSIONS)
    call(service, "activate_model_v1", model_name="n", min_coverage=0)

    assert _sample(service, 10) == []
    assert [_recall(service, "query", query), _recall(service, "image", image_id)] == [(0, 0, 0)] * 2


@pytest.mark.parametrize(
    ("queries", "images", "size", "sample"),
    [
        (0, 0, 10, (0, 0)),
        (8, 8, 6, (3, 3)),
        (8, 8, 7, (3, 4)),
        (2, 8, 8, (2, 6)),
        (8, 2, 8, (6, 2)),
        (2, 2, 8, (2, 2)),
    ],
)
def test_a_sample_is_half_queries_and_half_images_as_far_as_there_are(
    queries: int, images: int, size: int, sample: tuple[int, int], service: Session
) -> None:
    _ = [_remember(service, f"a dog {number}", vector(1)) for number in range(queries)]
    _ = [_store(service, picture) for picture in _around(images)]

    assert _kinds(service, size) == sample


def _fill(session: Session, count: int) -> None:
    """An index of a small model, too large to be looked at as a whole; every third id is missing."""
    call(session, "put_bucket_v1", bucket_name="photos")
    session.execute(
        "insert into pixseek.images (bucket, name, ordering_key, state)"
        " select 'photos', g || '.jpg', '', 'indexed' from generate_series(1, %s) g",
        (count,),
    )
    session.execute(
        "insert into pixseek.vectors (image_id, model_id, embedding)"
        " select id, 1, array_fill(1 / sqrt(384), array[384])::real[]::extensions.halfvec"
        " from pixseek.images where id %% 3 <> 0",
        (),
    )


def test_of_many_images_a_sample_takes_some_from_everywhere(database: Database, worker: Session) -> None:
    owner = database.owner()
    [(vector_index,)] = owner.execute(
        "select c.oid::regclass::text from pg_class c join pg_am a on a.oid = c.relam where a.amname = 'hnsw'"
    )
    owner.execute(f"drop index {vector_index}".encode())
    _fill(worker, 18_000)

    sample = [image_id for _, image_id in _sample(worker, 300)]

    assert (len(sample), len({*sample})) == (300, 300)
    assert [image_id for image_id in sample if image_id % 3 == 0] == []
    assert {image_id * 6 // 18_001 for image_id in sample} == {*range(6)}


def test_recalls_are_kept_and_told_latest_first(service: Session) -> None:
    call(service, "keep_recall_v1", questions=50, recall=0.97, short_share=0, floor=0.95)
    call(service, "keep_recall_v1", questions=40, recall=0.5, short_share=0.25, floor=0.95)

    latest, first = call(service, "recalls_v1")

    assert (latest["model"], latest["questions"], latest["recall"]) == ("m", 40, 0.5)
    assert (latest["short_share"], latest["floor"], first["questions"]) == (0.25, 0.95, 50)


def test_recalls_are_kept_for_400_days(service: Session) -> None:
    call(service, "keep_recall_v1", questions=50, recall=1, short_share=0, floor=0.95)
    service.execute("update pixseek.recalls set checked_at = now() - interval '401 days'")

    call(service, "keep_recall_v1", questions=40, recall=1, short_share=0, floor=0.95)

    assert [row["questions"] for row in call(service, "recalls_v1")] == [40]


def _indexed(session: Session, image: Row) -> Row:
    """Record an image, store its vector and its preview; as it was recorded."""
    [recorded] = call(session, "record_images_v3", images=[image], provider="s3")
    stored = {**result(image, vector(1)), "preview": recorded["preview"]}
    call(session, "store_vectors_v2", vectors=[stored])
    return recorded


def _to_forget(session: Session, **whose: object) -> list[Row]:
    return call(session, "images_to_forget_v1", **whose)


def _names_to_forget(session: Session, **whose: object) -> list[str]:
    return [row["name"] for row in _to_forget(session, **whose)]


def _forget(session: Session, *image_ids: int) -> int:
    [row] = call(session, "forget_images_v1", image_ids=[*image_ids])
    return int(row["forget_images_v1"])


def _scrub(session: Session, **arguments: object) -> int:
    [row] = call(session, "scrub_tombstones_v1", **arguments)
    return int(row["scrub_tombstones_v1"])


def _rows_of_images(session: Session) -> list[Row]:
    return [row for (row,) in session.execute("select to_jsonb(i) from pixseek.images i order by id")]


def _told_anywhere(session: Session, word: str) -> list[str]:
    """The tables of pixseek with a row that has the word in it."""
    tables = session.execute(
        "select relname from pg_class where relnamespace = 'pixseek'::regnamespace and relkind in ('r', 'p')"
        " and has_table_privilege(oid, 'select') order by relname"
    ).fetchall()
    holding = "select count(*) from pixseek.{} t where position(%s in t::text) > 0"
    counts = {table: session.execute(holding.format(table).encode(), (word,)) for (table,) in tables}
    return [table for table, count in counts.items() if count.fetchone() != (0,)]


def _remove(session: Session, name: str, key: str = "2") -> list[Row]:
    gone = {"bucket": "photos", "name": name, "ordering_key": key}
    return call(session, "remove_images_v2", objects=[gone], provider="s3")


def _record(session: Session, *images: Row) -> list[Row]:
    return call(session, "record_images_v3", images=[*images], provider="s3")


def test_an_owners_pictures_are_told_with_what_has_to_go_before(service: Session) -> None:
    pictures = [_indexed(service, item(name, owner=_ALICE)) for name in ("b.jpg", "a.jpg")]
    _record(service, item("pending.jpg", owner=_ALICE, bucket="others"), item("bob's.jpg", owner="bob"))

    rows = _to_forget(service, owner_id=_ALICE)

    assert [(row["image_id"], row["preview"]) for row in rows[:2]] == [
        (picture["image_id"], picture["preview"]) for picture in pictures
    ]
    assert [(row["bucket"], row["name"], row["provider"]) for row in rows] == [
        ("photos", "b.jpg", "s3"),
        ("photos", "a.jpg", "s3"),
        ("others", "pending.jpg", "s3"),
    ]


def test_an_owners_tombstones_are_told_where_folders_tell_whose_they_are(service: Session) -> None:
    call(service, "put_bucket_v1", bucket_name="photos", provider="s3", owner_rule="first_segment")
    call(service, "put_bucket_v1", bucket_name="others", provider="s3")
    _ = [_remove(service, name) for name in ("alice/a.jpg", "alice0/b.jpg", "alice/", "alic/c.jpg", "alice")]
    others = {"bucket": "others", "name": "alice/d.jpg", "ordering_key": "2"}
    call(service, "remove_images_v2", objects=[others], provider="s3")

    rows = _to_forget(service, owner_id="alice")

    assert [(row["bucket"], row["name"], row["preview"]) for row in rows] == [("photos", "alice/a.jpg", None)]


@pytest.mark.parametrize("is_gone", [False, True])
def test_one_object_is_told_whether_it_is_there_or_gone(is_gone: bool, service: Session) -> None:
    recorded = _indexed(service, item("a.jpg"))
    _ = [_remove(service, name) for name in ["a.jpg"] * is_gone]

    rows = _to_forget(service, bucket_name="photos", image_name="a.jpg")

    assert [(row["image_id"], row["preview"]) for row in rows] == [
        (recorded["image_id"], None if is_gone else recorded["preview"])
    ]
    assert _to_forget(service, bucket_name="others", image_name="a.jpg") == []


def test_what_was_forgotten_makes_room_for_the_next_page(service: Session) -> None:
    _record(service, *[item(f"{number}.jpg", owner=_ALICE) for number in range(3)])
    first = _to_forget(service, owner_id=_ALICE, match_count=2)

    forgotten = _forget(service, *[row["image_id"] for row in first])

    assert (len(first), forgotten) == (2, 2)
    assert len(_to_forget(service, owner_id=_ALICE, match_count=2)) == 1


def test_nothing_of_a_forgotten_picture_is_left(service: Session) -> None:
    facts: Row = {"version": "v1", "content_type": "image/jpeg", "size_bytes": 7, "width": 3, "height": 4}
    dates: Row = {"taken_at": "2020-01-01T00:00:00Z", "created_at": "2020-01-01T00:00:00Z"}
    image = item("alice/secret.jpg", "5", owner=_ALICE, average_colour="#c0ffee", **facts, **dates)
    recorded = _indexed(service, image)
    service.execute(
        "insert into pixseek.spare_vectors (model_id, content_hash, embedding)"
        " select 1, %s, embedding from pixseek.vectors",
        (image["content_hash"],),
    )
    service.execute(
        "insert into pixseek.leases values (1, %s, now())",
        (image["content_hash"],),
    )

    forgotten = _forget(service, recorded["image_id"])

    [row] = _rows_of_images(service)
    kept = {key: row[key] for key in ("id", "bucket", "ordering_key", "state")}
    assert (forgotten, kept) == (
        1,
        {"id": recorded["image_id"], "bucket": "photos", "ordering_key": "5", "state": "deleted"},
    )
    assert [key for key in (*facts, "owner", "content_hash", "taken_at", "average_colour") if row[key]] == []
    assert (row["has_preview"], row["created_at"] > "2026") == (False, True)
    assert [_told_anywhere(service, word) for word in ("secret", _ALICE, image["content_hash"])] == [
        [],
        [],
        [],
    ]
    assert service.execute("select count(*) from pixseek.vectors").fetchone() == (0,)
    assert search(service, vector(1))["hits"] == []


def test_the_vector_that_was_spared_when_the_object_went_before_is_forgotten_too(service: Session) -> None:
    recorded = _indexed(service, item("secret.jpg"))
    _remove(service, "secret.jpg")
    spared = _told_anywhere(service, sha256("secret.jpg"))

    _forget(service, recorded["image_id"])

    assert (spared, _told_anywhere(service, sha256("secret.jpg"))) == (["spare_vectors"], [])


def test_the_names_that_audits_have_told_are_forgotten_too(service: Session) -> None:
    recorded = _indexed(service, item('say "secret".jpg'))
    [begun] = call(service, "begin_audit_v1", bucket_name="photos", repairs=False)
    audit_id = begun["begin_audit_v1"]["audit_id"]
    progress: Row = {"position": 'say "secret".jpg', "examples": {"stale": ["a.jpg", 'say "secret".jpg']}}
    call(service, "keep_audit_v1", audit_id=audit_id, progress=progress)
    call(service, "end_audit_v1", audit_id=audit_id, state="done")

    _forget(service, recorded["image_id"])

    assert _told_anywhere(service, "secret") == []


def _kept_audit(session: Session, **kept: object) -> int:
    """Of an audit that still runs."""
    [begun] = call(session, "begin_audit_v1", bucket_name="photos", repairs=True)
    audit_id: int = begun["begin_audit_v1"]["audit_id"]
    call(session, "keep_audit_v1", **{"audit_id": audit_id, "progress": {}, **kept})
    return audit_id


def test_a_running_audit_is_to_remove_no_name_that_was_forgotten(service: Session) -> None:
    recorded = _indexed(service, item("secret.jpg"))
    removals = [{"name": name, "ordering_key": "1"} for name in ("a.jpg", "secret.jpg")]
    audit_id = _kept_audit(service, removals=removals)

    _forget(service, recorded["image_id"])

    assert _told_anywhere(service, "secret") == []
    assert [row["name"] for row in call(service, "audit_removals_v1", audit_id=audit_id)] == ["a.jpg"]


def test_forgetting_beside_an_audit_that_is_kept_never_deadlocks(database: Database, worker: Session) -> None:
    recorded = [_indexed(worker, item(name)) for name in ("a.jpg", "b.jpg")]
    removals = [{"name": name, "ordering_key": "1"} for name in ("a.jpg", "b.jpg")]
    audit_id = _kept_audit(worker, removals=removals)
    keeping, told = database.session(), {"missing": ["a.jpg"]}
    keeping.execute("begin")
    call(keeping, "keep_audit_v1", audit_id=audit_id, progress={"examples": told}, removals=removals[1:])

    with beside(
        database, worker, lambda: _forget(worker, *[row["image_id"] for row in recorded])
    ) as forgotten:
        call(keeping, "keep_audit_v1", audit_id=audit_id, progress={}, removals=removals)
        keeping.execute("commit")

    assert forgotten.result() == 2
    assert [_told_anywhere(worker, name) for name in ("a.jpg", "b.jpg")] == [[], []]


@pytest.mark.parametrize(("ends", "position"), [([], "secret.jpg"), (["done"], "")])
def test_what_an_audit_tells_after_it_was_forgotten_goes_with_the_next_scrub(
    ends: list[str], position: str, service: Session
) -> None:
    """But for where one that runs will go on."""
    recorded = _indexed(service, item("secret.jpg"))
    audit_id = _kept_audit(service)
    _forget(service, recorded["image_id"])
    progress: Row = {"position": "secret.jpg", "examples": {"missing": ["secret.jpg"]}}
    call(service, "keep_audit_v1", audit_id=audit_id, progress=progress)
    _ = [call(service, "end_audit_v1", audit_id=audit_id, state=end) for end in ends]

    _scrub(service)

    [audit] = call(service, "latest_audits_v1")
    assert (audit["examples"], audit["position"]) == ({}, position)


def test_other_names_that_audits_tell_stay(service: Session) -> None:
    _forget(service, _indexed(service, item("a.jpg"))["image_id"])
    told = {"missing": ["b.jpg"], "stale": []}
    _kept_audit(service, progress={"position": "b.jpg", "examples": told})

    _scrub(service)

    [audit] = call(service, "latest_audits_v1")
    assert (audit["examples"], audit["position"]) == (told, "b.jpg")


def test_a_twin_keeps_its_vector_and_what_serves_its_bytes(service: Session) -> None:
    _ = [_indexed(service, item(name, content="same")) for name in ("a.jpg", "twin.jpg")]
    service.execute("insert into pixseek.leases values (1, %s, now())", (sha256("same"),))
    [row] = _to_forget(service, bucket_name="photos", image_name="a.jpg")

    _forget(service, row["image_id"])

    assert [hit["image"] for hit in search(service, vector(1))["hits"]] == ["twin.jpg"]
    assert service.execute("select count(*) from pixseek.leases").fetchone() == (1,)


def test_twins_that_are_forgotten_together_leave_nothing(service: Session) -> None:
    ids = [_indexed(service, item(name, content="same"))["image_id"] for name in ("a.jpg", "twin.jpg")]
    service.execute("insert into pixseek.leases values (1, %s, now())", (sha256("same"),))

    forgotten = _forget(service, *ids)

    assert forgotten == 2
    assert _told_anywhere(service, sha256("same")) == []


def test_what_is_unknown_or_forgotten_already_is_not_forgotten_again(service: Session) -> None:
    recorded = _indexed(service, item("a.jpg"))
    _forget(service, recorded["image_id"])

    forgotten = _forget(service, recorded["image_id"], 1_000_000)

    assert forgotten == 0


def test_a_name_may_be_forgotten_again_and_again(service: Session) -> None:
    _ = [_forget(service, _indexed(service, item("a.jpg"))["image_id"]) for _ in range(3)]

    kept = {row["name"] for row in _rows_of_images(service)}

    assert len(kept) == 3
    assert service.execute("select count(*) from pixseek.forgotten").fetchone() == (1,)


def test_the_event_that_a_forgotten_picture_was_removed_brings_no_name_back(service: Session) -> None:
    _forget(service, _indexed(service, item("secret.jpg"))["image_id"])
    _remove(service, "secret.jpg")
    told = _told_anywhere(service, "secret")

    scrubbed = _scrub(service)

    assert (told, scrubbed, _told_anywhere(service, "secret")) == (["images"], 1, [])


def test_an_audit_does_not_see_tombstones_without_a_name(service: Session) -> None:
    _forget(service, _indexed(service, item("a.jpg"))["image_id"])
    _record(service, item("b.jpg"), item("forgotten/" + sha256("live")))

    rows = call(service, "audit_images_v1", bucket_name="photos")

    assert [row["name"] for row in rows] == ["b.jpg", "forgotten/" + sha256("live")]


def test_tombstones_lose_their_names_after_their_time(service: Session) -> None:
    _ = [_remove(service, name) for name in ("old.jpg", "new.jpg")]
    _record(service, item("live.jpg"))
    service.execute(
        "update pixseek.images set updated_at = now() - interval '31 days' where name <> 'new.jpg'"
    )

    scrubbed = [_scrub(service), _scrub(service)]

    assert scrubbed == [1, 0]
    assert [row["name"] for row in _rows_of_images(service)][1:] == ["new.jpg", "live.jpg"]


def test_tombstones_are_scrubbed_so_many_at_a_time(service: Session) -> None:
    _ = [_remove(service, f"{number}.jpg") for number in range(3)]
    service.execute("update pixseek.images set updated_at = now() - interval '1 hour'")

    scrubbed = [_scrub(service, older_than_days=0, match_count=2) for _ in range(3)]

    assert scrubbed == [2, 1, 0]


def test_what_was_forgotten_is_scrubbed_before_what_is_old(service: Session) -> None:
    _ = [_remove(service, name) for name in ("old.jpg", "older.jpg")]
    service.execute("update pixseek.images set updated_at = now() - interval '31 days'")
    _forget(service, _indexed(service, item("secret.jpg"))["image_id"])
    _remove(service, "secret.jpg")

    scrubbed = [_scrub(service, match_count=1)]

    assert (scrubbed, _told_anywhere(service, "secret")) == ([1], [])
    assert [_scrub(service, match_count=2) for _ in range(2)] == [2, 0]


def test_scrubbing_clears_the_words_that_nobody_has_asked_for_90_days(service: Session) -> None:
    asked = [{"text": text, "uses": 9} for text in ("long ago", "lately")]
    call(service, "count_asked_v1", asked=asked)
    service.execute(
        "update pixseek.asked_texts set asked_on = asked_on - case words when 'lately' then 90 else 91 end"
    )

    _scrub(service)

    assert service.execute("select words from pixseek.asked_texts").fetchall() == [("lately",)]


def test_a_name_that_comes_back_is_a_new_picture(service: Session) -> None:
    forgotten = _indexed(service, item("a.jpg", "5"))["image_id"]
    _forget(service, forgotten)

    [recorded] = _record(service, item("a.jpg", "1"))

    assert (recorded["standing"], recorded["image_id"] > forgotten) == ("pending", True)


def test_a_name_that_a_live_picture_bears_again_is_forgotten_no_more(service: Session) -> None:
    _forget(service, _indexed(service, item("a.jpg"))["image_id"])
    _record(service, item("a.jpg"))

    _scrub(service)

    _remove(service, "a.jpg", "9")
    assert (_scrub(service), _rows_of_images(service)[-1]["name"]) == (0, "a.jpg")


def test_what_was_forgotten_is_remembered_for_400_days(service: Session) -> None:
    _ = [_forget(service, _indexed(service, item(name))["image_id"]) for name in ("a.jpg", "b.jpg")]
    service.execute(
        "update pixseek.forgotten set forgotten_at = now() - interval '401 days'"
        " where digest = pixseek.object_digest('photos', 'a.jpg')"
    )

    _scrub(service)

    left = service.execute("select digest = pixseek.object_digest('photos', 'b.jpg') from pixseek.forgotten")
    assert left.fetchall() == [(True,)]


def test_scrubbing_clears_spare_vectors_after_their_day(service: Session) -> None:
    _ = [_indexed(service, item(name)) for name in ("old.jpg", "new.jpg")]
    _ = [_remove(service, name) for name in ("old.jpg", "new.jpg")]
    service.execute(
        "update pixseek.spare_vectors set spared_at = now() - interval '25 hours' where content_hash = %s",
        (sha256("old.jpg"),),
    )

    _scrub(service)

    left = service.execute("select content_hash from pixseek.spare_vectors").fetchall()
    assert left == [(sha256("new.jpg"),)]


def test_scrubbing_waits_for_nobody(database: Database, worker: Session) -> None:
    _ = [_remove(worker, name) for name in ("held.jpg", "free.jpg")]
    worker.execute("update pixseek.images set updated_at = now() - interval '31 days'")
    holding = database.owner()
    holding.execute("begin; select from pixseek.images where name = 'held.jpg' for no key update")

    with beside(database, worker, lambda: _scrub(worker)) as scrubbed:
        assert scrubbed.result() == 1

    holding.execute("rollback")


def _upload_and_embed(session: Session, batch: list[Row]) -> object:
    _record(session, *batch)
    return call(session, "store_vectors_v2", vectors=[result(image, vector(1)) for image in batch])


def _take_away(session: Session, batch: list[Row]) -> object:
    return call(session, "remove_images_v1", objects=batch)


def _claim_another_models(session: Session, _: list[Row]) -> object:
    return call(session, "claim_images_v1", model="n")


def _forget_alice(session: Session, _: list[Row]) -> object:
    return _forget(session, *[row["image_id"] for row in _to_forget(session, owner_id=_ALICE)])


def _scrub_all(session: Session, _: list[Row]) -> object:
    return _scrub(session, older_than_days=0)


def _queue(session: Session, batch: list[Row]) -> object:
    queued = [image["name"] for image in batch]
    return call(session, "queue_images_v1", bucket_name="photos", object_names=queued)


def _register(session: Session, batch: list[Row]) -> object:
    objects = [{key: image[key] for key in ("bucket", "name", "ordering_key", "owner")} for image in batch]
    return call(session, "register_images_v1", objects=objects, provider="s3")


_ACTS = [
    _upload_and_embed,
    _take_away,
    _claim_another_models,
    _forget_alice,
    _scrub_all,
    _queue,
    _register,
]


def _do_anything(session: Session, seed: int) -> list[str]:
    """Thirty acts on a few images of a few contents; the codes of what errors come."""
    rng = random.Random(seed)  # noqa: S311 -- the same ones each time
    codes: list[str] = []
    for key in range(100, 130):
        picked = rng.sample(range(20), 8)
        batch = [
            item(f"{number}.jpg", str(key), content=f"{number % 6} {key}", owner=_ALICE) for number in picked
        ]
        try:
            rng.choice(_ACTS)(session, batch)
        except psycopg.Error as exc:
            codes.append(f"{exc.sqlstate} {exc.diag.message_primary}: {exc.diag.context}")
    return codes


def test_whatever_is_done_beside_forgetting_ends_without_an_error(
    database: Database, worker: Session
) -> None:
    call(worker, "create_model_v1", model_name="n", model_dimensions=DIMENSIONS)
    workers = [(database.session(), seed) for seed in range(6)]

    faults = at_once(lambda one: _do_anything(*one), workers)

    assert faults == [[]] * 6
