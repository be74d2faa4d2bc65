"""Who may do and see what, shown by asking: as anybody, as a signed-in user, as the service."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import psycopg
import pytest

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    Database,
    Row,
    Session,
    as_recorded,
    beside,
    call,
    error,
    index,
    item,
    names,
    own_database,
    result,
    search,
    search_by,
    vector,
)

_ALICE = "00000000-0000-4000-8000-00000000000a"
_BOB = "00000000-0000-4000-8000-00000000000b"
_CAROL = "00000000-0000-4000-8000-00000000000c"
_CALLERS: dict[str, tuple[str, str | None]] = {
    "anybody": ("anon", None),
    "alice": ("authenticated", _ALICE),
    "bob": ("authenticated", _BOB),
    "carol": ("authenticated", _CAROL),
    "a token without a user": ("authenticated", None),
    "the service": ("service_role", None),
}
_REFUSED = "42501"
_DONE = "00000"

# The decision on each function of the API. A new one belongs to one of the two.
_FOR_ALL = [
    "active_model_v1",
    "cursor_model_v1",
    "image_v1",
    "match_images",
    "model_state_v1",
    "search_images_v1",
    "search_images_v2",
]
_FOR_THE_SERVICE = [
    "activate_model_v1",
    "aim_at_model_v1",
    "asked_most_v1",
    "audit_images_v1",
    "audit_removals_v1",
    "begin_audit_v1",
    "block_images_v1",
    "check_previews_v1",
    "claim_images_v1",
    "claim_images_v2",
    "configure_guide_v1",
    "count_audit_removals_v1",
    "count_asked_v1",
    "count_calls_v1",
    "count_request_v1",
    "create_model_v1",
    "daily_calls_v1",
    "doctor_v1",
    "drop_model_v1",
    "end_audit_v1",
    "failed_images_v1",
    "failed_images_v2",
    "forget_images_v1",
    "image_states_v1",
    "images_to_forget_v1",
    "index_counts_v1",
    "keep_audit_v1",
    "keep_recall_v1",
    "latest_audits_v1",
    "limit_spending_v1",
    "list_buckets_v1",
    "list_images_v1",
    "list_models_v1",
    "list_models_v2",
    "list_objects_v1",
    "lose_previews_v1",
    "model_coverage_v1",
    "model_gaps_v1",
    "oldest_pending_v1",
    "orphan_previews_v1",
    "pause_audit_v1",
    "put_bucket_v1",
    "queue_images_v1",
    "recall_of_v1",
    "recall_sample_v1",
    "recalls_v1",
    "record_images_v1",
    "record_images_v2",
    "record_images_v3",
    "register_images_v1",
    "reembed_estimate_v1",
    "release_images_v1",
    "remember_query_v1",
    "remove_images_v1",
    "remove_images_v2",
    "requeue_images_v1",
    "return_images_v1",
    "scrub_tombstones_v1",
    "spending_v1",
    "store_vectors_v1",
    "store_vectors_v2",
    "stored_objects_v1",
    "take_permits_v1",
]

# Equally far from the query and from each other, but for the copy. `sample.jpg` is what to ask with.
_PICTURES = [
    ("open", "sample.jpg", None, 0),
    ("closed", "bob's copy.jpg", _BOB, 1),
    ("closed", "alice's.jpg", _ALICE, 1),
    ("closed", "bob's.jpg", _BOB, 2),
    ("closed", "nobody's.jpg", None, 3),
    ("open", "alice's open.jpg", _ALICE, 4),
    ("open", "bob's open.jpg", _BOB, 5),
    ("bob's bucket", "bob's only.jpg", _BOB, 6),
    ("open", "blocked.jpg", _ALICE, 7),
    ("open", "deleted.jpg", _ALICE, 8),
]
_OPEN = {"alice's open.jpg", "bob's open.jpg"}
_BOBS = {"bob's copy.jpg", "bob's.jpg"}
_MAY_SEE = {
    "anybody": _OPEN,
    "alice": {*_OPEN, "alice's.jpg"},
    "bob": {*_OPEN, *_BOBS, "bob's only.jpg"},
    "carol": _OPEN,
    "a token without a user": _OPEN,
}
_SWEPT = {"bucket": "closed", "name": "alice's.jpg", "ordering_key": "9"}
_QUERY = vector(1, dimensions=512)
_OTHER = vector(0, 1, dimensions=512)
_TEXT = "a picture"

_Way: TypeAlias = Callable[[Session], set[str]]
# The session of each caller.
_World: TypeAlias = dict[str, Session]


@pytest.fixture(scope="module")
def world(server: Postgres) -> Iterator[_World]:
    """Everybody's pictures, to be read only."""
    with own_database(server) as database:
        service = database.session()
        _activate_guides(service)
        call(service, "configure_guide_v1", bucket_name="closed")
        call(service, "put_bucket_v1", bucket_name="open", is_public=True)
        call(service, "remember_query_v1", query_text=_TEXT, query_embedding=_QUERY)
        images = [item(name, bucket=bucket, owner=owner) for bucket, name, owner, _ in _PICTURES]
        unseen = item("unseen.jpg", bucket="bob's bucket", owner=_BOB)
        call(service, "record_images_v1", images=[*images, unseen])
        vectors = [result(image, _away(place)) for image, (*_, place) in zip(images, _PICTURES, strict=True)]
        stored = call(service, "store_vectors_v1", vectors=vectors)
        complained = [row["image_id"] for row in stored if row["name"] == "blocked.jpg"]
        call(service, "block_images_v1", image_ids=complained, reason="a complaint")
        call(service, "remove_images_v1", objects=[item("deleted.jpg", "2", bucket="open")])
        sessions = {caller: _session(database, caller) for caller in _CALLERS}
        yield {**sessions, "the owner": database.owner()}


@pytest.fixture
def guides(database: Database) -> Database:
    """A database of the test's own that the guide's clients can use."""
    _activate_guides(database.session())
    return database


def _activate_guides(service: Session) -> None:
    call(service, "create_model_v1", model_name="guide's", model_dimensions=512)
    call(service, "activate_model_v1", model_name="guide's", min_coverage=0)


def _away(place: int) -> str:
    """A vector 45° from the query, in a direction of its own; 0 is the query itself."""
    return vector(1, *[float(place == axis) for axis in range(1, 9)], dimensions=512)


def _session(database: Database, caller: str) -> Session:
    return database.session(*_CALLERS[caller])


def _outcome(act: Callable[[], object]) -> str:
    """The SQLSTATE that a call ends with."""
    try:
        act()
    except psycopg.Error as exc:
        return exc.sqlstate or "(none)"
    return _DONE


def _call_with_nulls(world: _World, caller: str, function: str) -> Callable[[], object]:
    [(signature,)] = world["the owner"].execute(
        """
        select array_to_string(array(select 'null::' || t::regtype from unnest(p.proargtypes) t), ', ')
        from pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.proname = %s
        """,
        (function,),
    )
    return lambda: world[caller].execute(f"select * from public.{function}({signature})".encode())


def test_every_function_of_the_api_is_decided_on(world: _World) -> None:
    found = world["the owner"].execute(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace order by proname"
    )

    assert [name for (name,) in found] == sorted([*_FOR_ALL, *_FOR_THE_SERVICE])


@pytest.mark.parametrize("function", _FOR_THE_SERVICE)
@pytest.mark.parametrize("caller", ["anybody", "alice"])
def test_callers_are_refused_what_is_for_the_service(caller: str, function: str, world: _World) -> None:
    act = _call_with_nulls(world, caller, function)

    outcome = _outcome(act)

    assert outcome == _REFUSED


@pytest.mark.parametrize(
    ("caller", "function"),
    [
        *[("the service", function) for function in (*_FOR_THE_SERVICE, *_FOR_ALL)],
        *[(caller, function) for caller in ("anybody", "alice") for function in _FOR_ALL],
    ],
)
def test_whoever_may_call_a_function_is_not_refused(caller: str, function: str, world: _World) -> None:
    act = _call_with_nulls(world, caller, function)

    outcome = _outcome(act)

    assert outcome != _REFUSED


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("store_vectors_v1", {"vectors": [result(item("a.jpg"), _QUERY)]}),
        ("record_images_v1", {"images": [item("a.jpg")]}),
        ("record_images_v2", {"images": [item("a.jpg")], "permit_wait_s": 5}),
        ("record_images_v3", {"images": [item("a.jpg")], "provider": "s3"}),
        ("remove_images_v2", {"objects": [item("alice's.jpg", "9", bucket="closed")], "provider": "s3"}),
        ("store_vectors_v2", {"vectors": [result(item("a.jpg"), _QUERY)]}),
        ("list_objects_v1", {"bucket_name": "closed"}),
        ("list_images_v1", {"bucket_name": "closed"}),
        ("orphan_previews_v1", {"bucket_name": "closed", "preview_names": ["1/1.webp"]}),
        ("failed_images_v2", {"match_count": 1, "bucket_name": "closed"}),
        ("release_images_v1", {"images": [as_recorded(item("unseen.jpg", bucket="bob's bucket"))]}),
        ("remove_images_v1", {"objects": [item("alice's.jpg", "9", bucket="closed")]}),
        ("remember_query_v1", {"query_text": "a dog", "query_embedding": _QUERY}),
        ("claim_images_v1", {"n": 1}),
        ("put_bucket_v1", {"bucket_name": "closed", "is_public": True}),
        ("block_images_v1", {"image_ids": [1], "reason": "mine"}),
        ("activate_model_v1", {"model_name": "m"}),
        ("take_permits_v1", {"lane": "search", "permit_count": 1, "max_wait_s": 5}),
        ("count_calls_v1", {"lane": "search", "made": 1}),
        ("count_request_v1", {"caller": "alice", "per_minute": 1_000_000}),
        ("limit_spending_v1", {"limits": {"calls_per_s": None}}),
        ("aim_at_model_v1", {"model_name": "n", "model_dimensions": 384}),
        ("claim_images_v2", {}),
        ("return_images_v1", {"image_ids": [1]}),
        ("list_models_v2", {}),
        ("reembed_estimate_v1", {}),
        ("count_asked_v1", {"asked": [{"text": "a cat", "uses": 5}]}),
        ("asked_most_v1", {"model_name": None, "match_count": 10}),
        ("begin_audit_v1", {"bucket_name": "closed", "repairs": True}),
        ("audit_images_v1", {"bucket_name": "closed"}),
        ("latest_audits_v1", {"match_count": 1}),
        ("register_images_v1", {"objects": [_SWEPT], "provider": "s3"}),
        ("queue_images_v1", {"bucket_name": "closed", "object_names": ["alice's.jpg"]}),
        ("lose_previews_v1", {"bucket_name": "closed", "object_names": ["alice's.jpg"]}),
        ("recall_of_v1", {"kind": "image", "id": 1}),
        ("images_to_forget_v1", {"owner_id": _ALICE}),
        ("forget_images_v1", {"image_ids": [1]}),
        ("scrub_tombstones_v1", {"older_than_days": 0}),
        ("doctor_v1", {}),
        ("doctor_v1", {"salt": "of the caller's choice"}),
    ],
)
@pytest.mark.parametrize("caller", ["anybody", "alice"])
def test_callers_change_nothing_by_a_proper_call_either(
    caller: str, function: str, arguments: Row, world: _World
) -> None:
    session = world[caller]

    outcome = _outcome(lambda: call(session, function, **arguments))

    assert outcome == _REFUSED


@pytest.mark.parametrize(
    "statement",
    [
        "select * from pixseek.vectors_1",
        "select * from pixseek.vectors_2",
        "insert into pixseek.vectors_2 select * from pixseek.vectors",
        "delete from pixseek.vectors",
        "select * from pixseek.work",
        "select * from pixseek.leases",
        "select * from pixseek.standings",
        "select * from pixseek.spare_vectors",
        "insert into pixseek.spare_vectors select 1, 'c', embedding from pixseek.vectors",
        "delete from pixseek.spare_vectors",
        "select * from pixseek.permits",
        "delete from pixseek.permits",
        "select * from pixseek.calls",
        "update pixseek.calls set made = 0",
        "select * from pixseek.spending_limits",
        "update pixseek.spending_limits set calls_per_s = null",
        "select * from pixseek.allowances",
        "delete from pixseek.allowances",
        "select * from pixseek.asked_texts",
        "update pixseek.asked_texts set uses = 9",
        "select * from pixseek.audits",
        "update pixseek.audits set position = ''",
        "select * from pixseek.audit_removals",
        "insert into pixseek.audit_removals values (1, 'a.jpg', '')",
        "select * from pixseek.recalls",
        "delete from pixseek.recalls",
        "select * from pixseek.forgotten",
        "delete from pixseek.forgotten",
        "update pixseek.images set owner = null",
        "update pixseek.buckets set is_public = true",
        "update pixseek.guide set bucket = 'open'",
        "delete from pixseek.queries",
        "create table pixseek.mine ()",
        "create table public.mine ()",
    ],
)
@pytest.mark.parametrize("caller", ["anybody", "alice"])
def test_callers_reach_no_table_beside_the_functions(caller: str, statement: str, world: _World) -> None:
    session = world[caller]

    outcome = _outcome(lambda: session.execute(statement.encode()))

    assert outcome == _REFUSED


@pytest.mark.parametrize(
    "statement", ["update public.images set image = 'mine.jpg'", "delete from public.images"]
)
@pytest.mark.parametrize("caller", ["anybody", "alice", "the service"])
def test_the_guides_view_takes_inserts_only(caller: str, statement: str, world: _World) -> None:
    session = world[caller]

    outcome = _outcome(lambda: session.execute(statement.encode()))

    assert outcome == "55000"


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_what_callers_may_run_inside_can_only_read(role: str, world: _World) -> None:
    writers = world["the owner"].execute(
        "select proname from pg_proc where pronamespace = 'pixseek'::regnamespace and provolatile = 'v'"
        " and has_function_privilege(%s, oid, 'execute')",
        (role,),
    )

    assert writers.fetchall() == []


def _by_vector(session: Session) -> set[str]:
    return {*names(search(session, _QUERY))}


def _by_text(session: Session) -> set[str]:
    return {*names(search(session, query_text=_TEXT))}


def _by_image(session: Session) -> set[str]:
    [sample] = search(session, _QUERY, filters={"prefix": "sample"})["hits"]
    return {*names(search(session, query_image_id=sample["id"]))}


def _by_filter(session: Session) -> set[str]:
    return {*names(search(session, _QUERY, filters={"prefix": "", "created_since": "2000-01-01T00:00:00Z"}))}


def _collapsed(session: Session) -> set[str]:
    return {*names(search(session, _QUERY, collapse=True))}


def _by_pages(session: Session) -> set[str]:
    return {name for page in _pages(session) for name in names(page)}


def _by_collapsed_pages(session: Session) -> set[str]:
    return {name for page in _pages(session, collapse=True) for name in names(page)}


def _by_the_guides_function(session: Session) -> set[str]:
    rows = call(session, "match_images", query_embedding=_QUERY, match_threshold=-1, match_count=50)
    return {row["image"] for row in rows}


def _by_parts(session: Session, *parts: Row) -> set[str]:
    """All pages of `search_images_v2`."""
    pages = [search_by(session, *parts, match_count=2)]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(search_by(session, *parts, match_count=2, page_cursor=cursor))
    return {name for page in pages for name in names(page)}


def _by_a_vector_among_parts(session: Session) -> set[str]:
    return _by_parts(session, {"embedding": _QUERY}, {"embedding": _OTHER, "weight": 0.5})


def _by_a_text_among_parts(session: Session) -> set[str]:
    return _by_parts(session, {"text": _TEXT}, {"embedding": _OTHER, "weight": -0.5})


def _by_an_image_among_parts(session: Session) -> set[str]:
    [sample] = search(session, _QUERY, filters={"prefix": "sample"})["hits"]
    return _by_parts(session, {"image_id": sample["id"]}, {"text": _TEXT})


def _one_by_one(session: Session) -> set[str]:
    """By all ids that there are, of what is indexed."""
    return {row["image"] for image_id in range(1, 20) for row in _shown(session, image_id)}


def _shown(session: Session, image_id: int) -> list[Row]:
    try:
        [row] = call(session, "image_v1", image_id=image_id)
    except psycopg.ProgrammingError as exc:
        if exc.sqlstate != "PT404":
            raise
        return []
    return [found for found in row.values() if found["state"] == "indexed"]


def _pages(session: Session, **arguments: object) -> list[Row]:
    pages = [search(session, _QUERY, match_count=1, **arguments)]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(search(session, _QUERY, match_count=1, page_cursor=cursor, **arguments))
    return pages


_WAYS: list[_Way] = [
    _by_vector,
    _by_text,
    _by_image,
    _by_filter,
    _collapsed,
    _by_pages,
    _by_collapsed_pages,
    _by_the_guides_function,
    _by_a_vector_among_parts,
    _by_a_text_among_parts,
    _by_an_image_among_parts,
    _one_by_one,
]


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("caller", _MAY_SEE)
def test_callers_find_what_is_public_and_their_own_and_nothing_else(
    caller: str, way: _Way, world: _World
) -> None:
    found = way(world[caller])

    assert found - {"sample.jpg"} == _MAY_SEE[caller]


@pytest.mark.parametrize("way", _WAYS)
def test_the_service_finds_neither_blocked_nor_deleted_pictures(way: _Way, world: _World) -> None:
    found = way(world["the service"])

    assert "bob's only.jpg" in found
    assert not {"blocked.jpg", "deleted.jpg"} & found


@pytest.mark.parametrize(
    ("caller", "seen"),
    [
        ("anybody", set()),
        ("carol", set()),
        ("a token without a user", set()),
        ("alice", {"alice's.jpg"}),
        ("bob", _BOBS),
        ("the service", {"alice's.jpg", "nobody's.jpg", *_BOBS}),
    ],
)
def test_the_guides_view_shows_no_more(caller: str, seen: set[str], world: _World) -> None:
    rows = world[caller].execute("select image from public.images").fetchall()

    assert {name for (name,) in rows} == seen


_AskWith: TypeAlias = Callable[[Session, int], object]
_ASKING_WITH: dict[str, _AskWith] = {
    "search_images_v1": lambda session, image_id: search(session, query_image_id=image_id),
    "search_images_v2": lambda session, image_id: search_by(session, {"image_id": image_id}),
    "one part of two": lambda session, image_id: search_by(
        session, {"text": _TEXT}, {"image_id": image_id, "weight": -1}
    ),
    "image_v1": lambda session, image_id: call(session, "image_v1", image_id=image_id),
}


def _refusal_of(session: Session, image_id: int, ask: _AskWith) -> tuple[str | None, ...]:
    """All that an error tells, but for the id that was asked with."""
    failure = error(lambda: ask(session, image_id))
    told = failure.diag
    return (
        failure.sqlstate,
        (told.message_primary or "").replace(str(image_id), "…"),
        told.message_hint,
        told.message_detail,
        told.context,
    )


@pytest.mark.parametrize("ask", _ASKING_WITH.values(), ids=_ASKING_WITH)
@pytest.mark.parametrize(
    ("caller", "name"),
    [
        *[(caller, name) for caller in ("anybody", "alice") for name in ("bob's.jpg", "unseen.jpg")],
        *[(caller, name) for caller in ("alice", "the service") for name in ("blocked.jpg", "deleted.jpg")],
        ("alice", "nobody's.jpg"),
    ],
)
def test_a_hidden_picture_and_one_that_does_not_exist_give_the_same_error(
    caller: str, name: str, ask: _AskWith, world: _World
) -> None:
    [(hidden,)] = world["the owner"].execute("select id from pixseek.images where name = %s", (name,))
    session = world[caller]

    refusal = _refusal_of(session, hidden, ask)

    assert refusal[0] == "PT404"
    assert refusal == _refusal_of(session, 1_000_000_000, ask)


@pytest.mark.parametrize("caller", ["anybody", "bob", "carol"])
def test_the_cursor_of_another_shows_only_ones_own(caller: str, world: _World) -> None:
    cursors = [page["next_cursor"] for page in _pages(world["alice"])]
    session = world[caller]

    pages = [search(session, _QUERY, page_cursor=cursor, match_count=50) for cursor in cursors if cursor]

    assert {name for page in pages for name in names(page)} == _MAY_SEE[caller]


@pytest.mark.parametrize("caller", ["anybody", "alice"])
def test_the_name_of_a_hidden_bucket_looks_like_one_that_does_not_exist(caller: str, world: _World) -> None:
    session = world[caller]

    found = search(session, _QUERY, filters={"bucket": "bob's bucket"})

    assert found["hits"] == []
    assert found == search(session, _QUERY, filters={"bucket": "never made"})


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"bucket": "closed"}, ["alice's.jpg"]),
        ({"prefix": "bob's"}, ["bob's open.jpg"]),
        ({"bucket": "open", "prefix": "blocked"}, []),
    ],
)
def test_a_filter_opens_nothing(filters: dict[str, str], found: list[str], world: _World) -> None:
    hits = names(search(world["alice"], _QUERY, filters=filters))

    assert hits == found


# A picture that a rule each gives to somebody else.
_DISPUTED = f"{_CAROL}/a.jpg"
_RULES: dict[str, Row] = {
    "none": {"owner_rule": "none"},
    "storage_owner": {"owner_rule": "storage_owner"},
    "first_segment": {"owner_rule": "first_segment"},
    "metadata": {"owner_rule": "metadata", "owner_metadata_key": "by"},
    "other metadata": {"owner_rule": "metadata", "owner_metadata_key": "for"},
}


def _dispute(service: Session, rule: str, name: str = _DISPUTED, key: str = "1") -> None:
    call(service, "put_bucket_v1", bucket_name="photos", **_RULES[rule])
    index(service, item(name, key, owner=_ALICE, metadata={"by": _BOB}), vector(1))


def _finders(database: Database) -> list[str]:
    """Those who find any picture."""
    callers = ["anybody", "alice", "bob", "carol"]
    return [caller for caller in callers if names(search(_session(database, caller), vector(1)))]


@pytest.mark.parametrize(
    ("rule", "name", "finders"),
    [
        ("none", _DISPUTED, []),
        ("storage_owner", _DISPUTED, ["alice"]),
        ("first_segment", _DISPUTED, ["carol"]),
        ("first_segment", _CAROL, []),
        ("metadata", _DISPUTED, ["bob"]),
        ("other metadata", _DISPUTED, []),
    ],
)
def test_the_buckets_rule_says_whose_a_picture_is(
    rule: str, name: str, finders: list[str], database: Database
) -> None:
    _dispute(database.session(), rule, name)

    found_by = _finders(database)

    assert found_by == finders


@pytest.mark.parametrize(
    ("rule", "new_rule", "finders"),
    [
        ("storage_owner", "none", []),
        ("storage_owner", "metadata", []),
        ("storage_owner", "first_segment", ["carol"]),
        ("first_segment", "storage_owner", []),
        ("metadata", "other metadata", []),
        ("metadata", "storage_owner", []),
        ("metadata", "metadata", ["bob"]),
    ],
)
def test_a_new_rule_hides_rather_than_shows(
    rule: str, new_rule: str, finders: list[str], database: Database, service: Session
) -> None:
    _dispute(service, rule)

    call(service, "put_bucket_v1", bucket_name="photos", **_RULES[new_rule])

    assert _finders(database) == finders


def test_a_picture_that_is_recorded_again_gets_its_owner_by_the_new_rule(
    database: Database, service: Session
) -> None:
    _dispute(service, "storage_owner")

    _dispute(service, "metadata", key="2")

    assert _finders(database) == ["bob"]


def test_what_is_not_named_of_a_bucket_stays_as_it_is(database: Database, service: Session) -> None:
    _dispute(service, "metadata")
    before = call(service, "list_buckets_v1")

    call(service, "put_bucket_v1", bucket_name="photos", provider="s3")

    assert call(service, "list_buckets_v1") == [{**before[0], "provider": "s3"}]
    assert _finders(database) == ["bob"]


def test_a_new_rule_holds_for_what_is_recorded_at_the_same_time(database: Database, service: Session) -> None:
    recording = database.session()
    index(service, item("known.jpg"), vector(1))
    recording.execute("begin")
    call(recording, "record_images_v1", images=[item(_DISPUTED, owner=_ALICE, content="known.jpg")])

    with beside(
        database, service, lambda: call(service, "put_bucket_v1", bucket_name="photos", owner_rule="none")
    ) as changed:
        recording.execute("commit")

    assert changed.exception() is None
    assert _finders(database) == []


def test_a_bucket_that_is_public_no_more_hides_its_pictures_at_once(
    database: Database, service: Session
) -> None:
    call(service, "put_bucket_v1", bucket_name="photos", is_public=True)
    index(service, item("a.jpg", owner=_ALICE), vector(1))
    before = _finders(database)

    call(service, "put_bucket_v1", bucket_name="photos", is_public=False)

    assert (before, _finders(database)) == (["anybody", "alice", "bob", "carol"], ["alice"])


def test_the_policies_hold_under_a_further_model(database: Database, service: Session) -> None:
    call(service, "put_bucket_v1", bucket_name="open", is_public=True)
    pictures = [
        item("open.jpg", bucket="open"),
        item("alice's.jpg", owner=_ALICE),
        item("bob's.jpg", owner=_BOB),
    ]
    call(service, "create_model_v1", model_name="n", model_dimensions=512)
    _ = [index(service, picture, _QUERY, model="n") for picture in pictures]

    call(service, "activate_model_v1", model_name="n")

    callers = ["anybody", "carol", "alice", "the service"]
    found = {caller: search(_session(database, caller), _QUERY) for caller in callers}
    assert {caller: (hits["model"], names(hits)) for caller, hits in found.items()} == {
        "anybody": ("n", ["open.jpg"]),
        "carol": ("n", ["open.jpg"]),
        "alice": ("n", ["open.jpg", "alice's.jpg"]),
        "the service": ("n", ["open.jpg", "alice's.jpg", "bob's.jpg"]),
    }


def _record_again(service: Session, image: Row) -> object:
    return call(service, "record_images_v1", images=[{**image, "ordering_key": "2"}])


def _store_again(service: Session, image: Row) -> object:
    return call(service, "store_vectors_v1", vectors=[result(image, vector(2))])


def _store_a_twin(service: Session, image: Row) -> object:
    return index(service, {**image, "bucket": "twins"}, vector(1))


def _activate_another_model(service: Session, image: Row) -> object:
    call(service, "create_model_v1", model_name="n", model_dimensions=384)
    index(service, {**image, "bucket": "twins"}, vector(1), model="n")
    return call(service, "activate_model_v1", model_name="n")


@pytest.mark.parametrize("act", [_record_again, _store_again, _store_a_twin, _activate_another_model])
def test_a_blocked_picture_stays_hidden_whatever_comes(
    act: Callable[[Session, Row], object], service: Session
) -> None:
    image = item("a.jpg")
    image_id = index(service, image, vector(1))
    call(service, "block_images_v1", image_ids=[image_id], reason="a complaint")

    act(service, image)

    assert image_id not in [hit["id"] for hit in search(service, vector(1))["hits"]]
    assert {_outcome(partial(ask, service, image_id)) for ask in _ASKING_WITH.values()} == {"PT404"}


def _insert(session: Session, name: str, embedding: str = _QUERY) -> int:
    statement = "insert into public.images (image, embedding) values (%s, %s) returning id"
    [(image_id,)] = session.execute(statement, (name, embedding)).fetchall()
    return int(image_id)


def _embeddings(session: Session) -> dict[str, Any]:
    """What the guide's view shows."""
    rows = session.execute("select image, embedding::text from public.images").fetchall()
    return {name: embedding and json.loads(embedding) for name, embedding in rows}


def _uploaded(name: str, owner: str | None = _ALICE, content: str | None = None) -> Row:
    """As an event of the guide's bucket puts it on record."""
    return item(name, content=content, bucket="images", owner=owner)


@pytest.mark.parametrize("caller", ["anybody", "a token without a user"])
def test_only_who_is_signed_in_inserts(caller: str, guides: Database) -> None:
    session = _session(guides, caller)

    outcome = _outcome(lambda: _insert(session, "a.jpg"))

    assert outcome == _REFUSED
    assert _embeddings(guides.session()) == {}


def test_a_caller_without_claims_is_not_taken_for_the_service(guides: Database) -> None:
    session = _session(guides, "alice")
    session.execute("reset request.jwt.claims")

    outcome = _outcome(lambda: _insert(session, "a.jpg"))

    assert outcome == _REFUSED


def test_an_inserted_row_belongs_to_who_inserted_it(guides: Database) -> None:
    _insert(_session(guides, "alice"), "a.jpg")

    alices, bobs = _session(guides, "alice"), _session(guides, "bob")
    assert _by_the_guides_function(alices) == _by_vector(alices) == {*_embeddings(alices)} == {"a.jpg"}
    assert _by_the_guides_function(bobs) == _by_vector(bobs) == {*_embeddings(bobs)} == set()


@pytest.mark.parametrize("owner", [_BOB, None])
def test_a_row_that_is_not_the_callers_is_refused(owner: str | None, guides: Database) -> None:
    service = guides.session()
    index(service, _uploaded("b.jpg", owner), _OTHER)
    before = _embeddings(service)

    failure = error(lambda: _insert(_session(guides, "alice"), "b.jpg"))

    assert (failure.sqlstate, failure.diag.message_hint) == (_REFUSED, "Upload under a name of your own.")
    assert _embeddings(service) == before


@pytest.mark.parametrize("caller", ["alice", "the service"])
def test_a_tombstone_takes_no_insert(caller: str, guides: Database) -> None:
    service = guides.session()
    image = _uploaded("a.jpg")
    index(service, image, _QUERY)
    call(service, "remove_images_v1", objects=[{**image, "ordering_key": "2"}])
    session = _session(guides, caller)

    refused = _outcome(lambda: _insert(session, "a.jpg"))

    assert refused == "55000"
    assert _embeddings(service) == {}


def test_what_is_no_picture_takes_no_insert(guides: Database) -> None:
    service = guides.session()
    call(service, "record_images_v1", images=[{**_uploaded("a.jpg"), "reason": "not a picture: a PDF"}])

    failure = error(lambda: _insert(_session(guides, "alice"), "a.jpg"))

    assert (failure.sqlstate, "not a picture: a PDF" in str(failure)) == ("55000", True)
    assert _embeddings(service) == {"a.jpg": None}


def test_a_blocked_picture_takes_no_insert(guides: Database) -> None:
    service = guides.session()
    image_id = index(service, _uploaded("a.jpg"), _QUERY)
    call(service, "block_images_v1", image_ids=[image_id], reason="a complaint")
    session = _session(guides, "alice")

    refused = _outcome(lambda: _insert(session, "a.jpg"))

    assert refused == "55000"
    assert _embeddings(session) == _embeddings(service) == {}


def test_an_insert_after_the_event_finds_the_row(guides: Database) -> None:
    service = guides.session()
    [row] = call(service, "record_images_v1", images=[_uploaded("a.jpg")])
    session = _session(guides, "alice")

    inserted = _insert(session, "a.jpg")

    assert inserted == row["image_id"]
    assert _embeddings(session) == {"a.jpg": json.loads(_QUERY)}


def test_a_name_that_was_inserted_first_goes_to_who_uploads_it(guides: Database) -> None:
    _insert(_session(guides, "alice"), "b.jpg")

    call(guides.session(), "record_images_v1", images=[_uploaded("b.jpg", _BOB)])

    assert _embeddings(_session(guides, "alice")) == {}
    assert {*_embeddings(_session(guides, "bob"))} == {"b.jpg"}


@pytest.mark.parametrize("is_recorded_first", [True, False])
def test_a_clients_vector_serves_no_other_picture_of_the_same_bytes(
    is_recorded_first: bool, guides: Database
) -> None:
    service, session = guides.session(), _session(guides, "alice")
    acts: list[Callable[[], object]] = [
        lambda: call(service, "record_images_v1", images=[_uploaded("a.jpg", content="same")]),
        lambda: _insert(session, "a.jpg"),
    ]
    _ = [act() for act in sorted(acts, key=acts.index, reverse=not is_recorded_first)]

    [row] = call(service, "record_images_v1", images=[_uploaded("b.jpg", content="same")])

    assert row["standing"] == "waiting"
    assert _embeddings(session) == {"a.jpg": json.loads(_QUERY), "b.jpg": None}


def test_a_clients_vector_gives_way_to_the_real_one(guides: Database) -> None:
    session = _session(guides, "alice")
    _insert(session, "a.jpg")

    index(guides.session(), _uploaded("a.jpg"), _OTHER)

    assert _embeddings(session) == {"a.jpg": json.loads(_OTHER)}


def test_a_real_vector_does_not_give_way_to_a_clients(guides: Database) -> None:
    session = _session(guides, "alice")
    index(guides.session(), _uploaded("a.jpg"), _OTHER)

    _insert(session, "a.jpg")

    assert _embeddings(session) == {"a.jpg": json.loads(_OTHER)}


def test_a_picture_of_a_public_guides_bucket_is_everybodys_to_read(guides: Database) -> None:
    _insert(_session(guides, "alice"), "a.jpg")

    call(guides.session(), "put_bucket_v1", bucket_name="images", is_public=True)

    anybody = _session(guides, "anybody")
    assert {*_embeddings(anybody)} == _by_the_guides_function(anybody) == {"a.jpg"}
