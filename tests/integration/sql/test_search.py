"""Some thousand pictures: each path of a search, exactly k, pages, and what is asked without a vector."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg import sql

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    Database,
    Row,
    Session,
    call,
    error,
    item,
    names,
    own_database,
    search,
    vector,
)
from tests.integration.sql.conftest import index as index_image

_ALICE = "00000000-0000-4000-8000-00000000000a"
_PICTURES = 7531
_COPIES = 31
# Every tenth picture is private, every twentieth alice's; the copies of one vector are public.
_CROWD = f"""
create function pg_temp.random_vector(n integer) returns extensions.halfvec language sql as $$
  select extensions.l2_normalize(array_agg(random() - 0.5)::extensions.vector)::extensions.halfvec
  from generate_series(1, 384) where n > 0
$$;
select setseed(0.5);
insert into pixseek.buckets (name, is_public) values ('open', true), ('closed', false);
insert into pixseek.images (bucket, name, owner, content_type, created_at, taken_at, ordering_key, state)
select
  case when n % 10 = 0 then 'closed' else 'open' end, format('%s/%s.jpg', n % 100, n),
  case when n % 20 = 0 then '{_ALICE}' end, case when n % 2 = 0 then 'image/png' else 'image/jpeg' end,
  '2020-01-01Z'::timestamptz + n * interval '1 minute', case when n <= 3 then '1999-01-01Z'::timestamptz end,
  '1', 'indexed'
from generate_series(1, {_PICTURES - _COPIES}) n;
insert into pixseek.vectors (image_id, model_id, embedding)
select id, 1, pg_temp.random_vector(id::integer) from pixseek.images;
insert into pixseek.images (bucket, name, content_type, ordering_key, state)
select 'open', format('copy/%s.gif', n), 'image/gif', '1', 'indexed' from generate_series(1, {_COPIES}) n;
insert into pixseek.vectors (image_id, model_id, embedding)
select id, 1, (array[1] || array_fill(0, array[383]))::extensions.halfvec
from pixseek.images where content_type = 'image/gif';
"""
_COPY = vector(1)
_ELSEWHERE = json.dumps([((n * 7919) % 101) / 101 - 0.5 for n in range(384)])
_EXACT_ORDER = """
select i.id from pixseek.images i join pixseek.vectors v on v.image_id = i.id
where {}
order by v.embedding operator(extensions.<#>) %s::extensions.halfvec, i.id
"""
# Stands for a graph that many updates or a fault have left with gaps.
_SHORT_INDEX = """
create or replace function pixseek.scan_index(
  question pixseek.question, row_count integer, ef_search integer, is_iterative boolean
) returns pixseek.ranking
language sql stable set search_path = '' return row('index', '{1}', '{0}')::pixseek.ranking
"""


@pytest.fixture(scope="module")
def crowded(server: Postgres) -> Iterator[Database]:
    with own_database(server) as database:
        owner = database.owner()
        [(name, definition)] = owner.execute(
            "select indexname, indexdef from pg_indexes where indexdef like '%USING hnsw%'"
        ).fetchall()
        owner.execute(sql.SQL("drop index pixseek.{}").format(sql.Identifier(name)))
        owner.execute(_CROWD.encode())
        owner.execute(definition)
        owner.execute("vacuum analyze pixseek.images, pixseek.vectors, pixseek.buckets")
        yield database


@pytest.fixture
def crowd(crowded: Database) -> Iterator[Database]:
    yield crowded
    crowded.close()


@pytest.fixture
def visitor(crowd: Database, request: pytest.FixtureRequest) -> Session:
    """The session of a caller by name."""
    return {
        "the service": lambda: crowd.session(),
        "alice": lambda: crowd.session("authenticated", _ALICE),
        "anybody": lambda: crowd.session("anon"),
    }[request.param]()


def _exact(crowd: Database, where: str, query: str) -> list[int]:
    components = json.loads(query)
    length = math.hypot(*components)
    unit = json.dumps([component / length for component in components])
    return [row[0] for row in crowd.owner().execute(_EXACT_ORDER.format(where).encode(), (unit,)).fetchall()]


def _ids(found: Row) -> list[int]:
    return [hit["id"] for hit in found["hits"]]


def _pages(session: Session, query: str, size: int, count: int, **arguments: object) -> list[Row]:
    pages = [search(session, query, match_count=size, **arguments)]
    while pages[-1]["next_cursor"] is not None and len(pages) < count:
        cursor = pages[-1]["next_cursor"]
        pages.append(search(session, query, match_count=size, page_cursor=cursor, **arguments))
    return pages


def _joined(pages: list[Row]) -> list[int]:
    return [number for page in pages for number in _ids(page)]


_FILTERS: list[tuple[dict[str, str], str]] = [
    ({}, "true"),
    ({"bucket": "open"}, "bucket = 'open'"),
    ({"bucket": "closed"}, "bucket = 'closed'"),
    ({"content_type": "image/png"}, "content_type = 'image/png'"),
    ({"prefix": "7/"}, "name like '7/%%'"),
    (
        {"created_since": "2020-01-01T00:30:00Z", "created_until": "2020-01-01T01:00:00Z"},
        "i.id between 30 and 59",
    ),
    ({"taken_until": "2000-01-01T00:00:00Z"}, "taken_at < '2000-01-01Z'"),
    ({"taken_since": "2000-01-01T00:00:00Z"}, "false"),
    ({"bucket": "open", "content_type": "image/png", "prefix": "8/"}, "name like '8/%%'"),
]
_MAY_SEE = {
    "the service": "true",
    "alice": f"(bucket = 'open' or owner = '{_ALICE}')",
    "anybody": "bucket = 'open'",
}


@pytest.mark.parametrize("count", [1, 10, 1000])
@pytest.mark.parametrize(("filters", "where"), _FILTERS)
@pytest.mark.parametrize(("visitor", "caller"), [(name, name) for name in _MAY_SEE], indirect=["visitor"])
def test_exactly_k_come_whenever_so_many_pass_filter_and_policy(
    visitor: Session, caller: str, filters: dict[str, str], where: str, count: int, crowd: Database
) -> None:
    allowed = {*_exact(crowd, f"{where} and {_MAY_SEE[caller]}", _ELSEWHERE)}

    found = _ids(search(visitor, _ELSEWHERE, match_count=count, filters=filters))

    assert len(found) == min(count, len(allowed))
    assert len({*found}) == len(found)
    assert {*found} <= allowed


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        ({}, "index"),
        ({"bucket": "open"}, "index"),
        ({"bucket": "closed"}, "candidates"),
        ({"prefix": "none/"}, "candidates"),
    ],
)
def test_a_bounded_probe_decides_how_to_search(filters: dict[str, str], path: str, crowd: Database) -> None:
    found = search(crowd.session(), _ELSEWHERE, filters=filters)

    assert found["path"] == path


@pytest.mark.parametrize(
    ("filters", "least", "most"),
    [
        ({}, 7_000, 8_000),
        ({"bucket": "open"}, 6_200, 7_200),
        ({"content_type": "image/png"}, 3_200, 4_200),
        ({"bucket": "closed"}, 400, 1_100),
        ({"prefix": "none/"}, 0, 0),
    ],
)
def test_a_look_at_some_rows_tells_about_how_many_pass(
    filters: dict[str, str], least: int, most: int, crowd: Database
) -> None:
    [(estimate,)] = (
        crowd.session()
        .execute(
            """
            select pixseek.estimate(pixseek.ask(
              pixseek.model_named('m'), %s::extensions.vector, null, null, %s::jsonb, false))
            """,
            (_COPY, json.dumps(filters)),
        )
        .fetchall()
    )

    assert least <= estimate <= most


def test_few_candidates_are_compared_exactly(crowd: Database) -> None:
    found = search(crowd.session(), _ELSEWHERE, match_count=50, filters={"bucket": "closed"})

    assert _ids(found) == _exact(crowd, "bucket = 'closed'", _ELSEWHERE)[:50]


@pytest.mark.parametrize(
    ("filters", "where"), [({}, "true"), ({"bucket": "open"}, "bucket = 'open'")], ids=["plain", "filtered"]
)
def test_a_scan_that_runs_short_is_completed_by_an_exact_run(
    filters: dict[str, str], where: str, crowd: Database
) -> None:
    session = crowd.owner()
    session.execute("begin")
    session.execute(_SHORT_INDEX)

    found = search(session, _ELSEWHERE, match_count=900, filters=filters)

    session.execute("rollback")
    assert found["path"] == "completed"
    assert _ids(found) == _exact(crowd, where, _ELSEWHERE)[:900]


@pytest.mark.parametrize("filters", [{}, {"bucket": "open"}], ids=["plain", "filtered"])
def test_rows_under_the_threshold_never_cause_an_exact_run(filters: dict[str, str], crowd: Database) -> None:
    found = search(crowd.session(), _ELSEWHERE, min_similarity=1, filters=filters)

    assert found == {"model": "m", "path": "index", "hits": [], "next_cursor": None}


def test_the_models_floor_holds_unless_the_caller_names_another(crowd: Database) -> None:
    session = crowd.session()

    floored = search(session, _COPY, match_count=40, min_similarity=None)
    all_of_them = search(session, _COPY, match_count=40)

    assert [hit["similarity"] for hit in floored["hits"]] == [1] * _COPIES
    assert len(all_of_them["hits"]) == 40


@pytest.mark.parametrize("filters", [{}, {"bucket": "open"}, {"content_type": "image/gif"}])
@pytest.mark.parametrize("size", [7, 10, 31])
def test_pages_cut_through_equal_distances_and_lose_or_double_none(
    size: int, filters: dict[str, str], crowd: Database
) -> None:
    copies = _exact(crowd, "content_type = 'image/gif'", _COPY)

    pages = _pages(crowd.session(), _COPY, size, 6, filters=filters)

    assert _joined(pages)[:_COPIES] == copies
    assert len({*_joined(pages)}) == len(_joined(pages))


@pytest.mark.parametrize("filters", [{}, {"bucket": "open"}, {"content_type": "image/png"}])
def test_pages_joined_are_one_call_of_their_depth(filters: dict[str, str], crowd: Database) -> None:
    session = crowd.session()

    joined = _joined(_pages(session, _ELSEWHERE, 100, 10, filters=filters))

    assert joined == _ids(search(session, _ELSEWHERE, match_count=1000, filters=filters))


def test_past_the_depth_pages_follow_the_exact_order(crowd: Database) -> None:
    pages = _pages(crowd.session(), _ELSEWHERE, 400, 20)

    exact = _exact(crowd, "true", _ELSEWHERE)
    seam = exact.index(_ids(pages[1])[-1])
    assert [page["path"] for page in pages[:3]] == ["index", "index", "exact"]
    assert _joined(pages[2:]) == exact[seam + 1 :]


def test_the_last_page_has_no_cursor(crowd: Database) -> None:
    pages = _pages(crowd.session(), _COPY, 20, 9, filters={"content_type": "image/gif"})

    assert [len(page["hits"]) for page in pages] == [20, 11]
    assert pages[-1]["next_cursor"] is None


@pytest.mark.parametrize("filters", [{}, {"content_type": "image/gif"}])
def test_near_identical_pictures_are_collapsed_on_request(filters: dict[str, str], crowd: Database) -> None:
    pages = _pages(crowd.session(), _COPY, 5, 3, filters=filters, collapse=True)

    copies = {*_exact(crowd, "content_type = 'image/gif'", _COPY)}
    assert len(copies & {*_joined(pages)}) == 1
    assert len({*_joined(pages)}) == len(_joined(pages)) == (1 if filters else 15)


def test_more_like_this_leaves_the_picture_itself_out(crowd: Database) -> None:
    [first, *others] = _exact(crowd, "content_type = 'image/gif'", _COPY)

    found = search(crowd.session(), query_image_id=first, match_count=30)

    assert _ids(found) == others


def _scans(session: Session) -> dict[str, int]:
    """How often each index was scanned so far."""
    session.execute("select pg_stat_force_next_flush()")
    return dict(session.execute("select indexrelname, idx_scan from pg_stat_user_indexes").fetchall())


def _scanned(session: Session, act: Callable[[], object]) -> set[str]:
    """The indexes that a call went through, whatever plan it had kept: what EXPLAIN ANALYZE would show."""
    before = _scans(session)
    act()
    return {name for name, count in _scans(session).items() if count > before[name]}


_HNSW = "vectors_1_embedding_idx"


@pytest.mark.parametrize(
    ("arguments", "path", "used", "unused"),
    [
        ({}, "index", {_HNSW, "images_pkey"}, set()),
        ({"filters": {"bucket": "open"}}, "index", {_HNSW, "images_pkey"}, set()),
        ({"filters": {"prefix": "copy/"}}, "candidates", {"images_name", "vectors_1_pkey"}, {_HNSW}),
        ({"filters": {"bucket": "closed"}}, "candidates", {"vectors_1_pkey"}, {_HNSW}),
        ({"filters": {"taken_until": "2000-01-01Z"}}, "candidates", {"images_taken_at"}, {_HNSW}),
        ({"filters": {"created_until": "2020-01-01T00:30Z"}}, "candidates", {"images_created_at"}, {_HNSW}),
        ({"filters": {"content_type": "image/gif"}}, "candidates", {"images_content_type"}, {_HNSW}),
    ],
)
@pytest.mark.parametrize("earlier_calls", [0, 6])
def test_each_path_keeps_its_plan_also_after_the_sixth_call(
    earlier_calls: int, arguments: Row, path: str, used: set[str], unused: set[str], crowd: Database
) -> None:
    session = crowd.session()
    found = [search(session, _ELSEWHERE, **arguments) for _ in range(earlier_calls + 1)]

    indexes = _scanned(session, lambda: search(session, _ELSEWHERE, **arguments))

    assert {answer["path"] for answer in found} == {path}
    assert used <= indexes
    assert not unused & indexes


@pytest.mark.parametrize("earlier_calls", [0, 6])
@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_policies_keep_the_plan_of_the_index(role: str, earlier_calls: int, crowd: Database) -> None:
    session = crowd.session(role, _ALICE)
    found = [search(session, _ELSEWHERE) for _ in range(earlier_calls + 1)]

    indexes = _scanned(session, lambda: search(session, _ELSEWHERE))

    assert {answer["path"] for answer in found} == {"index"}
    assert {_HNSW, "images_pkey"} <= indexes


@pytest.mark.parametrize("earlier_calls", [0, 6])
def test_the_exact_path_leaves_the_index_alone(earlier_calls: int, crowd: Database) -> None:
    session = crowd.session()
    cursor = search(session, _ELSEWHERE, match_count=1000)["next_cursor"]
    found = [search(session, _ELSEWHERE, page_cursor=cursor) for _ in range(earlier_calls + 1)]

    indexes = _scanned(session, lambda: search(session, _ELSEWHERE, page_cursor=cursor))

    assert {answer["path"] for answer in found} == {"exact"}
    assert _HNSW not in indexes


@pytest.mark.parametrize("earlier_calls", [0, 6])
def test_the_guides_function_goes_through_the_index(earlier_calls: int, database: Database) -> None:
    service = database.session()
    call(service, "create_model_v1", model_name="guide's", model_dimensions=512)
    call(service, "activate_model_v1", model_name="guide's", min_coverage=0)
    query: dict[str, Any] = {
        "query_embedding": vector(1, dimensions=512),
        "match_threshold": 0,
        "match_count": 5,
    }
    _ = [call(service, "match_images", **query) for _ in range(earlier_calls)]

    indexes = _scanned(service, lambda: call(service, "match_images", **query))

    assert "vectors_2_embedding_idx" in indexes


def test_a_text_is_searched_without_a_model_once_it_is_remembered(service: Session) -> None:
    index_image(service, item("dog.jpg"), vector(1))
    before = search(service, query_text="A dog")

    call(service, "remember_query_v1", query_text="A dog", query_embedding=vector(2))

    assert before == {"model": "m", "path": "not_remembered", "hits": [], "next_cursor": None}
    assert names(search(service, query_text="A dog")) == ["dog.jpg"]


@pytest.mark.parametrize("text", ["  a  dog\n", "a\u00a0dog", "\uff41 dog"])
def test_white_space_and_forms_of_a_character_do_not_count(text: str, service: Session) -> None:
    call(service, "remember_query_v1", query_text="a dog", query_embedding=vector(1))

    found = search(service, query_text=text)

    assert found["path"] != "not_remembered"


@pytest.mark.parametrize("text", ["A dog", "a dog.", "adog"])
def test_what_may_mean_something_else_is_another_text(text: str, service: Session) -> None:
    call(service, "remember_query_v1", query_text="a dog", query_embedding=vector(1))

    found = search(service, query_text=text)

    assert found["path"] == "not_remembered"


def test_a_text_is_remembered_for_its_model_only(service: Session) -> None:
    call(service, "create_model_v1", model_name="n", model_dimensions=512)
    call(service, "remember_query_v1", query_text="a dog", query_embedding=vector(1))

    found = search(service, query_text="a dog", model_name="n")

    assert found["path"] == "not_remembered"


def test_the_memory_keeps_no_text(service: Session) -> None:
    call(service, "remember_query_v1", query_text="my secret wish", query_embedding=vector(1))

    [(kept,)] = service.execute("select q::text from pixseek.queries q").fetchall()

    assert "secret" not in kept
    assert b"secret".hex() not in kept


def test_the_memory_is_bounded_in_rows(database: Database, service: Session) -> None:
    call(service, "remember_query_v1", query_text="first", query_embedding=vector(1))
    database.owner().execute("alter table pixseek.queries alter id restart with 100001")

    call(service, "remember_query_v1", query_text="last", query_embedding=vector(1))

    assert search(service, query_text="first")["path"] == "not_remembered"
    assert search(service, query_text="last")["path"] != "not_remembered"


def test_what_is_remembered_anew_is_not_the_first_to_go(database: Database, service: Session) -> None:
    call(service, "remember_query_v1", query_text="again", query_embedding=vector(1))
    database.owner().execute("alter table pixseek.queries alter id restart with 100001")

    _ = [
        call(service, "remember_query_v1", query_text=text, query_embedding=vector(1))
        for text in ("again", "x")
    ]

    assert search(service, query_text="again")["path"] != "not_remembered"


def test_the_memory_is_bounded_in_age(service: Session) -> None:
    call(service, "remember_query_v1", query_text="old", query_embedding=vector(1))
    service.execute("update pixseek.queries set created_at = now() - interval '91 days'")

    call(service, "remember_query_v1", query_text="new", query_embedding=vector(1))

    assert search(service, query_text="old")["path"] == "not_remembered"


def test_pages_stay_in_their_model_when_another_becomes_active(service: Session) -> None:
    call(service, "create_model_v1", model_name="n", model_dimensions=384)
    images = [item(f"{number}.jpg") for number in range(4)]
    _ = [
        index_image(service, image, vector(1, sign * number), model)
        for model, sign in [("m", 1), ("n", -1)]
        for number, image in enumerate(images)
    ]
    first = search(service, vector(1), match_count=2)
    call(service, "activate_model_v1", model_name="n")

    second = search(service, vector(1), match_count=2, page_cursor=first["next_cursor"])

    assert (first["model"], second["model"]) == ("m", "m")
    assert names(first) + names(second) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


def test_an_image_that_is_not_indexed_yet_cannot_be_asked_with(service: Session) -> None:
    [row] = call(service, "record_images_v1", images=[item("a.jpg")])

    failure = error(lambda: search(service, query_image_id=row["image_id"]))

    assert (failure.sqlstate, "no vector" in str(failure)) == ("PT409", True)


def test_a_pooled_session_shows_each_caller_what_is_theirs(crowd: Database) -> None:
    """Plans are kept for the session, and a pool lends one session to callers of every role."""
    session = crowd.owner()
    everything, public = _exact(crowd, "true", _ELSEWHERE), {*_exact(crowd, "bucket = 'open'", _ELSEWHERE)}

    seen = [
        {*_ids(_search_as(session, role, match_count=1000))}
        for role in ("service_role", "anon", "service_role", "anon") * 3
    ]

    assert {frozenset(found <= public for found in seen[0::2])} == {frozenset([False])}
    assert {frozenset(found <= public for found in seen[1::2])} == {frozenset([True])}
    assert all(len(found) == 1000 and found <= {*everything} for found in seen)


def _search_as(session: Session, role: str, **arguments: object) -> Row:
    session.execute(f"begin; set local role {role}".encode())
    found = search(session, _ELSEWHERE, **arguments)
    session.execute("commit")
    return found
