"""Handing out work: who embeds what, once, whatever comes at once, and what becomes of what fails."""

import random
from collections.abc import Callable, Iterable
from typing import TypeAlias

import psycopg
import pytest

from tests.integration.sql.conftest import (
    DIMENSIONS,
    Database,
    Row,
    Session,
    at_once,
    beside,
    call,
    error,
    index,
    item,
    names,
    result,
    search,
    vector,
)

_DIED = "its workers died or ran out of time"
_TRIES = 5

_Act: TypeAlias = Callable[[Session], object]


def _record(session: Session, *images: Row, model: str | None = None) -> list[str]:
    """The standings that are answered."""
    return _standings(call(session, "record_images_v1", images=[*images], model_name=model))


def _store(session: Session, *results: Row, model: str | None = None) -> list[str]:
    return _standings(call(session, "store_vectors_v1", vectors=[*results], model_name=model))


def _standings(rows: list[Row]) -> list[str]:
    return [row["standing"] for row in rows]


def _claim(session: Session, model: str | None = None, **arguments: object) -> list[str]:
    """The names of the images that a claim leases."""
    return [row["name"] for row in call(session, "claim_images_v1", model=model, **arguments)]


def _embedded(image: Row) -> Row:
    return result(image, vector(1))


def _given_back(image: Row, reason: str = "it took too long", *, may_retry: bool = True) -> Row:
    return {**image, "reason": reason, "may_retry": may_retry}


def _state(session: Session, name: str) -> tuple[str, str | None]:
    [row] = call(session, "image_states_v1", bucket_name="photos", object_names=[name])
    return row["state"], row["reason"]


def _remove(session: Session, image: Row) -> None:
    call(session, "remove_images_v1", objects=[image])


def _expire(database: Database) -> None:
    """As if all workers had died."""
    database.owner().execute(
        "update pixseek.work set leased_until = now() - interval '1 s';"
        "update pixseek.leases set leased_until = now() - interval '1 s'"
    )


def _building(session: Session, name: str = "n") -> None:
    call(session, "create_model_v1", model_name=name, model_dimensions=DIMENSIONS)


def _numbered(numbers: Iterable[int], key: str = "1") -> list[Row]:
    return [item(f"{number:03}.jpg", key, content=f"{number} of {key}") for number in numbers]


def test_a_batch_takes_two_calls(service: Session) -> None:
    batch = _numbered(range(32))

    recorded = _record(service, *batch)
    stored = _store(service, *[_embedded(image) for image in batch])

    assert (recorded, stored) == (["pending"] * 32, ["indexed"] * 32)
    assert len(names(search(service, vector(1), match_count=40))) == 32


def test_answers_come_in_the_order_of_the_call(service: Session) -> None:
    index(service, item("b.jpg"), vector(1))
    _remove(service, item("c.jpg", "9"))

    standings = _record(service, *[item(name) for name in ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]])

    assert standings == ["pending", "outdated", "indexed", "pending"]


@pytest.mark.parametrize("bucket", ["photos", "elsewhere"])
def test_known_bytes_are_not_embedded_again(bucket: str, service: Session) -> None:
    index(service, item("a.jpg", content="c"), vector(1))

    standings = _record(service, {**item("copy.jpg", content="c"), "bucket": bucket})

    assert standings == ["indexed"]
    assert names(search(service, vector(1))) == ["a.jpg", "copy.jpg"]


def test_known_bytes_are_reused_under_every_model(service: Session) -> None:
    _building(service)
    original = item("a.jpg", content="c")
    index(service, original, vector(1))
    _store(service, _embedded(original), model="n")

    _record(service, item("copy.jpg", content="c"))

    assert names(search(service, vector(1), model_name="n")) == ["a.jpg", "copy.jpg"]


def test_the_vector_of_one_model_is_none_of_another(service: Session) -> None:
    _building(service)
    index(service, item("a.jpg", content="c"), vector(1))

    standings = _record(service, item("copy.jpg", content="c"), model="n")

    assert standings == ["pending"]


def test_copies_in_one_call_are_embedded_once(service: Session) -> None:
    copies = [item(name, content="c") for name in ["a.jpg", "b.jpg", "c.jpg"]]

    recorded = _record(service, *copies)
    stored = _store(service, _embedded(copies[0]))

    assert recorded == ["pending", "waiting", "waiting"]
    assert stored == ["indexed"]
    assert names(search(service, vector(1))) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize("attempt", range(5))
def test_of_workers_with_the_same_new_bytes_at_once_one_embeds(
    attempt: int, database: Database, service: Session
) -> None:
    copies = [item(f"{number}.jpg", content=f"c{attempt}") for number in range(6)]
    workers = [(database.session(), copy) for copy in copies]

    standings = at_once(lambda worker: _record(*worker), workers)
    _store(service, _embedded(copies[0]))

    assert sorted(standings) == [["pending"], *[["waiting"]] * 5]
    assert len(names(search(service, vector(1)))) == 6


def test_a_copy_that_comes_while_the_vector_is_stored_gets_it_too(
    database: Database, service: Session
) -> None:
    first, second = item("a.jpg", content="c"), item("b.jpg", content="c")
    _record(service, first)
    late = database.session()
    late.execute("begin")

    recorded = _record(late, second)
    with beside(database, service, lambda: _store(service, _embedded(first))) as stored:
        late.execute("commit")

    assert (recorded, stored.result()) == (["waiting"], ["indexed"])
    assert _state(service, "b.jpg") == ("indexed", None)


def test_a_copy_of_what_was_tried_too_often_has_tries_of_its_own(service: Session) -> None:
    first, copy = item("a.jpg", content="c"), item("b.jpg", content="c")
    _ = [_record(service, first) + _store(service, _given_back(first)) for _ in range(_TRIES)]

    assert _state(service, "a.jpg")[0] == "failed"
    assert _record(service, first, copy) == ["failed", "pending"]


def test_of_thousands_of_copies_the_rest_gets_its_vector_from_a_claim(service: Session) -> None:
    copies = [item(f"{number}.jpg", content="c") for number in range(1400)]
    _ = [_record(service, *copies[start : start + 350]) for start in range(0, 1400, 350)]

    stored = _store(service, _embedded(copies[0]))
    claimed = [_claim(service, n=500), _claim(service, n=500)]

    assert (stored, claimed) == (["indexed"], [[], []])
    assert call(service, "index_counts_v1") == [{"state": "indexed", "images": 1400}]


def test_the_same_upload_twice_is_embedded_by_one(service: Session) -> None:
    standings = [_record(service, item("a.jpg")), _record(service, item("a.jpg"))]

    assert standings == [["pending"], ["waiting"]]


def test_a_lease_is_nobody_elses(service: Session) -> None:
    _record(service, item("a.jpg"))

    assert _claim(service) == []


def test_an_expired_lease_goes_to_whoever_records_the_image_next(
    database: Database, service: Session
) -> None:
    _record(service, item("a.jpg"))
    _expire(database)

    assert _record(service, item("a.jpg")) == ["pending"]


def test_an_expired_lease_goes_to_whoever_claims_next(database: Database, service: Session) -> None:
    _record(service, item("a.jpg"))
    _expire(database)

    assert [_claim(service), _claim(service)] == [["a.jpg"], []]


def test_a_worker_whose_lease_expired_may_still_bring_the_vector(
    database: Database, service: Session
) -> None:
    _record(service, item("a.jpg"))
    _expire(database)
    _claim(service)

    assert _store(service, _embedded(item("a.jpg"))) == ["indexed"]


def test_what_is_given_back_is_handed_out_at_once(service: Session) -> None:
    image = item("a.jpg")
    _record(service, image)

    standings = _store(service, _given_back(image))
    [claimed] = call(service, "claim_images_v1")

    assert standings == ["pending"]
    assert (claimed["name"], claimed["content_hash"], claimed["attempts"]) == (
        "a.jpg",
        image["content_hash"],
        2,
    )


def _claim_and_give_back(service: Session, image: Row, reason: str) -> list[str]:
    return _claim(service) + _store(service, _given_back(image, reason))


def test_what_was_tried_too_often_has_failed_with_the_last_reason(service: Session) -> None:
    image = item("a.jpg")
    _record(service, image)
    _store(service, _given_back(image))

    tries = [_claim_and_give_back(service, image, f"fault {number}") for number in range(_TRIES - 1)]

    assert tries == [["a.jpg", "pending"]] * 3 + [["a.jpg", "failed"]]
    assert _state(service, "a.jpg") == ("failed", "fault 3")
    assert _claim(service) == []


def test_what_failed_for_good_is_not_tried_again(service: Session) -> None:
    image = item("a.jpg")
    _record(service, image)

    standings = _store(service, _given_back(image, "too dark", may_retry=False))

    assert standings == ["failed"]
    assert _state(service, "a.jpg") == ("failed", "too dark")
    assert _claim(service) == []
    assert _record(service, image) == ["failed"]


def test_copies_of_what_failed_for_good_fail_with_it(service: Session) -> None:
    copies = [item(name, content="c") for name in ["a.jpg", "b.jpg"]]
    _record(service, *copies)

    _store(service, _given_back(copies[0], "too dark", may_retry=False))

    assert [_state(service, name) for name in ["a.jpg", "b.jpg"]] == [("failed", "too dark")] * 2


def test_new_bytes_have_all_their_tries(service: Session) -> None:
    _record(service, item("a.jpg"))
    _store(service, _given_back(item("a.jpg"), "too dark", may_retry=False))

    assert _record(service, item("a.jpg", "2", content="brighter")) == ["pending"]
    assert _state(service, "a.jpg") == ("pending", None)


def _die_on(database: Database, act: Callable[[], object], times: int) -> None:
    """Workers that take the image and are not heard of again."""
    for _ in range(times):
        act()
        _expire(database)


@pytest.mark.parametrize(
    "take",
    [_claim, lambda session: _record(session, item("a.jpg"))],
    ids=["claim", "record"],
)
def test_what_kills_its_workers_has_failed(take: _Act, database: Database, service: Session) -> None:
    _record(service, item("a.jpg"))
    _expire(database)
    _die_on(database, lambda: take(service), _TRIES - 1)
    before = _state(service, "a.jpg")

    take(service)

    assert before == ("pending", None)
    assert _state(service, "a.jpg") == ("failed", _DIED)
    assert _claim(service) == []


def _fail(service: Session, *images: Row, model: str | None = None) -> list[int]:
    """Record images and give them up; their ids."""
    _record(service, *images, model=model)
    failures = [_given_back(image, "too dark", may_retry=False) for image in images]
    rows = call(service, "store_vectors_v1", vectors=failures, model_name=model)
    return [row["image_id"] for row in rows]


def _requeue(service: Session, **arguments: object) -> int:
    [row] = call(service, "requeue_images_v1", **arguments)
    count: int = row["requeue_images_v1"]
    return count


def test_all_that_failed_comes_back_with_all_its_tries(service: Session) -> None:
    _fail(service, item("a.jpg"), item("b.jpg"))

    count = _requeue(service)

    assert count == 2
    assert [_state(service, name) for name in ["a.jpg", "b.jpg"]] == [("pending", None)] * 2
    claimed = call(service, "claim_images_v1")
    assert [(row["name"], row["attempts"]) for row in claimed] == [("a.jpg", 1), ("b.jpg", 1)]


def test_named_images_come_back_and_others_do_not(service: Session) -> None:
    [_, second] = _fail(service, item("a.jpg"), item("b.jpg"))

    count = _requeue(service, image_ids=[second])

    assert count == 1
    assert _state(service, "a.jpg") == ("failed", "too dark")
    assert _claim(service) == ["b.jpg"]


def test_what_killed_its_workers_comes_back_too(database: Database, service: Session) -> None:
    _die_on(database, lambda: _record(service, item("a.jpg")), _TRIES)
    _claim(service)

    count = _requeue(service)

    assert count == 1
    [claimed] = call(service, "claim_images_v1")
    assert (claimed["name"], claimed["attempts"]) == ("a.jpg", 1)


def test_what_failed_under_another_model_stays_failed_there(service: Session) -> None:
    _building(service)
    image = item("a.jpg")
    _fail(service, image)
    _fail(service, image, model="n")

    count = _requeue(service, model_name="n")

    assert count == 1
    assert (_claim(service), _claim(service, "n")) == ([], ["a.jpg"])
    assert _state(service, "a.jpg") == ("failed", "too dark")


def _claim_all(worker: Session) -> list[str]:
    """Claim until nothing is left."""
    claimed: list[str] = []
    while batch := _claim(worker, "n", n=16):
        claimed += batch
    return claimed


def test_many_workers_share_the_work_and_no_image_goes_to_two(database: Database, service: Session) -> None:
    images = _numbered(range(400))
    _record(service, *images)
    _building(service)
    workers = [database.session() for _ in range(8)]

    shares = at_once(_claim_all, workers)

    claimed = sorted(name for share in shares for name in share)
    assert claimed == [image["name"] for image in images]
    assert _store(service, *[_embedded(image) for image in images], model="n") == ["indexed"] * 400
    assert _claim(service, "n") == []


def test_a_claim_hands_out_one_of_the_same_bytes(service: Session) -> None:
    _building(service)
    copies = [item(name, content="c") for name in ["a.jpg", "b.jpg"]]
    _record(service, *copies)

    claimed = [_claim(service, "n"), _claim(service, "n")]
    _store(service, _embedded(copies[0]), model="n")

    assert claimed == [["a.jpg"], []]
    assert names(search(service, vector(1), model_name="n")) == ["a.jpg", "b.jpg"]


def test_claims_of_one_model_leave_those_of_another_alone(service: Session) -> None:
    _building(service, "n")
    _building(service, "o")
    index(service, item("a.jpg"), vector(1))

    claims = [_claim(service, model) for model in ["n", "o", "n", "m"]]
    _store(service, _embedded(item("a.jpg")), model="n")

    assert claims == [["a.jpg"], ["a.jpg"], [], []]
    assert _store(service, _embedded(item("a.jpg")), model="o") == ["indexed"]


def test_a_new_model_is_handed_all_that_can_be_searched_or_may_be(service: Session) -> None:
    index(service, item("indexed.jpg"), vector(1))
    _record(service, item("pending.jpg"))
    _fail(service, item("failed.jpg"))
    blocked = index(service, item("blocked.jpg"), vector(1))
    call(service, "block_images_v1", image_ids=[blocked], reason="reported")
    index(service, item("deleted.jpg"), vector(1))
    _remove(service, item("deleted.jpg"))
    _record(service, item("no picture.jpg", reason="it is a text"))

    _building(service)

    assert sorted(_claim(service, "n")) == ["failed.jpg", "indexed.jpg", "pending.jpg"]


def test_what_was_deleted_or_blocked_since_is_not_handed_out(database: Database, service: Session) -> None:
    [_, blocked] = call(service, "record_images_v1", images=[item("a.jpg"), item("b.jpg")])
    _expire(database)

    _remove(service, item("a.jpg"))
    call(service, "block_images_v1", image_ids=[blocked["image_id"]], reason="reported")

    assert _claim(service) == []


def test_an_image_that_is_deleted_while_it_is_claimed_is_not_handed_out(
    database: Database, service: Session
) -> None:
    image = item("a.jpg")
    index(service, image, vector(1))
    _building(service)
    holding, removing = database.owner(), database.session()
    removing.execute("begin")
    _remove(removing, image)
    holding.execute("begin")
    holding.execute("insert into pixseek.leases values (2, %s, '-infinity')", (image["content_hash"],))

    with beside(database, service, lambda: _claim(service, "n")) as claimed:
        removing.execute("commit")
        holding.execute("rollback")

    assert claimed.result() == []


def test_an_image_that_is_deleted_while_it_is_embedded_stays_deleted(service: Session) -> None:
    _record(service, item("a.jpg"))
    _remove(service, item("a.jpg"))

    standings = _store(service, _embedded(item("a.jpg")))

    assert standings == ["outdated"]
    assert _state(service, "a.jpg") == ("deleted", None)
    assert names(search(service, vector(1))) == []


def test_an_image_that_is_blocked_while_it_is_embedded_stays_blocked(service: Session) -> None:
    [row] = call(service, "record_images_v1", images=[item("a.jpg")])
    call(service, "block_images_v1", image_ids=[row["image_id"]], reason="reported")

    standings = _store(service, _embedded(item("a.jpg")))

    assert standings == ["blocked"]
    assert names(search(service, vector(1))) == []


def test_the_vector_of_overwritten_bytes_is_not_stored(service: Session) -> None:
    old, new = item("a.jpg", "1", content="old"), item("a.jpg", "2", content="new")
    _record(service, old)
    _record(service, new)

    standings = [_store(service, _embedded(old)), _store(service, result(new, vector(0, 1)))]

    assert standings == [["outdated"], ["indexed"]]
    assert [hit["similarity"] for hit in search(service, vector(0, 1))["hits"]] == [1]


@pytest.mark.parametrize("n", [0, 501, None])
def test_a_claim_is_of_1_to_500_images(n: int | None, service: Session) -> None:
    failure = error(lambda: _claim(service, n=n))

    assert failure.sqlstate == "22023"


@pytest.mark.parametrize("lease_s", [0, 86401, None])
def test_a_lease_is_of_a_second_to_a_day(lease_s: int | None, service: Session) -> None:
    failures = [
        error(lambda: _claim(service, lease_s=lease_s)),
        error(lambda: call(service, "record_images_v1", images=[item("a.jpg")], lease_s=lease_s)),
    ]

    assert [failure.sqlstate for failure in failures] == ["22023"] * 2


def _record_often(worker: Session, step: int) -> list[str]:
    """Fifty images in the order of the step, newer each time; the standings."""
    return [
        standing
        for key in range(10, 40)
        for standing in _record(worker, *_numbered(range(50), str(key))[::step])
    ]


def test_the_same_images_in_opposite_orders_never_deadlock(database: Database) -> None:
    workers = [(database.session(), step) for step in [1, -1, 1, -1]]

    standings = at_once(lambda worker: _record_often(*worker), workers)

    answered = [standing for share in standings for standing in share]
    assert len(answered) == 4 * 30 * 50
    assert {*answered} <= {"pending", "waiting", "outdated"}


def _upload(session: Session, batch: list[Row]) -> object:
    return _record(session, *batch)


def _upload_and_embed(session: Session, batch: list[Row]) -> object:
    return _record(session, *batch) + _store(session, *[_embedded(image) for image in batch])


def _upload_and_give_back(session: Session, batch: list[Row]) -> object:
    return _record(session, *batch) + _store(session, *[_given_back(image) for image in batch])


def _take_away(session: Session, batch: list[Row]) -> object:
    return call(session, "remove_images_v1", objects=batch)


def _claim_and_embed(session: Session, _: list[Row]) -> object:
    claimed = call(session, "claim_images_v1", model="n")
    return claimed and _store(session, *[_embedded(image) for image in claimed], model="n")


_ACTS = [_upload, _upload_and_embed, _upload_and_give_back, _take_away, _claim_and_embed]


def _do_anything(session: Session, seed: int) -> list[str]:
    """Thirty acts on a few images of a few contents; the codes of what errors come."""
    rng = random.Random(seed)  # noqa: S311 -- the same ones each time
    codes: list[str] = []
    for key in range(100, 130):
        picked = rng.sample(range(30), 10)
        batch = [item(f"{number}.jpg", str(key), content=f"{number % 8} {key}") for number in picked]
        try:
            rng.choice(_ACTS)(session, batch)
        except psycopg.Error as exc:
            codes.append(f"{exc.sqlstate} {exc.diag.message_primary}: {exc.diag.context}")
    return codes


def test_whatever_is_done_at_once_ends_without_an_error(database: Database, service: Session) -> None:
    _building(service)
    workers = [(database.session(), seed) for seed in range(6)]

    faults = at_once(lambda worker: _do_anything(*worker), workers)

    assert faults == [[]] * 6


def test_storing_vectors_and_handing_out_a_new_model_never_deadlock(
    database: Database, service: Session
) -> None:
    images = [item(name) for name in ["b.jpg", "a.jpg"]]
    _ = [_record(service, image) for image in images]
    _building(service)
    holding, claiming = database.owner(), database.session()
    # Keeps out only who would lock the whole row, as for a deletion.
    holding.execute("begin; select from pixseek.images where name = 'b.jpg' for key share")

    with (
        beside(database, service, lambda: _store(service, *[_embedded(image) for image in images])) as stored,
        beside(database, claiming, lambda: _claim(claiming, "n")) as claimed,
    ):
        holding.execute("commit")

    assert [stored.exception(), claimed.exception()] == [None, None]
    assert claimed.result() == ["b.jpg", "a.jpg"]


@pytest.mark.parametrize(
    ("may_retry", "rival"), [(True, _claim), (False, _requeue)], ids=["a claim", "a requeue"]
)
def test_uploads_and_whatever_settles_their_images_never_deadlock(
    may_retry: bool, rival: _Act, database: Database, service: Session
) -> None:
    old, new = [[item(name, key, content=name + key) for name in ["a", "b"]] for key in ["1", "2"]]
    _record(service, *old)
    _store(service, *[_given_back(image, may_retry=may_retry) for image in old])
    holding, uploading = database.owner(), database.session()
    holding.execute(f"update pixseek.work set attempts = {_TRIES}".encode())
    holding.execute("begin; select from pixseek.images where name = 'b' for update")

    with (
        beside(database, uploading, lambda: _record(uploading, *new)) as recorded,
        beside(database, service, lambda: rival(service)) as settled,
    ):
        holding.execute("commit")

    assert [recorded.exception(), settled.exception()] == [None, None]
    assert recorded.result() == ["pending", "pending"]
