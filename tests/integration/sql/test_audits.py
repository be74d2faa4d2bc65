"""Runs of the audit, and the faults that it is told of and has repaired."""

import json
from collections.abc import Callable, Iterator

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
    error,
    index,
    item,
    names,
    own_database,
    result,
    search,
    sha256,
    vector,
)

pytestmark = pytest.mark.long

_SIZE = 10
_TRIES = 5
_PROGRESS: Row = {
    "stage": "previews",
    "position": "b.jpg",
    "objects": 7,
    "images": 6,
    "faults": {"missing": 1},
    "examples": {"missing": ["c.jpg"]},
    "repaired": {"missing": 1},
}


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


def _begin(session: Session, bucket: str = "photos", **arguments: object) -> Row:
    [row] = call(session, "begin_audit_v1", **{"bucket_name": bucket, "repairs": True, **arguments})
    begun: Row = row["begin_audit_v1"]
    return begun


def _begin_and_keep(session: Session, *gone: str, repairs: bool = True) -> int:
    audit_id: int = _begin(session, repairs=repairs)["audit_id"]
    removals = json.dumps([{"name": name, "ordering_key": "1"} for name in gone])
    call(session, "keep_audit_v1", audit_id=audit_id, progress=_PROGRESS, removals=removals)
    return audit_id


def _pause(session: Session, audit_id: int) -> None:
    call(session, "pause_audit_v1", audit_id=audit_id)


def _end(session: Session, audit_id: int, state: str = "done", reason: str | None = None) -> None:
    call(session, "end_audit_v1", audit_id=audit_id, state=state, reason=reason)


def _let_pass(session: Session, interval: str) -> None:
    """As if all audits had begun, and had been kept last, so much earlier."""
    statement = (
        "update pixseek.audits set started_at = started_at - %(passed)s::interval,"
        " updated_at = updated_at - %(passed)s::interval,"
        " leased_until = leased_until - %(passed)s::interval"
    )
    session.execute(statement, {"passed": interval})


def _audits(session: Session) -> list[tuple[object, ...]]:
    return [
        (row["bucket"], row["state"], row["reason"])
        for row in call(session, "latest_audits_v1", match_count=1000)
    ]


def _removals(session: Session, audit_id: int, **page: object) -> list[tuple[str, str]]:
    rows = call(session, "audit_removals_v1", audit_id=audit_id, **page)
    return [(row["name"], row["ordering_key"]) for row in rows]


def _kept_removals(session: Session) -> int:
    [(count,)] = session.execute("select count(*) from pixseek.audit_removals")
    return int(count)


def _in_savepoint(session: Session, act: Callable[[], object]) -> None:
    """So that the test can go on after an error."""
    with session.transaction():
        act()


def test_an_audit_begins_at_the_beginning(service: Session) -> None:
    begun = _begin(service)

    assert begun.pop("audit_id") > 0
    assert begun == {
        "stage": "bucket",
        "position": "",
        "objects": 0,
        "images": 0,
        "faults": {},
        "examples": {},
        "repaired": {},
    }


def test_an_audit_that_was_given_up_goes_on_where_it_was(service: Session) -> None:
    audit_id = _begin_and_keep(service, "gone.jpg")
    _pause(service, audit_id)

    begun = _begin(service)

    assert begun == {"audit_id": audit_id, **_PROGRESS}
    assert _removals(service, audit_id) == [("gone.jpg", "1")]


def test_an_audit_whose_run_died_goes_on_when_its_lease_has_ended(service: Session) -> None:
    audit_id = _begin_and_keep(service)
    _let_pass(service, "121 seconds")

    begun = _begin(service)

    assert begun["audit_id"] == audit_id


def test_an_audit_that_somebody_has_is_nobody_elses(service: Session) -> None:
    _begin(service)

    failure = error(lambda: _in_savepoint(service, lambda: _begin(service)))

    assert failure.sqlstate == "55006"
    assert (failure.diag.message_hint or "").startswith("Come again when that one has ended, or at 20")
    assert _audits(service) == [("photos", "running", None)]


def test_keeping_an_audit_keeps_it_from_others(service: Session) -> None:
    audit_id = _begin(service)["audit_id"]
    _let_pass(service, "121 seconds")
    call(service, "keep_audit_v1", audit_id=audit_id, progress={}, lease_s=60)

    failure = error(lambda: _in_savepoint(service, lambda: _begin(service)))

    assert failure.sqlstate == "55006"


def test_each_bucket_has_audits_of_its_own(service: Session) -> None:
    _begin(service)

    begun = _begin(service, "others")

    assert begun["position"] == ""
    assert {bucket for bucket, *_ in _audits(service)} == {"photos", "others"}


def test_an_audit_that_takes_long_goes_on_as_long_as_somebody_goes_on_with_it(service: Session) -> None:
    audit_id = _begin_and_keep(service, "gone.jpg")
    _let_pass(service, "6 days")
    _begin(service)
    _let_pass(service, "6 days")

    begun = _begin(service)

    assert begun == {"audit_id": audit_id, **_PROGRESS}
    assert _removals(service, audit_id) == [("gone.jpg", "1")]


@pytest.mark.parametrize("repairs", [True, False])
def test_an_audit_that_nobody_has_gone_on_with_for_a_week_is_abandoned(
    repairs: bool, service: Session
) -> None:
    audit_id = _begin_and_keep(service, "gone.jpg", repairs=repairs)
    _let_pass(service, "169 hours")

    begun = _begin(service, repairs=repairs)

    assert (begun["audit_id"] > audit_id, begun["position"]) == (True, "")
    assert _audits(service) == [("photos", "running", None), ("photos", "failed", "abandoned")]
    assert _kept_removals(service) == 0


@pytest.mark.parametrize("repairs", [True, False])
def test_whoever_looks_and_whoever_repairs_do_not_disturb_each_other(repairs: bool, service: Session) -> None:
    audit_id = _begin_and_keep(service, "gone.jpg", repairs=repairs)

    other = _begin(service, repairs=not repairs)

    refused = error(lambda: _in_savepoint(service, lambda: _begin(service, repairs=repairs)))
    _pause(service, audit_id)
    assert (other["audit_id"] > audit_id, other["position"], refused.sqlstate) == (True, "", "55006")
    assert _begin(service, repairs=repairs) == {"audit_id": audit_id, **_PROGRESS}
    assert _audits(service) == [("photos", "running", None)] * 2


def test_of_runs_that_begin_at_once_one_has_the_audit(database: Database) -> None:
    outcomes = at_once(_outcome_of_a_start, [database.session() for _ in range(4)])

    assert sorted(map(str, outcomes)) == ["55006", "55006", "55006", "begun"]


def _outcome_of_a_start(session: Session) -> str | None:
    try:
        _begin(session)
    except psycopg.Error as exc:
        return exc.sqlstate
    return "begun"


def test_what_is_left_out_of_the_progress_stays(service: Session) -> None:
    audit_id = _begin_and_keep(service)

    call(service, "keep_audit_v1", audit_id=audit_id, progress={"objects": 8.0, "position": "d.jpg"})

    _pause(service, audit_id)
    assert _begin(service) == {"audit_id": audit_id, **_PROGRESS, "objects": 8, "position": "d.jpg"}


def test_removals_come_by_pages_in_the_order_of_their_bytes(service: Session) -> None:
    audit_id = _begin_and_keep(service, "é.jpg", "B.jpg", "a.jpg")

    pages = [
        _removals(service, audit_id, page_size=2),
        _removals(service, audit_id, after="a.jpg", page_size=2),
        _removals(service, audit_id, after="é.jpg"),
    ]

    assert pages == [[("B.jpg", "1"), ("a.jpg", "1")], [("é.jpg", "1")], []]


def test_a_removal_that_is_kept_again_has_its_latest_key(service: Session) -> None:
    audit_id = _begin_and_keep(service, "a.jpg", "a.jpg")

    again = [{"name": "a.jpg", "ordering_key": key} for key in ("2", "3")]
    call(service, "keep_audit_v1", audit_id=audit_id, progress={}, removals=again)

    assert _removals(service, audit_id) == [("a.jpg", "3")]


def test_removals_are_counted_beside_the_live_pictures_of_the_bucket(service: Session) -> None:
    _ = [index(service, item(name), vector(1)) for name in ("a.jpg", "b.jpg")]
    index(service, item("c.jpg", bucket="others"), vector(1))
    call(service, "remove_images_v1", objects=[item("d.jpg")])
    audit_id = _begin_and_keep(service, "a.jpg")

    counts = call(service, "count_audit_removals_v1", audit_id=audit_id)

    assert counts == [{"removals": 1, "live": 2}]


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [("done", None, None), ("braked", "half of it", "half of it"), ("failed", "", None)],
)
def test_an_audit_ends_with_its_counts_and_without_its_removals(
    state: str, reason: str | None, told: str | None, service: Session
) -> None:
    audit_id = _begin_and_keep(service, "gone.jpg")

    _end(service, audit_id, state, reason)

    [row] = call(service, "latest_audits_v1")
    assert (row["state"], row["reason"], row["objects"], row["faults"]) == (state, told, 7, {"missing": 1})
    assert row["ended_at"] is not None
    assert _kept_removals(service) == 0


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("keep_audit_v1", {"progress": _PROGRESS}), ("end_audit_v1", {"state": "failed"})],
)
def test_an_audit_that_has_ended_is_neither_kept_nor_ended_otherwise(
    function: str, arguments: Row, service: Session
) -> None:
    audit_id = _begin(service)["audit_id"]
    _end(service, audit_id)

    failure = error(
        lambda: _in_savepoint(service, lambda: call(service, function, audit_id=audit_id, **arguments))
    )

    assert (failure.sqlstate, bool(failure.diag.message_hint)) == ("55000", True)
    assert _audits(service) == [("photos", "done", None)]


def test_ending_an_audit_again_and_giving_up_one_that_ended_change_nothing(service: Session) -> None:
    audit_id = _begin(service)["audit_id"]
    _end(service, audit_id, "braked", "half of it")

    _end(service, audit_id, "braked")
    _pause(service, audit_id)

    assert _audits(service) == [("photos", "braked", "half of it")]


def test_after_an_audit_has_ended_the_next_one_begins_at_the_beginning(service: Session) -> None:
    audit_id = _begin_and_keep(service)
    _end(service, audit_id)

    begun = _begin(service)

    assert (begun["audit_id"] > audit_id, begun["objects"]) == (True, 0)


def test_audits_are_kept_for_400_days(service: Session) -> None:
    _end(service, _begin(service, "old")["audit_id"])
    _let_pass(service, "401 days")
    _end(service, _begin(service, "new")["audit_id"])

    kept = _audits(service)

    assert kept == [("new", "done", None)]


def test_the_latest_audits_come_first_and_do_not_tell_their_leases(service: Session) -> None:
    _ = [_begin(service, bucket) for bucket in ("a", "b", "c")]

    rows = call(service, "latest_audits_v1", match_count=2)

    assert [row["bucket"] for row in rows] == ["c", "b"]
    assert "leased_until" not in rows[0]


def _seen(session: Session, **page: object) -> list[Row]:
    return call(session, "audit_images_v1", **{"bucket_name": "photos", **page})


def _signs(session: Session, name: str) -> tuple[bool, bool, bool]:
    """Of one image: has_vector, is_given_up, is_stuck."""
    [row] = [row for row in _seen(session) if row["name"] == name]
    return row["has_vector"], row["is_given_up"], row["is_stuck"]


def _record(session: Session, *images: Row, **arguments: object) -> list[Row]:
    """Of a store that the database cannot ask."""
    return call(session, "record_images_v3", images=[*images], **{"provider": "s3", **arguments})


def _give_up(session: Session, image: Row) -> None:
    """All its tries ended in nothing."""
    _record(session, image)
    session.execute("update pixseek.work set attempts = %s, leased_until = '-infinity'", (_TRIES,))
    failed = {**as_recorded(image), "reason": "the model is down", "may_retry": True}
    call(session, "store_vectors_v2", vectors=[failed])


def _lease(session: Session, leased_until: str, table: str = "work") -> object:
    return session.execute(
        f"update pixseek.{table} set leased_until = now() + %s::interval".encode(), (leased_until,)
    )


def _state(session: Session, name: str) -> str | None:
    rows = call(session, "image_states_v1", bucket_name="photos", object_names=[name])
    return rows[0]["state"] if rows else None


def test_pages_of_images_tell_what_the_index_has_by_the_bytes_of_the_names(service: Session) -> None:
    [recorded] = _record(service, item("a.jpg", "7", version="v1", size_bytes=_SIZE))
    stored = {**result(item("a.jpg"), vector(1)), "preview": recorded["preview"]}
    call(service, "store_vectors_v2", vectors=[stored])
    _ = [_record(service, item(name)) for name in ("é.jpg", "B.jpg")]
    call(service, "remove_images_v2", objects=[_object("é.jpg", "9")], provider="s3")

    pages = [_seen(service, page_size=2), _seen(service, after="a.jpg", page_size=2)]

    assert [[row["name"] for row in page] for page in pages] == [["B.jpg", "a.jpg"], ["é.jpg"]]
    assert pages[0][1] == {
        "name": "a.jpg",
        "version": "v1",
        "size_bytes": _SIZE,
        "ordering_key": "7",
        "state": "indexed",
        "has_preview": True,
        "preview": recorded["preview"],
        "has_vector": True,
        "is_given_up": False,
        "is_stuck": False,
    }
    assert (pages[1][0]["state"], pages[1][0]["ordering_key"], pages[1][0]["preview"]) == (
        "deleted",
        "9",
        None,
    )


def test_a_page_is_of_one_bucket(service: Session) -> None:
    _record(service, item("a.jpg"), item("b.jpg", bucket="others"))

    found = [row["name"] for row in _seen(service)]

    assert found == ["a.jpg"]


def test_a_vector_counts_under_the_active_model_alone(service: Session) -> None:
    index(service, item("a.jpg"), vector(1))
    call(service, "create_model_v1", model_name="n", model_dimensions=DIMENSIONS)
    before = _signs(service, "a.jpg")

    call(service, "activate_model_v1", model_name="n", min_coverage=0)

    assert (before, _signs(service, "a.jpg")) == ((True, False, False), (False, False, False))


def test_what_was_given_up_after_all_its_tries_is_told(service: Session) -> None:
    _give_up(service, item("a.jpg"))

    signs = _signs(service, "a.jpg")

    assert (_state(service, "a.jpg"), signs) == ("failed", (False, True, False))


def test_what_is_no_picture_is_not_given_up(service: Session) -> None:
    _record(service, {**item("a.jpg"), "reason": "a PDF"})
    _record(service, item("b.jpg"))
    refused = {**as_recorded(item("b.jpg")), "reason": "the model sees nothing"}
    call(service, "store_vectors_v2", vectors=[refused])

    signs = [_signs(service, name) for name in ("a.jpg", "b.jpg")]

    assert signs == [(False, False, False)] * 2


@pytest.mark.parametrize(
    ("leased_until", "is_stuck"),
    [
        ("-61 minutes", True),
        ("-59 minutes", False),
        ("59 minutes", False),
        ("61 minutes", True),
        ("-infinity", False),
        ("infinity", True),
    ],
)
@pytest.mark.parametrize("table", ["work", "leases"])
def test_a_lease_is_stuck_when_nobody_can_have_it_any_more(
    table: str, leased_until: str, is_stuck: bool, service: Session
) -> None:
    _record(service, item("a.jpg"))

    _lease(service, leased_until, table)

    assert _signs(service, "a.jpg") == (False, False, is_stuck)


def test_an_old_lease_of_what_has_its_vector_or_is_blocked_is_not_stuck(service: Session) -> None:
    blocked = index(service, item("blocked.jpg"), vector(1))
    call(service, "block_images_v1", image_ids=[blocked], reason="a complaint")
    index(service, item("a.jpg"), vector(1))
    service.execute(
        "insert into pixseek.work (image_id, model_id, leased_until)"
        " select id, 1, now() - interval '1 day' from pixseek.images"
    )
    service.execute("delete from pixseek.vectors where image_id = %s", (blocked,))

    signs = [_signs(service, name)[2] for name in ("a.jpg", "blocked.jpg")]

    assert signs == [False, False]


def _queue(session: Session, *object_names: str) -> int:
    [row] = call(session, "queue_images_v1", bucket_name="photos", object_names=[*object_names])
    return int(row["queue_images_v1"])


def _claimed(session: Session) -> list[tuple[str, int]]:
    return [(row["name"], row["attempts"]) for row in call(session, "claim_images_v1")]


def test_what_lacks_its_vector_is_queued(service: Session) -> None:
    index(service, item("a.jpg"), vector(1))
    service.execute("delete from pixseek.vectors")

    queued = _queue(service, "a.jpg", "unknown.jpg")

    assert (queued, _state(service, "a.jpg"), _claimed(service)) == (1, "pending", [("a.jpg", 1)])


def test_what_was_given_up_is_queued_with_all_its_tries(service: Session) -> None:
    _give_up(service, item("a.jpg"))

    queued = _queue(service, "a.jpg")

    assert (queued, _state(service, "a.jpg"), _signs(service, "a.jpg")) == (
        1,
        "pending",
        (False, False, False),
    )
    assert _claimed(service) == [("a.jpg", 1)]


@pytest.mark.parametrize("leased_until", ["-2 hours", "2 days", "infinity"])
def test_what_has_a_stuck_lease_is_queued(leased_until: str, service: Session) -> None:
    _record(service, item("a.jpg"))
    _ = [_lease(service, leased_until, table) for table in ("work", "leases")]

    queued = _queue(service, "a.jpg")

    assert (queued, _signs(service, "a.jpg"), _claimed(service)) == (1, (False, False, False), [("a.jpg", 1)])


def test_what_somebody_embeds_right_now_is_left_to_them(service: Session) -> None:
    _record(service, item("a.jpg", content="same"), item("b.jpg", content="same"))

    queued = _queue(service, "a.jpg", "b.jpg")

    assert (queued, _claimed(service)) == (0, [])


def test_what_is_no_picture_or_blocked_or_gone_or_has_its_vector_is_not_queued(service: Session) -> None:
    _record(service, {**item("pdf.jpg"), "reason": "a PDF"}, item("gone.jpg"), item("blocked.jpg"))
    call(service, "remove_images_v2", objects=[_object("gone.jpg", "2")], provider="s3")
    index(service, item("a.jpg"), vector(1))
    service.execute("update pixseek.images set state = 'blocked', reason = 'r' where name = 'blocked.jpg'")

    queued = _queue(service, "pdf.jpg", "gone.jpg", "blocked.jpg", "a.jpg")

    assert queued == 0
    assert [_state(service, name) for name in ("pdf.jpg", "gone.jpg", "blocked.jpg", "a.jpg")] == [
        "failed",
        "deleted",
        "blocked",
        "indexed",
    ]


def test_queueing_and_uploading_in_other_orders_never_deadlock(database: Database, worker: Session) -> None:
    _record(worker, *[item(name, content=name) for name in ("b", "a")])
    worker.execute("update pixseek.work set leased_until = '-infinity'")
    worker.execute("delete from pixseek.leases")
    holding, uploading = database.owner(), database.session()
    holding.execute("begin; select from pixseek.images where name = 'b' for update")

    with (
        beside(database, worker, lambda: _queue(worker, "b", "a")) as queued,
        beside(database, uploading, lambda: _record(uploading, item("b", "2"), item("a", "2"))) as recorded,
    ):
        holding.execute("commit")

    assert [queued.exception(), recorded.exception()] == [None, None]


def _object(name: str, key: str = "", **more: object) -> Row:
    """As a sweep sees it."""
    return {"bucket": "photos", "name": name, "ordering_key": key, **more}


def _register(session: Session, *objects: Row, provider: str = "s3") -> list[tuple[str, str | None]]:
    rows = call(session, "register_images_v1", objects=[*objects], provider=provider)
    return [(row["standing"], row["old_preview"]) for row in rows]


def _put(session: Session, name: str, version: str = "v1", etag: str = "e") -> None:
    """An object in Storage."""
    session.execute(
        "insert into storage.buckets (id, name) values ('photos', 'photos') on conflict do nothing"
    )
    session.execute(
        "insert into storage.objects (bucket_id, name, version, metadata, owner_id, updated_at)"
        " values ('photos', %s, %s, %s, 'alice', '2026-01-01T00:00:01Z')"
        " on conflict (bucket_id, name) do update set version = excluded.version,"
        " metadata = excluded.metadata, updated_at = '2026-01-01T00:00:02Z'",
        (name, version, json.dumps({"eTag": f'"{etag}"', "size": _SIZE})),
    )


def _image(session: Session, name: str) -> Row:
    [(row,)] = session.execute("select to_jsonb(i) from pixseek.images i where name = %s", (name,))
    image: Row = row
    return image


def _work(session: Session) -> list[tuple[object, ...]]:
    return session.execute(
        "select i.name, w.attempts, w.leased_until = '-infinity', w.is_failed"
        " from pixseek.work w join pixseek.images i on i.id = w.image_id order by i.name"
    ).fetchall()


def test_a_missing_object_becomes_open_work_without_being_read(service: Session) -> None:
    found = _register(service, _object("a.jpg", version="v1", size_bytes=_SIZE, owner="alice"))

    image = _image(service, "a.jpg")
    assert found == [("pending", None)]
    assert (image["state"], image["version"], image["size_bytes"], image["owner"], image["content_hash"]) == (
        "pending",
        "v1",
        _SIZE,
        "alice",
        None,
    )
    assert _work(service) == [("a.jpg", 0, True, False)]
    assert _claimed(service) == [("a.jpg", 1)]


def test_registering_makes_no_call_to_the_model(service: Session) -> None:
    _register(service, _object("a.jpg"), _object("b.jpg"))

    calls = call(service, "daily_calls_v1")

    assert [row["made"] for row in calls] in ([], [0])


def test_a_missing_object_of_supabase_is_as_storage_has_it(service: Session) -> None:
    _put(service, "a.jpg")

    found = _register(service, _object("a.jpg", owner="bob", etag="e", size_bytes=_SIZE), provider="supabase")

    image = _image(service, "a.jpg")
    assert found == [("pending", None)]
    assert (image["owner"], image["version"], image["ordering_key"]) == (
        "alice",
        "v1",
        "20260101T000001.000000Z",
    )


def test_an_object_that_is_another_by_now_or_gone_is_not_registered(service: Session) -> None:
    _put(service, "a.jpg", etag="new")
    objects = [_object(name, etag="e", size_bytes=_SIZE) for name in ("a.jpg", "b.jpg")]

    found = _register(service, *objects, provider="supabase")

    assert found == [("changed", None)] * 2
    assert [_state(service, name) for name in ("a.jpg", "b.jpg")] == [None, None]


def test_a_lost_upload_comes_back_over_its_tombstone(service: Session) -> None:
    call(service, "remove_images_v2", objects=[_object("a.jpg", "5")], provider="s3")

    found = [_register(service, _object("a.jpg", key)) for key in ("4", "5")]

    assert found == [[("outdated", None)], [("pending", None)]]


def test_a_stale_picture_waits_for_its_new_bytes_and_is_not_found_by_the_old_ones(service: Session) -> None:
    [recorded] = _record(service, item("a.jpg", "5", version="v1", size_bytes=_SIZE))
    stored = {**result(item("a.jpg"), vector(1)), "preview": recorded["preview"]}
    call(service, "store_vectors_v2", vectors=[stored])

    found = _register(service, _object("a.jpg", "5", version="v2", size_bytes=_SIZE))

    assert found == [("pending", recorded["preview"])]
    assert names(search(service, vector(1))) == []
    assert _work(service) == [("a.jpg", 0, True, False)]


def test_the_vector_of_what_was_stale_is_spared_for_a_day(service: Session) -> None:
    index(service, item("a.jpg", "5", version="v1"), vector(1))
    _register(service, _object("a.jpg", "5", version="v2"))

    [again] = _record(service, item("a.jpg", "6", version="v2"))

    assert again["standing"] == "indexed"


def test_what_an_event_has_brought_meanwhile_is_left_alone(service: Session) -> None:
    index(service, item("a.jpg", "", version="v1", size_bytes=_SIZE), vector(1))

    found = _register(service, _object("a.jpg", version="v1", size_bytes=_SIZE))

    assert (found, names(search(service, vector(1)))) == ([("indexed", None)], ["a.jpg"])


def test_other_bytes_have_all_their_tries(service: Session) -> None:
    _register(service, _object("a.jpg", version="v1", size_bytes=_SIZE))
    service.execute("update pixseek.work set is_failed = true, attempts = 5, reason = 'the model is down'")
    service.execute("update pixseek.images set state = 'failed', reason = 'the model is down'")

    found = _register(service, _object("a.jpg", version="v2", size_bytes=_SIZE))

    assert (found, _state(service, "a.jpg")) == ([("pending", None)], "pending")
    assert _work(service) == [("a.jpg", 0, True, False)]


def test_a_blocked_picture_stays_blocked(service: Session) -> None:
    image_id = index(service, item("a.jpg", version="v1"), vector(1))
    call(service, "block_images_v1", image_ids=[image_id], reason="a complaint")

    found = _register(service, _object("a.jpg", "1", version="v2"))

    assert (found, _state(service, "a.jpg")) == ([("blocked", None)], "blocked")


def test_registered_objects_are_answered_in_their_order(service: Session) -> None:
    call(service, "remove_images_v2", objects=[_object("b.jpg", "5")], provider="s3")

    found = _register(service, _object("c.jpg"), _object("b.jpg", "4"), _object("a.jpg"), _object("c.jpg"))

    assert [standing for standing, _ in found] == ["pending", "outdated", "pending", "pending"]


def _preview_of(session: Session, name: str) -> str:
    """Of a picture that is indexed with its preview."""
    [recorded] = _record(session, item(name))
    stored = {**result(item(name), vector(1)), "preview": recorded["preview"]}
    call(session, "store_vectors_v2", vectors=[stored])
    preview: str = recorded["preview"]
    return preview


def _check(
    session: Session, *there: str, after: str = "", until: str | None = None
) -> list[tuple[str, str | None, str]]:
    rows = call(
        session,
        "check_previews_v1",
        bucket_name="photos",
        preview_names=[*there],
        after=after,
        until=until,
    )
    return [(row["preview"], row["image"], row["fault"]) for row in rows]


def test_previews_that_are_all_there_have_no_fault(service: Session) -> None:
    previews = [_preview_of(service, name) for name in ("a.jpg", "b.jpg")]

    assert _check(service, *previews) == []


def test_previews_that_are_lost_and_those_that_nobody_needs_are_told_in_order(service: Session) -> None:
    lost, there = sorted(_preview_of(service, name) for name in ("a.jpg", "b.jpg"))
    [(name,)] = service.execute("select name from pixseek.images where id = %s", (lost.split("/")[0],))

    found = _check(service, "0/1.webp", there, "999999999/0.webp")

    assert found == [
        ("0/1.webp", None, "orphan_preview"),
        (lost, name, "lost_preview"),
        ("999999999/0.webp", None, "orphan_preview"),
    ]


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "1/0.webp.bak", "a/1/0.webp", "1/0.WEBP", "-1/0.webp", "1/0.webp\n", f"1/{'0' * 19}.webp"],
)
def test_what_is_not_named_as_a_preview_is_somebody_elses(name: str, service: Session) -> None:
    assert _check(service, name) == []


def test_a_preview_is_lost_or_nobodys_within_the_range_of_the_page(service: Session) -> None:
    first, second, third = sorted(_preview_of(service, name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    orphans = [needed.replace(".webp", "0.webp") for needed in (first, third)]

    found = _check(service, *orphans, after=first, until=second)

    assert [(preview, fault) for preview, _, fault in found] == [
        (orphans[0], "orphan_preview"),
        (second, "lost_preview"),
    ]


@pytest.mark.parametrize("state", ["blocked", "failed", "pending"])
def test_of_what_is_not_indexed_no_preview_is_lost_and_none_is_too_many(state: str, service: Session) -> None:
    preview = _preview_of(service, "a.jpg")
    service.execute(
        "update pixseek.images set state = %s, reason = case when %s <> 'pending' then 'r' end",
        (state, state),
    )

    assert (_check(service), _check(service, preview)) == ([], [])


def _pictures(session: Session, count: int) -> None:
    """On record with a preview each."""
    call(session, "put_bucket_v1", bucket_name="photos")
    session.execute(
        "insert into pixseek.images (bucket, name, ordering_key, state, has_preview)"
        " select 'photos', g || '.jpg', '', 'indexed', true from generate_series(1, %s) g",
        (count,),
    )


def test_more_than_1000_faulty_previews_come_in_several_answers(service: Session) -> None:
    _pictures(service, 1500)
    strays = [f"0/{number}.webp" for number in range(1000)]

    answers = [_check(service, *strays)]
    answers.append(_check(service, *strays, after=answers[0][-1][0]))
    answers.append(_check(service, *strays, after=answers[1][-1][0]))

    assert [len(answer) for answer in answers] == [1000, 1000, 500]
    assert len({preview for answer in answers for preview, *_ in answer}) == 2500


def test_checking_previews_reads_a_range_of_the_index(service: Session) -> None:
    _pictures(service, 5000)
    service.execute("set local enable_seqscan = off")
    explained = service.execute(
        "explain select name from pixseek.images i where bucket = 'photos' and has_preview"
        " and pixseek.preview_name(i.id, i.edition) collate \"C\" > '5'"
        ' order by pixseek.preview_name(i.id, i.edition) collate "C" limit 1000'
    )

    plan = "\n".join(line for (line,) in explained)

    assert ("images_previews" in plan, "Sort" in plan) == (True, False)


def test_a_lost_preview_is_noted(service: Session) -> None:
    _ = [_preview_of(service, name) for name in ("a.jpg", "b.jpg")]
    _record(service, item("pending.jpg"))

    [row] = call(
        service,
        "lose_previews_v1",
        bucket_name="photos",
        object_names=["a.jpg", "pending.jpg", "unknown.jpg"],
    )

    assert row["lose_previews_v1"] == 1
    assert [_image(service, name)["has_preview"] for name in ("a.jpg", "b.jpg")] == [False, True]
    assert names(search(service, vector(1))) in (["a.jpg", "b.jpg"], ["b.jpg", "a.jpg"])


def test_the_picture_that_waits_longest_is_told(service: Session) -> None:
    before = call(service, "oldest_pending_v1")
    _record(service, item("a.jpg"), item("b.jpg"))
    index(service, item("c.jpg"), vector(1))
    service.execute("update pixseek.images set updated_at = '2026-01-01Z' where name <> 'a.jpg'")

    [row] = call(service, "oldest_pending_v1")

    assert before == []
    assert (row["bucket"], row["image"], row["since"].year) == ("photos", "b.jpg", 2026)


def test_the_calls_of_the_last_days_come_latest_first(service: Session) -> None:
    service.execute(
        "insert into pixseek.calls (day, lane, made, saved)"
        " select pixseek.utc_day() - d, l, d, 1 from generate_series(0, 3) d,"
        " unnest(array['search', 'indexing']) l"
    )

    rows = call(service, "daily_calls_v1", days=2)

    assert [(row["lane"], row["made"], row["saved"]) for row in rows] == [
        ("indexing", 0, 1),
        ("search", 0, 1),
        ("indexing", 1, 1),
        ("search", 1, 1),
    ]


@pytest.mark.parametrize(
    ("progress", "fault"),
    [
        ("null", "no JSON object"),
        ("[]", "no JSON object"),
        ({"stage": "x"}, "unknown stage: x"),
        ({"stage": 1}, "stage is no string"),
        ({"objects": -1}, "objects is no count"),
        ({"objects": 0.5}, "objects is no count"),
        ({"images": "7"}, "images is no number"),
        ({"faults": []}, "faults is no object"),
        ({"leased_until": "x"}, "leased_until is no field"),
        ({"position": None}, "position is no string"),
    ],
    ids=str,
)
def test_what_is_no_progress_is_named_and_refused(progress: object, fault: str, service: Session) -> None:
    audit_id = _begin(service)["audit_id"]

    failure = error(
        lambda: _in_savepoint(
            service, lambda: call(service, "keep_audit_v1", audit_id=audit_id, progress=progress)
        )
    )

    assert (failure.sqlstate, fault in str(failure), bool(failure.diag.message_hint)) == ("22023", True, True)


@pytest.mark.parametrize(
    "removals",
    [
        "null",
        "{}",
        "[1]",
        '[{"name": "a"}]',
        '[{"name": "", "ordering_key": ""}]',
        '[{"name": "a", "ordering_key": "", "x": 1}]',
    ],
)
def test_what_are_no_removals_is_refused(removals: str, service: Session) -> None:
    audit_id = _begin(service)["audit_id"]

    failure = error(
        lambda: _in_savepoint(
            service,
            lambda: call(service, "keep_audit_v1", audit_id=audit_id, progress={}, removals=removals),
        )
    )

    assert (failure.sqlstate, bool(failure.diag.message_hint)) == ("22023", True)
    assert _kept_removals(service) == 0


def test_a_sha_of_a_swept_object_is_not_taken(service: Session) -> None:
    hashed = _object("a.jpg", content_hash=sha256("a"))

    failure = error(lambda: _in_savepoint(service, lambda: _register(service, hashed)))

    assert (failure.sqlstate, "content_hash is no field" in str(failure)) == ("22023", True)
