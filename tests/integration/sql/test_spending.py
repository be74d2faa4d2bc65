"""The spend guard: how fast and how often all callers together may call a model that costs money."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

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
    result,
    search,
    vector,
)

_RATE = 20
_SLOT_S = 1 / (0.95 * _RATE)
_LEASE_S = 120
_TRIES = 5


def _take(session: Session, lane: str, count: int = 1, max_wait_s: float = 60, **more: object) -> Row:
    arguments = {"lane": lane, "permit_count": count, "max_wait_s": max_wait_s, **more}
    [row] = call(session, "take_permits_v1", **arguments)
    granted: Row = row["take_permits_v1"]
    return granted


def _granted(session: Session, lane: str, count: int = 1, max_wait_s: float = 60) -> int:
    """How many."""
    return len(_take(session, lane, count, max_wait_s)["waits_s"])


def _limit(session: Session, **limits: object) -> None:
    call(session, "limit_spending_v1", limits=limits)


def _limits(session: Session) -> tuple[float | None, int | None, int | None]:
    """Of the rate, and of each lane's day."""
    rows = {row["lane"]: row for row in call(session, "spending_v1")}
    [rate] = {row["calls_per_s"] for row in rows.values()}
    return rate, rows["search"]["calls_per_day"], rows["indexing"]["calls_per_day"]


def _spent(session: Session) -> dict[str, tuple[int, int]]:
    """Calls made and saved today, of each lane."""
    return {row["lane"]: (row["made"], row["saved"]) for row in call(session, "spending_v1")}


def _record(session: Session, *images: Row, **arguments: object) -> list[Row]:
    return call(session, "record_images_v2", images=[*images], **arguments)


def _record_v1(session: Session, *images: Row) -> list[Row]:
    return call(session, "record_images_v1", images=[*images])


def _release(session: Session, *images: Row, model: str | None = None) -> list[Row]:
    released = [as_recorded(image) for image in images]
    return call(session, "release_images_v1", images=released, model_name=model)


def _claim(session: Session) -> list[tuple[str, int]]:
    """The images that a claim leases, with how often each was tried, this time included."""
    return [(row["name"], row["attempts"]) for row in call(session, "claim_images_v1")]


def _numbered(count: int) -> list[Row]:
    return [item(f"{number:03}.jpg") for number in range(count)]


def _slots(database: Database, lane: str | None = None) -> list[int]:
    """What is booked."""
    rows = database.owner().execute(
        "select slot from pixseek.permits where lane = coalesce(%s, lane) order by slot", (lane,)
    )
    return [slot for (slot,) in rows]


def _book(database: Database, lane: str, age_s: float) -> int:
    """As if a permit had been for some seconds ago; its slot."""
    [(slot,)] = database.owner().execute(
        "insert into pixseek.permits (slot, lane)"
        " values (floor((extract(epoch from clock_timestamp()) - %s) / %s), %s) returning slot",
        (age_s, _SLOT_S, lane),
    )
    return int(slot)


def _now(session: Session) -> datetime:
    [(now,)] = session.execute("select clock_timestamp()")
    moment: datetime = now
    return moment


def _next_midnight(session: Session) -> datetime:
    return datetime.combine(_now(session).astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def _content(database: Database) -> list[tuple[object, ...]]:
    """All that says who embeds what."""
    return (
        database.owner()
        .execute(
            "select (select array_agg(w::text order by w::text) from pixseek.work w),"
            " (select array_agg(l::text order by l::text) from pixseek.leases l),"
            " (select array_agg(i::text order by i::text) from pixseek.images i)"
        )
        .fetchall()
    )


def _work(database: Database) -> dict[str, tuple[int, bool]]:
    """How often each image was tried, and whether it is leased."""
    rows = database.owner().execute(
        "select i.name, w.attempts, w.leased_until > clock_timestamp()"
        " from pixseek.work w join pixseek.images i on i.id = w.image_id"
    )
    return {name: (attempts, is_leased) for name, attempts, is_leased in rows}


def _expire(database: Database) -> None:
    """As if all workers had died."""
    database.owner().execute(
        "update pixseek.work set leased_until = now() - interval '1 s';"
        "update pixseek.leases set leased_until = now() - interval '1 s'"
    )


@pytest.mark.parametrize("rate", [1, _RATE, 100])
def test_no_second_has_more_calls_than_the_rate_though_each_comes_as_late_as_it_may(
    rate: int, service: Session
) -> None:
    _limit(service, calls_per_s=rate)

    granted = _take(service, "indexing", 3 * rate)

    waits_s = granted["waits_s"]
    latest_s = [wait_s + granted["valid_s"] for wait_s in waits_s]
    assert len(waits_s) == 3 * rate
    assert all(earlier < later for earlier, later in pairwise(waits_s))
    assert all(after - late > 1 for late, after in zip(latest_s, waits_s[rate:], strict=False))


def test_one_call_takes_permits_of_more_than_a_second(service: Session) -> None:
    waits_s = _take(service, "indexing", 60)["waits_s"]

    assert len(waits_s) == 60
    assert waits_s[0] < 2 * _SLOT_S
    assert 3 < waits_s[-1] < 3.5


def test_a_call_goes_on_where_the_one_before_ended(database: Database, service: Session) -> None:
    _ = [_take(service, lane, 30) for lane in ["indexing", "search", "indexing", "search"]]

    slots = _slots(database)
    assert len(slots) == 120
    assert len({*slots}) == 120


def test_nine_tenths_of_the_rate_are_indexings_when_nobody_searches(service: Session) -> None:
    waits_s = _take(service, "indexing", 190)["waits_s"]

    assert len(waits_s) == 190
    assert waits_s[-1] < 190 / (0.9 * _RATE)


def test_all_slots_are_searchs_when_nobody_indexes(database: Database, service: Session) -> None:
    granted = _take(service, "search", 100)

    slots = _slots(database)
    assert len(granted["waits_s"]) == 100
    assert slots == [*range(slots[0], slots[0] + 100)]


@pytest.mark.parametrize("attempt", range(10))
def test_a_search_that_gets_a_slot_that_has_begun_is_not_later_than_any_other(
    attempt: int, database: Database, service: Session
) -> None:
    _limit(service, calls_per_s=50 + attempt)
    before_s = _now(service).timestamp()

    granted = _take(service, "search")

    [slot] = _slots(database)
    late_s = before_s + granted["waits_s"][0] + granted["valid_s"] - slot / (0.95 * (50 + attempt))
    assert late_s < 0.045


def test_no_two_of_eight_sessions_get_the_same_slot(database: Database) -> None:
    lanes = ["search", "indexing"] * 4
    workers = [(database.session(), lane) for lane in lanes]

    counts = at_once(lambda worker: [_granted(*worker, 5) for _ in range(5)], workers)

    assert counts == [[5] * 5] * 8
    assert len({*_slots(database)}) == 200


def test_who_comes_while_another_takes_permits_waits_and_gets_those_after(
    database: Database, service: Session
) -> None:
    first = database.session()
    first.execute("begin")
    _take(first, "search", 20)

    with beside(database, service, lambda: _take(service, "search", 20)) as second:
        first.execute("commit")

    assert len(second.result()["waits_s"]) == 20
    slots = _slots(database)
    assert len({*slots}) == 40


def test_what_was_taken_in_vain_is_free_again(database: Database, service: Session) -> None:
    _limit(service, search_calls_per_day=20)
    first = database.session()
    first.execute("begin")
    _take(first, "search", 20)

    with beside(database, service, lambda: _granted(service, "search", 20)) as second:
        first.execute("rollback")

    assert second.result() == 20
    assert (len(_slots(database)), _spent(service)["search"]) == (20, (20, 0))


def test_slots_of_long_ago_are_cleaned_up(database: Database, service: Session) -> None:
    old = _book(database, "indexing", age_s=11)
    recent = _book(database, "indexing", age_s=5)

    _take(service, "indexing")

    slots = _slots(database)
    assert (old in slots, recent in slots, len(slots)) == (False, True, 2)


def test_a_search_need_not_wait_for_what_indexing_booked_ahead(service: Session) -> None:
    booked = _take(service, "indexing", 200)

    [wait_s] = _take(service, "search")["waits_s"]

    assert booked["waits_s"][-1] > 10
    assert wait_s < 2.2


def test_searches_one_after_another_need_not_wait_for_what_indexing_booked_ahead(service: Session) -> None:
    _take(service, "indexing", 400)

    waits_s = [_take(service, "search")["waits_s"][0] for _ in range(5)]

    assert [wait_s < 2.2 * place for place, wait_s in enumerate(waits_s, start=1)] == [True] * 5


def test_indexing_leaves_every_second_slot_once_somebody_searches(
    database: Database, service: Session
) -> None:
    _take(service, "search")

    _take(service, "indexing", 40)

    slots = _slots(database, "indexing")
    assert {slot % 2 for slot in slots} == {1}
    assert slots[-1] - slots[0] == 2 * 39


def test_indexing_leaves_one_slot_in_40_when_nobody_searches(database: Database, service: Session) -> None:
    _take(service, "indexing", 200)

    slots = _slots(database, "indexing")
    left = {*range(slots[0], slots[-1])} - {*slots}
    assert len(left) in (5, 6)
    assert {slot % 40 for slot in left} == {0}


def test_indexing_leaves_no_more_than_one_in_40_once_the_last_search_is_long_ago(
    database: Database, service: Session
) -> None:
    _book(database, "search", age_s=11)

    _take(service, "indexing", 40)

    slots = _slots(database, "indexing")
    assert slots[-1] - slots[0] <= 41


def test_a_search_is_next_while_others_search_and_indexing_is_booked_ahead(service: Session) -> None:
    _take(service, "search")
    _take(service, "indexing", 200)

    waits_s = _take(service, "search", 20)["waits_s"]

    assert waits_s[0] < 5 * _SLOT_S
    assert waits_s[-1] < 45 * _SLOT_S


def test_indexing_gets_about_half_while_searches_take_all_they_can(
    database: Database, service: Session
) -> None:
    _ = [(_take(service, "search", 10), _take(service, "indexing", 10)) for _ in range(20)]

    slots = _slots(database)
    middle = (slots[0] + slots[-1]) // 2
    of_indexing = [slot for slot in _slots(database, "indexing") if slot <= middle]
    assert 0.4 < len(of_indexing) / (middle - slots[0]) < 0.6


def test_searches_that_booked_all_they_may_wait_for_do_not_shut_out_who_can_wait_longer(
    service: Session,
) -> None:
    _take(service, "search", 500, max_wait_s=10)

    waits_s = _take(service, "indexing", 40, max_wait_s=30)["waits_s"]

    assert len(waits_s) == 40
    assert waits_s[-1] < 10 + 82 * _SLOT_S


@pytest.mark.parametrize("lane", ["search", "indexing"])
def test_no_permit_is_for_later_than_the_caller_can_wait(lane: str, service: Session) -> None:
    before = _now(service)

    granted = _take(service, lane, 60, max_wait_s=1)

    assert 15 <= len(granted["waits_s"]) <= 20
    assert granted["waits_s"][-1] <= 1
    assert datetime.fromisoformat(granted["frees_at"]) > before + timedelta(seconds=1)


def test_who_gets_all_is_not_told_when_there_are_more(service: Session) -> None:
    granted = _take(service, "indexing", 5)

    assert (len(granted["waits_s"]), granted["frees_at"]) == (5, None)


@pytest.mark.parametrize("booked", [[], [60]], ids=["nothing booked", "60 booked"])
@pytest.mark.parametrize("lane", ["search", "indexing"])
def test_who_cannot_wait_may_get_none_and_hears_when_there_are_more(
    lane: str, booked: list[int], service: Session
) -> None:
    # The next slot is far away.
    _limit(service, calls_per_s=0.02)
    _ = [_take(service, "search", count, max_wait_s=3600) for count in booked]
    before = _now(service)

    granted = _take(service, lane, max_wait_s=0)

    assert granted["waits_s"] == []
    assert datetime.fromisoformat(granted["frees_at"]) > before


@pytest.mark.parametrize("lane", ["search", "indexing"])
@pytest.mark.parametrize("booked_by", ["search", "indexing"])
def test_the_time_at_which_there_are_more_is_that_of_the_lanes_next_slot(
    booked_by: str, lane: str, database: Database, service: Session
) -> None:
    _take(service, booked_by, 100)
    refused = _take(service, lane, 60, max_wait_s=2)
    before = _slots(database)

    _take(service, lane)

    [slot] = {*_slots(database)} - {*before}
    frees_at = datetime.fromisoformat(refused["frees_at"]).timestamp()
    assert frees_at == pytest.approx(slot * _SLOT_S, abs=1e-3)


def test_each_lane_has_a_budget_of_its_own(service: Session) -> None:
    _limit(service, search_calls_per_day=2, indexing_calls_per_day=3)

    counts = {
        lane: [_granted(service, lane, 2), _granted(service, lane, 2)] for lane in ["search", "indexing"]
    }

    assert counts == {"search": [2, 0], "indexing": [2, 1]}
    assert _spent(service) == {"search": (2, 0), "indexing": (3, 0)}


@pytest.mark.parametrize("calls_per_s", [_RATE, None])
@pytest.mark.parametrize(("budget", "left"), [(0, 0), (3, 3)])
def test_a_call_gets_what_is_left_of_the_budget_and_hears_that_there_is_more_at_midnight_utc(
    budget: int, left: int, calls_per_s: int | None, service: Session
) -> None:
    service.execute("set time zone 'Asia/Tokyo'")
    _limit(service, calls_per_s=calls_per_s, search_calls_per_day=budget)

    granted = _take(service, "search", 5)

    assert len(granted["waits_s"]) == left
    assert datetime.fromisoformat(granted["frees_at"]) == _next_midnight(service)


def test_who_cannot_wait_for_what_is_left_of_the_budget_is_not_sent_off_until_midnight(
    service: Session,
) -> None:
    _limit(service, indexing_calls_per_day=100)

    granted = _take(service, "indexing", 200, max_wait_s=1)

    assert 15 <= len(granted["waits_s"]) <= 20
    assert datetime.fromisoformat(granted["frees_at"]) < _now(service) + timedelta(seconds=3)


def test_null_lifts_a_budget(service: Session) -> None:
    _limit(service, search_calls_per_day=0)
    before = _granted(service, "search")

    _limit(service, search_calls_per_day=None)

    assert (before, _granted(service, "search", 500)) == (0, 500)


def test_a_budget_below_what_is_spent_already_grants_none(service: Session) -> None:
    _take(service, "search", 4)

    _limit(service, search_calls_per_day=2)

    assert _granted(service, "search") == 0
    assert _spent(service)["search"] == (4, 0)


def test_permits_that_were_not_used_in_time_cost_nothing(service: Session) -> None:
    _limit(service, search_calls_per_day=5)
    _take(service, "search", 5)

    granted = _take(service, "search", 5, unused_count=3)

    assert len(granted["waits_s"]) == 3
    assert _spent(service)["search"] == (5, 0)


def test_unused_permits_give_back_no_more_than_was_spent_and_on_no_other_lane(service: Session) -> None:
    _take(service, "search", 2)
    _take(service, "indexing", 4)

    _take(service, "search", 1, unused_count=100)

    assert _spent(service) == {"search": (1, 0), "indexing": (4, 0)}


def test_a_budget_is_for_a_day(database: Database, service: Session) -> None:
    _limit(service, search_calls_per_day=5)
    _take(service, "search", 5)
    database.owner().execute("update pixseek.calls set day = day - 1")

    counts = [_granted(service, "search", 5), _granted(service, "search", 5)]

    assert counts == [5, 0]
    assert _spent(service)["search"] == (5, 0)


def test_calls_that_needed_no_permit_count_too(service: Session) -> None:
    _limit(service, search_calls_per_day=5)
    call(service, "count_calls_v1", lane="search", made=3, saved=100)

    assert _granted(service, "search", 5) == 2


def test_who_asks_at_once_for_what_is_left_of_the_budget_gets_no_more_than_that(database: Database) -> None:
    sessions = [database.session() for _ in range(8)]
    _limit(sessions[0], indexing_calls_per_day=50)

    counts = at_once(lambda session: sum(_granted(session, "indexing") for _ in range(10)), sessions)

    assert sum(counts) == 50
    assert _spent(sessions[0])["indexing"] == (50, 0)


@pytest.mark.parametrize("lane", ["search", "indexing"])
def test_without_a_rate_every_call_may_be_made_at_once_and_counts_all_the_same(
    lane: str, service: Session
) -> None:
    _limit(service, calls_per_s=None)

    granted = _take(service, lane, 500, max_wait_s=0)

    assert granted == {"waits_s": [0] * 500, "valid_s": None, "frees_at": None}
    assert _spent(service)[lane] == (500, 0)


def test_before_anybody_sets_a_limit_the_rate_is_that_of_the_free_plan_and_days_are_without(
    service: Session,
) -> None:
    assert _limits(service) == (20, None, None)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, (5, 6, 7)),
        ({"calls_per_s": 0.5}, (0.5, 6, 7)),
        ({"search_calls_per_day": 0}, (5, 0, 7)),
        ({"indexing_calls_per_day": 10**15}, (5, 6, 10**15)),
        ({"calls_per_s": None}, (None, 6, 7)),
        ({"search_calls_per_day": None, "indexing_calls_per_day": None}, (5, None, None)),
        ({"search_calls_per_day": 100.0}, (5, 100, 7)),
    ],
)
def test_only_the_limits_that_are_given_are_set(
    limits: Row, expected: tuple[object, ...], service: Session
) -> None:
    _limit(service, calls_per_s=5, search_calls_per_day=6, indexing_calls_per_day=7)

    _limit(service, **limits)

    assert _limits(service) == expected


@pytest.mark.parametrize("rate", [10, 20.5, None])
def test_another_rate_has_slots_of_its_own(rate: float | None, database: Database, service: Session) -> None:
    _take(service, "indexing", 100)

    _limit(service, calls_per_s=rate)

    assert _slots(database) == []
    assert _take(service, "search")["waits_s"][0] < 0.2


@pytest.mark.parametrize("limits", [{"calls_per_s": 20.0}, {"search_calls_per_day": 5}, {}])
def test_what_is_booked_stays_booked_at_the_same_rate(
    limits: Row, database: Database, service: Session
) -> None:
    _take(service, "indexing", 100)

    _limit(service, **limits)

    assert len(_slots(database)) == 100


def test_limits_hold_from_the_next_call_on_for_who_waits_while_they_are_set(
    database: Database, service: Session
) -> None:
    operator = database.session()
    operator.execute("begin")
    _limit(operator, search_calls_per_day=3)

    with beside(database, service, lambda: _granted(service, "search", 5)) as granted:
        operator.execute("commit")

    assert granted.result() == 3


def test_limits_that_are_set_at_once_are_all_kept(database: Database, service: Session) -> None:
    other = database.session()
    other.execute("begin")
    _limit(other, search_calls_per_day=3)

    with beside(database, service, lambda: _limit(service, indexing_calls_per_day=4)) as limited:
        other.execute("commit")

    assert limited.exception() is None
    assert _limits(service) == (20, 3, 4)


def test_the_operator_sees_each_lanes_calls_of_today_and_its_limits(
    database: Database, service: Session
) -> None:
    _limit(service, search_calls_per_day=1000)
    call(service, "count_calls_v1", lane="search", made=7)
    database.owner().execute("update pixseek.calls set day = day - 1")
    _take(service, "search", 2)
    call(service, "count_calls_v1", lane="search", saved=3)
    call(service, "count_calls_v1", lane="indexing", saved=4)

    spending = call(service, "spending_v1")

    assert sorted(spending, key=lambda row: row["lane"]) == [
        {"lane": "indexing", "made": 0, "saved": 4, "calls_per_day": None, "calls_per_s": 20},
        {"lane": "search", "made": 2, "saved": 3, "calls_per_day": 1000, "calls_per_s": 20},
    ]


def test_counts_add_up(service: Session) -> None:
    counts: list[Row] = [{"made": 2}, {"saved": 3}, {"made": 4, "saved": 5}, {}]

    _ = [call(service, "count_calls_v1", lane="search", **count) for count in counts]

    assert _spent(service) == {"search": (6, 8), "indexing": (0, 0)}


def test_counts_of_many_at_once_add_up(database: Database) -> None:
    sessions = [database.session() for _ in range(8)]

    at_once(
        lambda session: [call(session, "count_calls_v1", lane="search", made=1) for _ in range(10)], sessions
    )

    assert _spent(sessions[0])["search"] == (80, 0)


def _standings_of_all_kinds(service: Session) -> list[Row]:
    """Images that a call finds, in this order, new, there twice, known by their bytes, indexed, waiting,
    failed, blocked, deleted and older than what is on record.
    """
    index(service, item("indexed.jpg", content="known"), vector(1))
    _record_v1(service, item("leased.jpg", content="leased"))
    blocked = index(service, item("blocked.jpg"), vector(2))
    call(service, "block_images_v1", image_ids=[blocked], reason="a complaint")
    call(service, "remove_images_v1", objects=[item("deleted.jpg", "3")])
    return [
        item("new.jpg"),
        item("twice.jpg"),
        item("twice.jpg"),
        item("known.jpg", content="known"),
        item("indexed.jpg", content="known"),
        item("waiting.jpg", content="leased"),
        item("no picture.jpg", reason="a PDF"),
        item("blocked.jpg", "2"),
        item("deleted.jpg", "2"),
        item("twice.jpg", "0"),
    ]


def test_without_a_wait_for_permits_the_answer_is_that_of_version_1(service: Session) -> None:
    images = _standings_of_all_kinds(service)
    with service.transaction(force_rollback=True):
        version_1 = _record_v1(service, *images)

    version_2 = _record(service, *images)

    assert [_without_id(row) for row in version_2] == [
        {
            **_without_id(row),
            "embed_in_s": 0 if row["standing"] == "pending" else None,
            "embed_until_s": None,
            "permits_at": None,
        }
        for row in version_1
    ]
    assert [row["standing"] for row in version_2] == [
        "pending",
        "pending",
        "pending",
        "indexed",
        "indexed",
        "waiting",
        "failed",
        "blocked",
        "outdated",
        "outdated",
    ]


def _without_id(row: Row) -> Row:
    """New images get new ids, also after a rollback."""
    return {key: value for key, value in row.items() if key != "image_id"}


def test_the_answer_names_the_images_on_record(service: Session) -> None:
    [row] = _record(service, item("a.jpg"), permit_wait_s=5)

    [stored] = call(service, "store_vectors_v1", vectors=[result(item("a.jpg"), vector(1))])

    assert row["image_id"] == stored["image_id"]
    assert names(search(service, vector(1))) == ["a.jpg"]


@pytest.mark.parametrize("permit_wait_s", [None, 30])
def test_a_picture_counts_as_made_when_it_is_the_callers_to_embed_and_as_saved_when_its_bytes_are_known(
    permit_wait_s: float | None, service: Session
) -> None:
    images = _standings_of_all_kinds(service)
    before = _spent(service)

    _record(service, *images, permit_wait_s=permit_wait_s)

    assert before["indexing"] == (0, 0)
    assert _spent(service) == {"search": (0, 0), "indexing": (2, 2)}


def test_no_permit_is_taken_where_none_is_asked_for(database: Database, service: Session) -> None:
    _limit(service, indexing_calls_per_day=1)

    recorded = _record(service, *_numbered(5))

    assert [row["embed_in_s"] for row in recorded] == [0] * 5
    assert _slots(database) == []


def test_pending_images_come_with_the_permits_to_embed_them(database: Database, service: Session) -> None:
    recorded = _record(service, *_numbered(60), permit_wait_s=30)

    starts_s = sorted(row["embed_in_s"] for row in recorded)
    assert all(later - earlier > 0.9 * _SLOT_S for earlier, later in pairwise(starts_s))
    assert [row["embed_until_s"] - row["embed_in_s"] for row in recorded] == pytest.approx([0.04] * 60)
    assert {row["permits_at"] for row in recorded} == {None}
    assert len(_slots(database, "indexing")) == 60


def test_images_with_nothing_to_embed_take_no_permit(database: Database, service: Session) -> None:
    index(service, item("a.jpg", content="c"), vector(1))

    [row] = _record(service, item("b.jpg", content="c"), permit_wait_s=30)

    assert (row["standing"], row["embed_in_s"], row["permits_at"]) == ("indexed", None, None)
    assert _slots(database) == []


def test_an_image_that_comes_twice_in_a_call_takes_one_permit(database: Database, service: Session) -> None:
    older, newer = item("a.jpg", "1", content="old"), item("a.jpg", "2")

    [first, outdated, second] = _record(service, newer, older, newer, permit_wait_s=30)

    assert [first["standing"], second["standing"]] == ["pending", "pending"]
    assert first["embed_in_s"] == second["embed_in_s"]
    assert (outdated["standing"], outdated["embed_in_s"], outdated["permits_at"]) == ("outdated", None, None)
    assert len(_slots(database)) == 1


def test_an_image_that_comes_twice_in_a_call_saves_one_call(service: Session) -> None:
    index(service, item("a.jpg", content="c"), vector(1))
    copy = item("b.jpg", content="c")

    _record(service, copy, copy)

    assert _spent(service)["indexing"] == (0, 1)


def test_copies_in_a_call_take_one_permit(database: Database, service: Session) -> None:
    recorded = _record(service, *[item(f"{n}.jpg", content="c") for n in range(3)], permit_wait_s=30)

    assert sorted(row["standing"] for row in recorded) == ["pending", "waiting", "waiting"]
    assert sorted(row["embed_in_s"] is None for row in recorded) == [False, True, True]
    assert {row["permits_at"] for row in recorded} == {None}
    assert len(_slots(database)) == 1


def test_without_a_rate_pictures_may_be_embedded_at_any_time(service: Session) -> None:
    _limit(service, calls_per_s=None)

    [row] = _record(service, item("a.jpg"), permit_wait_s=0)

    assert (row["embed_in_s"], row["embed_until_s"], row["permits_at"]) == (0, None, None)


def test_images_beyond_the_budget_are_pending_and_nobodys(database: Database, service: Session) -> None:
    _limit(service, indexing_calls_per_day=3)
    images = _numbered(5)

    recorded = _record(service, *images, permit_wait_s=30)

    granted = [row["name"] for row in recorded if row["embed_in_s"] is not None]
    refused = [row for row in recorded if row["embed_in_s"] is None]
    assert (len(granted), [row["standing"] for row in recorded]) == (3, ["pending"] * 5)
    assert [(row["embed_until_s"], row["permits_at"]) for row in refused] == [
        (None, _next_midnight(service))
    ] * 2
    assert _work(database) == {
        **dict.fromkeys(granted, (1, True)),
        **{row["name"]: (0, False) for row in refused},
    }
    assert _claim(service) == sorted((row["name"], 1) for row in refused)


def test_images_beyond_the_wait_are_pending_and_nobodys(database: Database, service: Session) -> None:
    before = _now(service)

    recorded = _record(service, *_numbered(60), permit_wait_s=1)

    refused = [row for row in recorded if row["embed_in_s"] is None]
    assert 40 <= len(refused) <= 45
    assert {row["standing"] for row in recorded} == {"pending"}
    assert {before < row["permits_at"] < before + timedelta(minutes=1) for row in refused} == {True}
    assert len(_slots(database)) == 60 - len(refused)
    assert sorted(name for name, _ in _claim(service)) == sorted(row["name"] for row in refused)[:32]


def test_another_may_record_at_once_what_got_no_permit(database: Database, service: Session) -> None:
    _limit(service, indexing_calls_per_day=0)
    [first] = _record(service, item("a.jpg"), permit_wait_s=30)
    _limit(service, indexing_calls_per_day=1)

    [second] = _record(database.session(), item("a.jpg"), permit_wait_s=30)

    assert (first["standing"], first["embed_in_s"]) == ("pending", None)
    assert second["standing"] == "pending"
    assert second["embed_in_s"] is not None


def test_no_picture_fails_for_want_of_permits(database: Database, service: Session) -> None:
    _limit(service, indexing_calls_per_day=0)

    recorded = [_record(service, item("a.jpg"), permit_wait_s=30)[0] for _ in range(2 * _TRIES)]

    assert {(row["standing"], row["embed_in_s"]) for row in recorded} == {("pending", None)}
    assert _work(database) == {"a.jpg": (0, False)}


def test_a_try_that_failed_still_counts_after_one_that_got_no_permit(
    database: Database, service: Session
) -> None:
    image = item("a.jpg")
    _record(service, image, permit_wait_s=30)
    failure = {**as_recorded(image), "reason": "too dark", "may_retry": True}
    call(service, "store_vectors_v1", vectors=[failure])
    _limit(service, indexing_calls_per_day=0)

    _record(service, image, permit_wait_s=30)

    assert _work(database) == {"a.jpg": (1, False)}


def test_a_lease_begins_when_the_last_call_of_the_batch_may_be_made(
    database: Database, service: Session
) -> None:
    before = _now(service)

    recorded = _record(service, *_numbered(100), lease_s=_LEASE_S, permit_wait_s=30)

    after = _now(service)
    longest_s = max(row["embed_in_s"] for row in recorded)
    lease = timedelta(seconds=_LEASE_S + longest_s)
    assert longest_s > 5
    assert {before + lease <= ends <= after + lease for ends in _leases_end(database)} == {True}


def _leases_end(database: Database) -> list[datetime]:
    rows = database.owner().execute(
        "select leased_until from pixseek.work union all select leased_until from pixseek.leases"
    )
    return [ends for (ends,) in rows]


@pytest.mark.parametrize("permit_wait_s", [None, 0])
def test_without_permits_a_lease_is_as_long_as_it_says(
    permit_wait_s: float | None, database: Database, service: Session
) -> None:
    _limit(service, calls_per_s=None)
    before = _now(service)

    _record(service, item("a.jpg"), lease_s=_LEASE_S, permit_wait_s=permit_wait_s)

    after, lease = _now(service), timedelta(seconds=_LEASE_S)
    assert {before + lease <= ends <= after + lease for ends in _leases_end(database)} == {True}


def test_of_workers_with_the_same_new_bytes_at_once_one_takes_a_permit(
    database: Database, service: Session
) -> None:
    workers = [(database.session(), item(f"{number}.jpg", content="c")) for number in range(8)]

    recorded = at_once(lambda worker: _record(*worker, permit_wait_s=30), workers)

    assert sorted(row["standing"] for [row] in recorded) == ["pending", *["waiting"] * 7]
    assert (len(_slots(database)), _spent(service)["indexing"]) == (1, (1, 0))


def test_workers_with_pictures_at_once_share_the_budget(database: Database, service: Session) -> None:
    _limit(service, indexing_calls_per_day=50)
    images = _numbered(80)
    workers = [(database.session(), images[start : start + 10]) for start in range(0, 80, 10)]

    recorded = at_once(lambda worker: _record(worker[0], *worker[1], permit_wait_s=30), workers)

    granted = [row["name"] for rows in recorded for row in rows if row["embed_in_s"] is not None]
    assert len(granted) == len({*granted}) == 50
    assert sum(attempts for attempts, _ in _work(database).values()) == 50


def test_500_pictures_in_one_call_get_their_permits(service: Session) -> None:
    recorded = _record(service, *_numbered(500), permit_wait_s=60)

    assert {row["embed_in_s"] is None for row in recorded} == {False}


def test_what_is_released_is_the_next_callers_at_once(database: Database, service: Session) -> None:
    _record(service, item("a.jpg"))

    _release(service, item("a.jpg"))

    [row] = _record(database.session(), item("a.jpg"))
    assert row["standing"] == "pending"


def test_what_is_released_was_not_tried(database: Database, service: Session) -> None:
    _record(service, item("a.jpg"))

    _release(service, item("a.jpg"))

    assert _work(database) == {"a.jpg": (0, False)}
    assert _claim(service) == [("a.jpg", 1)]


_Take = Callable[[Session], object]


@pytest.mark.parametrize(
    "take",
    [
        lambda session: _record(session, item("a.jpg")),
        lambda session: _record(session, item("a.jpg"), permit_wait_s=60),
        lambda session: _record_v1(session, item("a.jpg")),
        _claim,
    ],
    ids=["record", "record with a permit", "record by version 1", "claim"],
)
def test_no_picture_fails_for_being_released(take: _Take, database: Database, service: Session) -> None:
    _record(service, item("a.jpg"))
    _release(service, item("a.jpg"))

    _ = [(take(service), _release(service, item("a.jpg"))) for _ in range(2 * _TRIES)]

    assert _work(database) == {"a.jpg": (0, False)}
    assert _claim(service) == [("a.jpg", 1)]


def test_a_release_that_comes_twice_gives_back_one_try(database: Database, service: Session) -> None:
    image = item("a.jpg")
    _record(service, image)
    _expire(database)
    _record(service, image)

    _ = [_release(service, image) for _ in range(3)]

    assert _work(database) == {"a.jpg": (1, False)}


def test_a_release_that_names_an_image_twice_gives_back_one_try(database: Database, service: Session) -> None:
    image = item("a.jpg")
    _record(service, image)
    _expire(database)
    _record(service, image)

    _release(service, image, image)

    assert _work(database) == {"a.jpg": (1, False)}


@pytest.mark.parametrize(
    "image",
    [
        item("unknown.jpg"),
        item("a.jpg", content="other bytes"),
        item("a.jpg", bucket="elsewhere"),
        item("indexed.jpg"),
        item("failed.jpg"),
        item("waiting.jpg", content="a.jpg"),
    ],
    ids=["unknown", "other bytes", "another bucket", "indexed", "failed", "waiting"],
)
def test_to_release_what_is_not_leased_changes_nothing(
    image: Row, database: Database, service: Session
) -> None:
    index(service, item("indexed.jpg"), vector(1))
    _record(service, item("a.jpg"), item("waiting.jpg", content="a.jpg"), item("failed.jpg"))
    failure = {**as_recorded(item("failed.jpg")), "reason": "too dark"}
    call(service, "store_vectors_v1", vectors=[failure])
    before = _content(database)

    _release(service, image)

    assert _content(database) == before


def test_a_release_among_unknown_images_reaches_the_known(service: Session) -> None:
    _record(service, item("a.jpg"))

    _release(service, item("unknown.jpg"), item("a.jpg"))

    assert _claim(service) == [("a.jpg", 1)]


def test_a_late_release_does_not_take_the_lease_of_who_embeds_the_same_bytes_now(
    database: Database, service: Session
) -> None:
    first, second, third = [item(name, content="c") for name in ["a.jpg", "b.jpg", "c.jpg"]]
    _record(service, first)
    _expire(database)
    [taken] = _record(service, second)

    _release(service, first)

    [row] = _record(service, third)
    assert (taken["standing"], row["standing"]) == ("pending", "waiting")


def test_copies_of_what_is_released_may_be_embedded_at_once(service: Session) -> None:
    first, second = [item(name, content="c") for name in ["a.jpg", "b.jpg"]]
    _record(service, first)

    _release(service, first)

    [row] = _record(service, second)
    assert row["standing"] == "pending"


def test_a_release_is_of_one_model(database: Database, service: Session) -> None:
    call(service, "create_model_v1", model_name="n", model_dimensions=DIMENSIONS)
    _ = [_record(service, item("a.jpg"), model_name=model) for model in ["m", "n"]]

    _release(service, item("a.jpg"), model="n")

    attempts = database.owner().execute("select attempts from pixseek.work order by model_id").fetchall()
    standings = [_record(service, item("a.jpg"), model_name=model)[0]["standing"] for model in ["m", "n"]]
    assert (attempts, standings) == ([(1,), (0,)], ["waiting", "pending"])


def test_a_release_waits_for_who_records_the_image_and_then_changes_nothing(
    database: Database, service: Session
) -> None:
    _record(service, item("a.jpg"))
    recording = database.session()
    recording.execute("begin")
    _record(recording, item("a.jpg", "2", content="new"))

    with beside(database, service, lambda: _release(service, item("a.jpg"))) as released:
        recording.execute("commit")

    assert released.exception() is None
    assert _work(database) == {"a.jpg": (1, True)}


def test_what_was_released_may_still_be_stored(service: Session) -> None:
    _record(service, item("a.jpg"))
    _release(service, item("a.jpg"))

    [stored] = call(service, "store_vectors_v1", vectors=[result(item("a.jpg"), vector(1))])

    assert stored["standing"] == "indexed"


def test_version_1_takes_no_permits_and_counts_nothing(database: Database, service: Session) -> None:
    _limit(service, indexing_calls_per_day=0)

    recorded = _record_v1(service, *_numbered(5))

    assert recorded == [
        {"bucket": "photos", "name": f"{number:03}.jpg", "image_id": number + 1, "standing": "pending"}
        for number in range(5)
    ]
    assert _work(database) == {f"{number:03}.jpg": (1, True) for number in range(5)}
    assert (_slots(database), _spent(service)["indexing"]) == ([], (0, 0))


@pytest.mark.parametrize(("first", "second"), [(_record, _record_v1), (_record_v1, _record)])
def test_callers_of_both_versions_share_the_work(
    first: Callable[..., list[Row]], second: Callable[..., list[Row]], database: Database, service: Session
) -> None:
    rows = [first(service, item("a.jpg")), second(database.session(), item("a.jpg"))]

    call(service, "store_vectors_v1", vectors=[result(item("a.jpg"), vector(1))])

    assert [row["standing"] for [row] in rows] == ["pending", "waiting"]
    assert _record(service, item("b.jpg", content="a.jpg"))[0]["standing"] == "indexed"
    assert _spent(service)["indexing"][1] == 1
