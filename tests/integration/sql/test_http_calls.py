"""What the HTTPS API calls: searches by several things at once, a picture, a model's state, an allowance."""

import json
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import pytest

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    Database,
    Row,
    Session,
    at_once,
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
_CALLERS: dict[str, tuple[str, str | None]] = {
    "anybody": ("anon", None),
    "alice": ("authenticated", _ALICE),
    "bob": ("authenticated", _BOB),
    "the service": ("service_role", None),
}

_Direction: TypeAlias = tuple[float, float, float]
# Of the gallery, which is public. Two are near to one another, and none is opposite to another.
_VECTORS: dict[str, _Direction] = {
    "x.jpg": (1, 0, 0),
    "y.jpg": (0, 1, 0),
    "z.jpg": (0, 0, 1),
    "xy.jpg": (1, 1, 0),
    "xz.jpg": (1, 0, 1),
    "like xy.jpg": (1, 1.1, 0),
    "xyz.jpg": (1, 2, 3),
}
# Private ones beside it.
_PRIVATE = {"alice's.jpg": _ALICE, "bob's.jpg": _BOB}
_ID = {name: place for place, name in enumerate([*_VECTORS, *_PRIVATE], 1)}
_TEXTS: dict[str, _Direction] = {"ecks": (1, 0, 0), "why": (0, 1, 0), "both": (3, 3, 0)}


def _near(*components: float, **more: object) -> Row:
    """A part of a query: a vector, zero where nothing is given."""
    return {"embedding": json.loads(vector(*components)), **more}


def _like(name: str, **more: object) -> Row:
    """A part of a query: a picture of the gallery."""
    return {"image_id": _ID[name], **more}


def _text(text: str, **more: object) -> Row:
    return {"text": text, **more}


@pytest.fixture(scope="module")
def gallery(server: Postgres) -> Iterator[dict[str, Session]]:
    """Sessions of all callers, to read only."""
    with own_database(server) as database:
        service = database.session()
        call(service, "put_bucket_v1", bucket_name="open", is_public=True)
        pictures = [(item(name, bucket="open"), vector(*_VECTORS[name])) for name in _VECTORS]
        hidden = [(item(name, owner=owner), vector(1, 1, 1)) for name, owner in _PRIVATE.items()]
        assert [index(service, *picture) for picture in [*pictures, *hidden]] == [*_ID.values()]
        _ = [
            call(service, "remember_query_v1", query_text=text, query_embedding=vector(*components))
            for text, components in _TEXTS.items()
        ]
        yield {caller: database.session(*claims) for caller, claims in _CALLERS.items()}


@pytest.fixture
def reader(gallery: dict[str, Session]) -> Session:
    """A session of the service in the gallery."""
    return gallery["the service"]


def _of_version_1(found: Row) -> Row:
    added = ("average_colour", "preview", "is_public")
    hits = [{key: hit[key] for key in hit if key not in added} for hit in found["hits"]]
    return {**{key: found[key] for key in found if key != "missing"}, "hits": hits}


@pytest.mark.parametrize("more", [{}, {"filters": {"prefix": "x"}}, {"collapse": True}], ids=str)
@pytest.mark.parametrize(
    ("part", "arguments"),
    [
        (_near(1, 2, 2), {"query_embedding": vector(1, 2, 2)}),
        ({"embedding": vector(1, 2, 2)}, {"query_embedding": vector(1, 2, 2)}),
        (_text("both"), {"query_text": "both"}),
        (_text("  both\n"), {"query_text": "both"}),
        (_text("never asked"), {"query_text": "never asked"}),
        (_like("xy.jpg"), {"query_image_id": _ID["xy.jpg"]}),
        ({"image_id": float(_ID["xy.jpg"])}, {"query_image_id": _ID["xy.jpg"]}),
    ],
    ids=["vector", "vector as text", "text", "spaced text", "unknown text", "image", "image as 4.0"],
)
@pytest.mark.parametrize("caller", ["anybody", "alice", "the service"])
def test_one_part_finds_what_version_1_finds(
    caller: str, part: Row, arguments: Row, more: Row, gallery: dict[str, Session]
) -> None:
    session = gallery[caller]

    found = search_by(session, part, match_count=3, **more)

    assert _of_version_1(found) == search(session, **arguments, match_count=3, **more)


def _unit(direction: _Direction) -> list[float]:
    return [component / math.hypot(*direction) for component in direction]


def _similarities(*parts: tuple[float, _Direction]) -> dict[str, float]:
    """Of the public pictures to some directions, each with length 1, times its weight, and added up."""
    scaled = [[weight * component for component in _unit(direction)] for weight, direction in parts]
    [a, b, c] = [sum(axis) for axis in zip(*scaled, strict=True)]
    query = _unit((a, b, c))
    return {
        name: sum(x * y for x, y in zip(query, _unit(direction), strict=True))
        for name, direction in _VECTORS.items()
    }


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ([_near(1, 2, 2), _near(2, 1)], [(1, (1, 2, 2)), (1, (2, 1, 0))]),
        ([_near(100, 0, 0), _near(0, 0.01, 0)], [(1, (1, 0, 0)), (1, (0, 1, 0))]),
        ([_near(1, 2, 2, weight=2), _near(2, 1)], [(2, (1, 2, 2)), (1, (2, 1, 0))]),
        ([_near(1, 2, 2, weight=1), _near(2, 1, weight=0.5)], [(2, (1, 2, 2)), (1, (2, 1, 0))]),
        ([_near(1, 2, 2), _near(2, 1, weight=-0.7)], [(1, (1, 2, 2)), (-0.7, (2, 1, 0))]),
        ([_near(1, 2, 2, weight=-2), _near(2, 1, weight=-1)], [(-2, (1, 2, 2)), (-1, (2, 1, 0))]),
        ([_near(1, 2, 2, weight=5)], [(1, (1, 2, 2))]),
        ([_near(1, 2, 2, weight=-1)], [(-1, (1, 2, 2))]),
        ([_near(1, 2, 2, weight=-100)], [(-1, (1, 2, 2))]),
        ([_near(1, 2, 2, weight=0.0005)], [(1, (1, 2, 2))]),
        ([_near(1, 2, 2, weight=1e-50)], [(1, (1, 2, 2))]),
        ([_near(1, 2, 2, weight=1e-50), _near(1)], [(1, (1, 0, 0))]),
        ([_near(1, weight=0.0002), _near(0, 1, weight=-0.0004)], [(1, (1, 0, 0)), (-2, (0, 1, 0))]),
        ([_text("ecks"), _text("why")], [(1, (1, 0, 0)), (1, (0, 1, 0))]),
        ([_text("both", weight=-2), _near(0, 0, 3)], [(-2, (1, 1, 0)), (1, (0, 0, 1))]),
        ([_text("ecks", weight=3), _text("ecks", weight=-1), _near(0, 1)], [(2, (1, 0, 0)), (1, (0, 1, 0))]),
        ([_near(1)] * 15 + [_near(0, 0, 1, weight=-15)], [(15, (1, 0, 0)), (-15, (0, 0, 1))]),
    ],
    ids=lambda value: str(len(value)),
)
def test_parts_are_added_up_by_their_weights(
    query: list[Row], parts: list[tuple[float, _Direction]], reader: Session
) -> None:
    found = search_by(reader, *query, filters={"bucket": "open"})

    similarities = {hit["image"]: hit["similarity"] for hit in found["hits"]}
    assert similarities == pytest.approx(_similarities(*parts), abs=2e-3)
    assert [*similarities.values()] == sorted(similarities.values(), reverse=True)
    assert found["missing"] == []


@pytest.mark.parametrize(
    ("query", "parts", "hidden"),
    [
        ([_like("x.jpg"), _like("y.jpg")], [(1, (1, 0, 0)), (1, (0, 1, 0))], {"x.jpg", "y.jpg"}),
        ([_like("xyz.jpg", weight=-1)], [(-1, (1, 2, 3))], {"xyz.jpg"}),
        (
            [_like("x.jpg", weight=2), _text("why"), _near(0, 0, 9, weight=-0.5)],
            [(2, (1, 0, 0)), (1, (0, 1, 0)), (-0.5, (0, 0, 1))],
            {"x.jpg"},
        ),
        (
            [_text("why"), _like("xyz.jpg"), _near(1), _like("z.jpg", weight=-2), _like("xyz.jpg")],
            [(1, (0, 1, 0)), (2, (1, 2, 3)), (1, (1, 0, 0)), (-2, (0, 0, 1))],
            {"xyz.jpg", "z.jpg"},
        ),
    ],
    ids=["images", "away from an image", "all kinds", "an image twice"],
)
def test_images_of_a_query_count_and_are_not_among_the_hits(
    query: list[Row], parts: list[tuple[float, _Direction]], hidden: set[str], reader: Session
) -> None:
    found = search_by(reader, *query, filters={"bucket": "open"})

    expected = {name: value for name, value in _similarities(*parts).items() if name not in hidden}
    assert {hit["image"]: hit["similarity"] for hit in found["hits"]} == pytest.approx(expected, abs=2e-3)


def test_the_models_floor_and_a_threshold_hold_for_a_sum(reader: Session) -> None:
    query = [_near(1), _near(0, 1)]

    floored = search_by(reader, *query, min_similarity=None, filters={"bucket": "open"})
    chosen = search_by(reader, *query, min_similarity=0.9)

    assert {*_VECTORS} - {*names(floored)} == {"z.jpg"}
    assert names(chosen) == ["xy.jpg", "like xy.jpg"]


@pytest.mark.parametrize(
    "query",
    [
        [_near(1), _near(1, weight=-1)],
        [_near(1, 2, 3, weight=100), _near(5, 10, 15, weight=-100)],
        [_near(1), _near(-1)],
        [_near(1), _near(-1, 3**0.5), _near(-1, -(3**0.5))],
        [_text("ecks"), _like("x.jpg", weight=-1)],
        [_near(1, weight=0.001), _near(1, weight=-0.001)],
        # Apart by less than a stored vector is exact.
        [_near(1, 1, weight=100), _near(1, 1.001, weight=-100)],
    ],
    ids=["weights", "great weights", "vectors", "three", "text and image", "small weights", "all but"],
)
def test_parts_that_cancel_each_other_out_are_refused(query: list[Row], reader: Session) -> None:
    failure = error(lambda: search_by(reader, *query))

    assert (failure.sqlstate, "cancel" in str(failure)) == ("22023", True)
    assert failure.diag.message_hint


_NO_PART = "it takes one of text, embedding and image_id"
_NO_WEIGHT = "its weight must be a number from -100 to 100, and not 0"
_NO_ID = "its image_id must be a whole number from 1 on"
_NO_VECTOR = "an embedding of the query is no list of finite numbers"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, "a query is a list of 1 to 16 parts"),
        ("null", "a query is a list of 1 to 16 parts"),
        ("[]", "a query is a list of 1 to 16 parts"),
        ('{"text": "both"}', "a query is a list of 1 to 16 parts"),
        ('"both"', "a query is a list of 1 to 16 parts"),
        ([_text("both")] * 17, "a query is a list of 1 to 16 parts"),
        ('["both"]', "part 1 of the query: it must be a JSON object"),
        ("[null]", "part 1 of the query: it must be a JSON object"),
        ("[[]]", "part 1 of the query: it must be a JSON object"),
        ([{}], f"part 1 of the query: {_NO_PART}"),
        ([_text("both"), {"weight": 2}], f"part 2 of the query: {_NO_PART}"),
        ([_text("both"), _near(1, text="both")], f"part 2 of the query: {_NO_PART}"),
        ([_text("both"), _text("both", weigth=2)], f"part 2 of the query: {_NO_PART}, and a weight"),
        ([_text("both", weight=0)], f"part 1 of the query: {_NO_WEIGHT}"),
        ([_text("both", weight=100.01)], f"part 1 of the query: {_NO_WEIGHT}"),
        ([_text("both", weight=-1e300)], f"part 1 of the query: {_NO_WEIGHT}"),
        ([_text("both", weight="2")], f"part 1 of the query: {_NO_WEIGHT}"),
        ([_text("both", weight="abc")], f"part 1 of the query: {_NO_WEIGHT}"),
        ([_text("both", weight=None)], f"part 1 of the query: {_NO_WEIGHT}"),
        ([_text("both", weight=True)], f"part 1 of the query: {_NO_WEIGHT}"),
        ([{"text": 7}], "part 1 of the query: its text must be a string"),
        ([{"text": None}], "part 1 of the query: its text must be a string"),
        ([_text(" \n")], "the query text is empty"),
        ([{"image_id": "1"}], f"part 1 of the query: {_NO_ID}"),
        ([{"image_id": None}], f"part 1 of the query: {_NO_ID}"),
        ([{"image_id": 0}], f"part 1 of the query: {_NO_ID}"),
        ([{"image_id": -1}], f"part 1 of the query: {_NO_ID}"),
        ([{"image_id": 1.5}], f"part 1 of the query: {_NO_ID}"),
        ([{"image_id": 2**63}], f"part 1 of the query: {_NO_ID}"),
        ([{"embedding": 7}], "part 1 of the query: its embedding must be a vector"),
        ([{"embedding": None}], "part 1 of the query: its embedding must be a vector"),
        ([{"embedding": {}}], "part 1 of the query: its embedding must be a vector"),
        ([_near(1), {"embedding": []}], _NO_VECTOR),
        ([_near(1), {"embedding": "abc"}], _NO_VECTOR),
        ([_near(1), {"embedding": ""}], _NO_VECTOR),
        ([_near(1), {"embedding": ["a"]}], _NO_VECTOR),
        ([_near(1), {"embedding": [None]}], _NO_VECTOR),
        ([_near(1), {"embedding": [1e60]}], _NO_VECTOR),
        ([_near(1), {"embedding": "[NaN]"}], _NO_VECTOR),
        ([_near(1), {"embedding": [0.5] * 17_000}], _NO_VECTOR),
        ([_near(1), {"embedding": [1, 2]}], "the vector has 2 dimensions; model m needs 384 dimensions"),
        ([_near(1), _near(0)], "the vector points nowhere, so nothing is near it (model m, 384 dimensions)"),
    ],
    ids=lambda value: str(value)[-60:],
)
def test_what_is_no_query_is_named_and_refused(
    query: str | list[Row] | None, message: str, reader: Session
) -> None:
    failure = error(lambda: call(reader, "search_images_v2", query=query))

    assert (failure.sqlstate, failure.diag.message_primary) == ("22023", message)
    assert failure.diag.message_hint


@pytest.mark.parametrize("count", [1, 2, 15, 16])
def test_a_query_has_1_to_16_parts(count: int, reader: Session) -> None:
    query = [_text("ecks"), *[_like("x.jpg")] * 15]

    found = search_by(reader, *query[:count], match_count=1, filters={"prefix": "xy"})

    assert names(found) == ["xy.jpg"]


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ([_text("a"), _text("b")], [0, 1]),
        ([_text("both"), _text("a")], [1]),
        ([_text("a"), _text("both"), _text("a")], [0, 2]),
        ([_near(1), _text("a", weight=-1), _like("x.jpg"), _text("b")], [1, 3]),
        ([_text("a"), _near(1), _near(-1)], [0]),
    ],
    ids=["all", "one of two", "a text twice", "among others", "though the rest cancels out"],
)
def test_texts_that_are_not_remembered_are_told_by_their_places(
    query: list[Row], missing: list[int], reader: Session
) -> None:
    found = search_by(reader, *query)

    assert found == {
        "model": "m",
        "path": "not_remembered",
        "hits": [],
        "next_cursor": None,
        "missing": missing,
    }


def test_a_text_that_was_missing_is_found_by_once_it_is_remembered(reader: Session) -> None:
    query = [_text("new"), _like("x.jpg")]

    with reader.transaction(force_rollback=True):
        call(reader, "remember_query_v1", query_text="new", query_embedding=vector(0, 1))
        found = search_by(reader, *query, match_count=1)

    assert (names(found), found["missing"]) == (["xy.jpg"], [])


def test_copies_are_left_out_on_request(reader: Session) -> None:
    query = [_near(1), _near(0, 1)]

    found = search_by(reader, *query, collapse=True, filters={"prefix": "xy"})
    every = search_by(reader, *query, filters={"bucket": "open"}, match_count=2)
    distinct = search_by(reader, *query, filters={"bucket": "open"}, match_count=2, collapse=True)

    assert names(found) == ["xy.jpg", "xyz.jpg"]
    assert names(every) == ["xy.jpg", "like xy.jpg"]
    assert (names(distinct)[0], "like xy.jpg" in names(distinct)) == ("xy.jpg", False)


@pytest.mark.parametrize("query", [["xy.jpg", "y.jpg"], ["y.jpg", "xy.jpg"], ["xy.jpg", "y.jpg", "y.jpg"]])
def test_an_image_of_the_query_does_not_keep_its_copies_from_the_hits(
    query: list[str], reader: Session
) -> None:
    parts = [_like(name) for name in query]

    found = search_by(reader, *parts, _near(0.2, -1), collapse=True, filters={"bucket": "open"})

    assert "like xy.jpg" in names(found)
    assert not {*query} & {*names(found)}


def _told(act: Callable[[], object], asked: object) -> tuple[str | None, ...]:
    """All that an error tells, but for what was asked with."""
    told = error(act).diag
    message = (told.message_primary or "").replace(str(asked), "…")
    return (told.sqlstate, message, told.message_hint, told.message_detail, told.context)


def _refusal(session: Session, query: list[Row]) -> tuple[str | None, ...]:
    return _told(lambda: search_by(session, *query), query[-1]["image_id"])


@pytest.mark.parametrize(
    "others",
    [[], [_near(1)], [_text("never asked")], [_like("x.jpg", weight=-1), _text("both")], [_near(1)] * 15],
    ids=["alone", "after a vector", "after an unknown text", "after an image", "as the last of 16"],
)
@pytest.mark.parametrize(
    ("caller", "name"), [("bob", "alice's.jpg"), ("anybody", "alice's.jpg"), ("alice", "bob's.jpg")]
)
def test_the_picture_of_another_is_as_unknown_as_one_that_does_not_exist(
    caller: str, name: str, others: list[Row], gallery: dict[str, Session]
) -> None:
    session = gallery[caller]

    refusal = _refusal(session, [*others, _like(name, weight=-1)])

    assert refusal[0] == "PT404"
    assert refusal == _refusal(session, [*others, {"image_id": 999_999_999, "weight": -1}])


@pytest.mark.parametrize(
    ("caller", "private"),
    [("anybody", set()), ("alice", {"alice's.jpg"}), ("bob", {"bob's.jpg"}), ("the service", {*_PRIVATE})],
)
def test_a_sum_finds_what_is_public_and_the_callers_own(
    caller: str, private: set[str], gallery: dict[str, Session]
) -> None:
    found = search_by(gallery[caller], _near(1, 1, 1), _text("both"), match_count=50)

    assert {*names(found)} == {*_VECTORS, *private}


def test_an_own_private_picture_may_be_asked_with(gallery: dict[str, Session]) -> None:
    found = search_by(gallery["alice"], _like("x.jpg"), _like("alice's.jpg"), match_count=50)

    assert {*names(found)} == {*_VECTORS} - {"x.jpg"}


_PAGED = [_near(1, 2, 3), _text("both", weight=-0.5), _like("z.jpg")]


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ([_near(1, 2, 3), _text("both", weight=-0.4), _like("z.jpg")], {}),
        ([_near(1, 2, 3), _text("both", weight=-0.5), _like("x.jpg")], {}),
        ([_near(1, 2, 3), _text("both", weight=-0.5)], {}),
        ([_like("z.jpg")], {}),
        ([_near(1, 2, 3), _text("ecks", weight=-0.5), _like("z.jpg")], {}),
        (_PAGED, {"filters": {"bucket": "open"}}),
        (_PAGED, {"collapse": True}),
    ],
    ids=["weight", "image", "fewer parts", "image alone", "text", "filter", "collapsed"],
)
def test_the_cursor_of_another_query_is_refused(query: list[Row], more: Row, reader: Session) -> None:
    cursor = search_by(reader, *_PAGED, match_count=2)["next_cursor"]

    failure = error(lambda: search_by(reader, *query, page_cursor=cursor, **more))

    assert (failure.sqlstate, "another search" in str(failure)) == ("22023", True)
    assert failure.diag.message_hint


def test_a_cursor_may_be_used_again_and_by_another_who_sees_their_own(gallery: dict[str, Session]) -> None:
    cursor = search_by(gallery["alice"], *_PAGED, match_count=1)["next_cursor"]

    pages = [
        search_by(gallery[caller], *_PAGED, page_cursor=cursor, match_count=50) for caller in ["bob", "bob"]
    ]

    assert pages[0] == pages[1]
    assert "alice's.jpg" not in names(pages[0])


def test_pages_stay_in_their_model_when_another_becomes_active(service: Session) -> None:
    pictures = [item(f"{number}.jpg") for number in range(4)]
    call(service, "create_model_v1", model_name="n", model_dimensions=512)
    _ = [index(service, picture, vector(1, place)) for place, picture in enumerate(pictures)]
    first = search_by(service, _near(1), _near(2), match_count=2)
    call(service, "activate_model_v1", model_name="n", min_coverage=0)

    second = search_by(service, _near(1), _near(2), match_count=2, page_cursor=first["next_cursor"])

    refused = error(
        lambda: search_by(service, _near(1), _near(2), page_cursor=first["next_cursor"], model_name="n")
    )
    assert (first["model"], second["model"]) == ("m", "m")
    assert names(first) + names(second) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert (refused.sqlstate, "another model" in str(refused)) == ("22023", True)


def test_an_image_that_is_not_indexed_yet_cannot_be_asked_with(service: Session) -> None:
    [row] = call(service, "record_images_v1", images=[item("a.jpg")])

    failure = error(lambda: search_by(service, _near(1), {"image_id": row["image_id"]}))

    assert (failure.sqlstate, "no vector" in str(failure)) == ("PT409", True)


# Some hundred pictures, the last a copy 40 times; every tenth is private.
_CROWD_SIZE = 160
_CROWD = f"""
select setseed(0.5);
insert into pixseek.buckets (name, is_public) values ('open', true), ('closed', false);
insert into pixseek.images (bucket, name, ordering_key, state)
select case when n % 10 = 0 then 'closed' else 'open' end, n || '.jpg', '1', 'indexed'
from generate_series(1, {_CROWD_SIZE}) n;
insert into pixseek.vectors (image_id, model_id, embedding)
select n, 1, extensions.l2_normalize(array_agg(
  case when n <= {_CROWD_SIZE} - 40 then random() - 0.5 else 1 end order by axis
)::extensions.vector)::extensions.halfvec
from generate_series(1, {_CROWD_SIZE}) n, generate_series(1, 384) axis
group by n;
analyze pixseek.images, pixseek.vectors;
"""
_PUBLIC = {number for number in range(1, _CROWD_SIZE + 1) if number % 10}
# Who searches, what among, and what there is to find.
_SEARCHES = [
    pytest.param("the service", {}, {*range(1, _CROWD_SIZE + 1)}, id="all"),
    pytest.param("the service", {"bucket": "open"}, _PUBLIC, id="filtered"),
    pytest.param("anybody", {}, _PUBLIC, id="public"),
]
# Numbers of pictures that a query is made of.
_MANY = [
    [1, 2],
    [1, 1],
    [3, 121, 122],
    [121, 7, 121, 122, 7, 122],
    [*range(1, 8), *range(121, 130)],
]


@pytest.fixture(scope="module")
def crowd(server: Postgres) -> Iterator[dict[str, Session]]:
    """Sessions of all callers, to read only."""
    with own_database(server) as database:
        database.owner().execute(_CROWD.encode())
        yield {caller: database.session(*claims) for caller, claims in _CALLERS.items()}


def _images(numbers: list[int]) -> list[Row]:
    return [{"image_id": number} for number in numbers]


def _pages(session: Session, query: list[Row], size: int, **more: object) -> list[Row]:
    pages = [search_by(session, *query, match_count=size, **more)]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(search_by(session, *query, match_count=size, page_cursor=cursor, **more))
    return pages


def _ids(*pages: Row) -> list[int]:
    return [hit["id"] for page in pages for hit in page["hits"]]


@pytest.mark.parametrize("count", [1, 16, 100, 1000])
@pytest.mark.parametrize("images", _MANY, ids=len)
@pytest.mark.parametrize(("caller", "filters", "allowed"), _SEARCHES)
def test_exactly_k_come_and_no_image_of_the_query_is_among_them(
    caller: str, filters: Row, allowed: set[int], images: list[int], count: int, crowd: dict[str, Session]
) -> None:
    found = _ids(search_by(crowd[caller], *_images(images), match_count=count, filters=filters))

    assert len(found) == len({*found}) == min(count, len(allowed - {*images}))
    assert {*found} <= allowed - {*images}


@pytest.mark.parametrize("images", _MANY, ids=len)
@pytest.mark.parametrize(("caller", "filters", "allowed"), _SEARCHES)
def test_pages_lose_and_double_no_picture(
    caller: str, filters: Row, allowed: set[int], images: list[int], crowd: dict[str, Session]
) -> None:
    pages = _pages(crowd[caller], _images(images), 19, filters=filters)

    assert sorted(_ids(*pages)) == sorted(allowed - {*images})
    assert {len(page["hits"]) for page in pages[:-1]} == {19}


def test_pages_past_the_depth_of_the_index_lose_and_double_no_picture(crowd: dict[str, Session]) -> None:
    images = _MANY[-1]

    pages = _pages(crowd["the service"], _images(images), 2)

    assert sorted(_ids(*pages)) == sorted({*range(1, _CROWD_SIZE + 1)} - {*images})
    assert (pages[0]["path"], pages[-1]["path"]) == ("index", "exact")


@pytest.mark.parametrize("more", [{}, {"filters": {"bucket": "open"}}, {"collapse": True}], ids=str)
@pytest.mark.parametrize("images", _MANY[2:4], ids=len)
def test_pages_joined_are_one_call(images: list[int], more: Row, crowd: dict[str, Session]) -> None:
    session = crowd["the service"]

    pages = _pages(session, _images(images), 17, **more)

    assert _ids(*pages) == _ids(search_by(session, *_images(images), match_count=1000, **more))


@pytest.mark.parametrize("images", [[1, 2], [1, 121], [121, 1], [1, 121, 122], [122, 1, 121]], ids=str)
def test_of_many_copies_one_is_left_also_when_the_query_names_some(
    images: list[int], crowd: dict[str, Session]
) -> None:
    session = crowd["the service"]

    found = _ids(*_pages(session, _images(images), 19, collapse=True))

    distinct = {*range(1, _CROWD_SIZE - 39)}
    assert {*found} & distinct == distinct - {*images}
    assert len({*found} - distinct) == 1
    assert len(found) == len({*found})


# Taken or come: which pictures are from a time on, and before it.
_TIMES: dict[str, Row] = {
    "old.jpg": {"taken_at": "1999-05-01T10:00:00Z", "created_at": "2025-01-01T00:00:00Z"},
    "new.jpg": {"taken_at": "2024-05-01T10:00:00Z", "created_at": "2025-01-01T00:00:00Z"},
    "came early.jpg": {"created_at": "2000-01-01T00:00:00Z"},
    "came late.jpg": {"created_at": "2025-01-01T00:00:00Z"},
}
_DETAILS: Row = {
    "content_type": "image/jpeg",
    "size_bytes": 12_345,
    "width": 640,
    "height": 480,
    "taken_at": "2023-07-01T12:00:00+02:00",
    "created_at": "2024-01-01T00:00:00Z",
    "average_colour": "#c0ffee",
}


class _Album(NamedTuple):
    """Sessions of all callers, and the pictures' ids; to read only."""

    sessions: dict[str, Session]
    ids: dict[str, int]


@pytest.fixture(scope="module")
def album(server: Postgres) -> Iterator[_Album]:
    """Alice's pictures in all states, in a public and in a private bucket."""
    with own_database(server) as database:
        service = database.session()
        call(service, "put_bucket_v1", bucket_name="open", is_public=True, provider="s3")
        call(service, "put_bucket_v1", bucket_name="closed", provider="s3")
        _fill(service, "open")
        _fill(service, "closed")
        _ = [
            index(service, item(name, bucket="times", content=name, **times), vector(0, 1))
            for name, times in _TIMES.items()
        ]
        rows = database.owner().execute("select bucket || '/' || name, id from pixseek.images").fetchall()
        ids: dict[str, int] = dict(rows)
        yield _Album({caller: database.session(*claims) for caller, claims in _CALLERS.items()}, ids)


def _fill(service: Session, bucket: str) -> None:
    """`full.jpg` with all that can be known of it, `bare.jpg` with nothing, and one of each state."""
    full, bare, changed, blocked, deleted = [
        item(f"{name}.jpg", bucket=bucket, owner=_ALICE, content=bucket + name, **more)
        for name, more in [
            ("full", _DETAILS),
            ("bare", {}),
            ("changed", {"average_colour": "#000000"}),
            ("blocked", {}),
            ("deleted", {}),
        ]
    ]
    images = [full, bare, changed, blocked, deleted]
    recorded = call(service, "record_images_v3", images=images, provider="s3")
    previews = {row["name"]: row["preview"] for row in recorded}
    vectors = [
        result(full, vector(1)) | {"preview": previews["full.jpg"]},
        result(bare, vector(1, 1)),
        result(changed, vector(1, 2)) | {"preview": previews["changed.jpg"]},
        result(blocked, vector(1, 3)),
        result(deleted, vector(1, 4)),
    ]
    stored = call(service, "store_vectors_v2", vectors=vectors)
    [blocked_id] = [row["image_id"] for row in stored if row["name"] == "blocked.jpg"]
    call(service, "block_images_v1", image_ids=[blocked_id], reason="a complaint")
    call(service, "remove_images_v1", objects=[{**deleted, "ordering_key": "2"}])
    later = item("changed.jpg", "2", bucket=bucket, owner=_ALICE, content=bucket + "other bytes")
    pending = item("pending.jpg", bucket=bucket, owner=_ALICE, content=bucket + "pending")
    failed = item("failed.jpg", bucket=bucket, owner=_ALICE, reason="not a picture: a PDF")
    call(service, "record_images_v3", images=[later, pending, failed], provider="s3")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"since": "2024-01-01T00:00:00Z"}, ["new.jpg", "came late.jpg"]),
        ({"until": "2024-01-01T00:00:00Z"}, ["old.jpg", "came early.jpg"]),
        ({"since": "2024-05-01T12:00:00+02:00"}, ["new.jpg", "came late.jpg"]),
        ({"until": "2024-05-01T12:00:00+02:00"}, ["old.jpg", "came early.jpg"]),
        ({"since": "2025-01-01T00:00:00Z"}, ["came late.jpg"]),
        ({"until": "2000-01-01T00:00:00Z"}, ["old.jpg"]),
        ({"since": "2000-01-01T00:00:00Z", "until": "2025-01-01T00:00:00Z"}, ["came early.jpg", "new.jpg"]),
        ({"since": "2000-01-01T00:00:00Z", "taken_until": "2025-01-01T00:00:00Z"}, ["new.jpg"]),
        ({"since": "2030-01-01T00:00:00Z"}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("function", "query"),
    [
        ("search_images_v1", {"query_embedding": vector(0, 1)}),
        ("search_images_v2", {"query": [_near(0, 1), _near(0, 2)]}),
    ],
    ids=["version 1", "version 2"],
)
def test_a_picture_is_of_when_it_was_taken_or_else_came(
    function: str, query: Row, filters: Row, found: list[str], album: _Album
) -> None:
    service = album.sessions["the service"]

    [row] = call(service, function, **query, filters={**filters, "bucket": "times"})

    assert sorted(names(row[function])) == sorted(found)


def _picture(bucket: str, album: _Album, **more: object) -> Row:
    """`full.jpg` as its viewers see it."""
    image_id = album.ids[f"{bucket}/full.jpg"]
    return {
        "id": image_id,
        "bucket": bucket,
        "image": "full.jpg",
        "content_type": "image/jpeg",
        "width": 640,
        "height": 480,
        "taken_at": "2023-07-01T10:00:00+00:00",
        "created_at": "2024-01-01T00:00:00+00:00",
        "average_colour": "#c0ffee",
        "preview": f"{image_id}/1.webp",
        **more,
    }


_VIEWS = [
    *[(caller, "open", True) for caller in _CALLERS],
    *[(caller, "closed", False) for caller in ("alice", "the service")],
]


@pytest.mark.parametrize(("caller", "bucket", "is_public"), _VIEWS)
def test_a_hit_says_all_that_shows_a_picture(
    caller: str, bucket: str, is_public: bool, album: _Album
) -> None:
    found = search_by(album.sessions[caller], _near(1), filters={"bucket": bucket}, match_count=1)

    assert found["hits"] == [_picture(bucket, album, similarity=1, is_public=is_public)]


@pytest.mark.parametrize(
    ("name", "colour", "preview"), [("bare.jpg", None, None), ("full.jpg", "#c0ffee", "/1.webp")]
)
def test_a_preview_is_named_once_it_is_there(
    name: str, colour: str | None, preview: str | None, album: _Album
) -> None:
    found = search_by(album.sessions["anybody"], _near(1), filters={"prefix": name})

    [hit] = found["hits"]
    expected = preview and f"{hit['id']}{preview}"
    assert (hit["average_colour"], hit["preview"]) == (colour, expected)


def _image(session: Session, **arguments: object) -> Row:
    [row] = call(session, "image_v1", **arguments)
    found: Row = row["image_v1"]
    return found


def _refused_image(session: Session, arguments: Row) -> tuple[str | None, ...]:
    return _told(lambda: _image(session, **arguments), [*arguments.values()][-1])


@pytest.mark.parametrize(("caller", "bucket", "is_public"), _VIEWS)
def test_a_picture_is_told_by_its_id_and_by_its_name(
    caller: str, bucket: str, is_public: bool, album: _Album
) -> None:
    session = album.sessions[caller]

    by_id = _image(session, image_id=album.ids[f"{bucket}/full.jpg"])
    by_name = _image(session, bucket_name=bucket, image_name="full.jpg")

    assert by_id == by_name
    assert by_id == _picture(
        bucket,
        album,
        is_public=is_public,
        is_own=caller == "alice",
        size_bytes=12_345,
        state="indexed",
        reason=None,
        ordering_key="1",
    )


@pytest.mark.parametrize(
    ("name", "state", "reason", "ordering_key"),
    [
        ("bare.jpg", "indexed", None, "1"),
        ("pending.jpg", "pending", None, "1"),
        ("changed.jpg", "pending", None, "2"),
        ("failed.jpg", "failed", "not a picture: a PDF", "1"),
    ],
)
@pytest.mark.parametrize(("caller", "bucket"), [(caller, bucket) for caller, bucket, _ in _VIEWS])
def test_it_is_told_where_a_picture_stands(
    caller: str, bucket: str, name: str, state: str, reason: str | None, ordering_key: str, album: _Album
) -> None:
    found = _image(album.sessions[caller], bucket_name=bucket, image_name=name)

    told = (found["state"], found["reason"], found["ordering_key"], found["preview"], found["average_colour"])
    assert told == (state, reason, ordering_key, None, None)


# Pictures that are no more, and alice's private ones.
_HIDDEN = [
    *[(caller, "open", f"{name}.jpg") for caller in _CALLERS for name in ("blocked", "deleted")],
    *[
        (caller, "closed", f"{name}.jpg")
        for caller in ("anybody", "bob")
        for name in ("full", "pending", "failed", "blocked", "deleted")
    ],
]


@pytest.mark.parametrize(("caller", "bucket", "name"), _HIDDEN)
def test_the_id_of_a_picture_that_the_caller_may_not_see_is_as_unknown_as_one_never_given(
    caller: str, bucket: str, name: str, album: _Album
) -> None:
    session = album.sessions[caller]

    refusal = _refused_image(session, {"image_id": album.ids[f"{bucket}/{name}"]})

    assert refusal[:2] == ("PT404", "unknown image: …")
    assert refusal == _refused_image(session, {"image_id": 999_999_999})


@pytest.mark.parametrize(("caller", "bucket", "name"), _HIDDEN)
def test_the_name_of_a_picture_that_the_caller_may_not_see_is_as_unknown_as_one_never_given(
    caller: str, bucket: str, name: str, album: _Album
) -> None:
    session = album.sessions[caller]

    refusal = _refused_image(session, {"bucket_name": bucket, "image_name": name})

    assert refusal[:2] == ("PT404", "unknown image: …")
    assert refusal == _refused_image(session, {"bucket_name": bucket, "image_name": "never made.jpg"})
    assert refusal == _refused_image(session, {"bucket_name": "never made", "image_name": name})


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"image_id": None},
        {"bucket_name": "open"},
        {"image_name": "full.jpg"},
        {"image_id": 1, "bucket_name": "open"},
        {"image_id": 1, "image_name": "full.jpg"},
        {"image_id": 1, "bucket_name": "open", "image_name": "full.jpg"},
    ],
    ids=str,
)
def test_a_picture_is_asked_for_by_its_id_or_by_its_whole_name(arguments: Row, album: _Album) -> None:
    failure = error(lambda: _image(album.sessions["the service"], **arguments))

    assert failure.sqlstate == "22023"
    assert failure.diag.message_hint


def _state(session: Session, model: str | None) -> str:
    [row] = call(session, "model_state_v1", model_name=model)
    state: str = row["model_state_v1"]
    return state


def test_where_a_model_stands_is_told_to_everybody(database: Database, service: Session) -> None:
    _ = [call(service, "create_model_v1", model_name=name, model_dimensions=384) for name in ("n", "o", "p")]
    call(service, "activate_model_v1", model_name="n", min_coverage=0)
    call(service, "drop_model_v1", model_name="p")
    session = database.session("anon")

    states = [_state(session, name) for name in ("m", "n", "o", None)]
    dropped = error(lambda: _state(session, "p"))

    assert states == ["retired", "active", "building", "active"]
    assert (dropped.sqlstate, dropped.diag.message_primary) == ("42704", "unknown model: p")


@pytest.fixture(scope="module")
def counters(server: Postgres) -> Iterator[Database]:
    with own_database(server) as database:
        yield database


@pytest.fixture
def counting(counters: Database) -> Iterator[Database]:
    """For tests that each count callers of their own."""
    yield counters
    counters.close()


def _ask(session: Session, caller: str, per_minute: int) -> float:
    """How many seconds the caller has to wait."""
    [row] = call(session, "count_request_v1", caller=caller, per_minute=per_minute)
    wait_s: float = row["count_request_v1"]
    return wait_s


def _use_up(session: Session, caller: str, per_minute: int) -> None:
    _ = [_ask(session, caller, per_minute) for _ in range(per_minute)]


def _pass(database: Database, callers: list[str], seconds: float) -> None:
    """As if so much time had passed since the last request of some callers."""
    database.owner().execute(
        "update pixseek.allowances set used_until = used_until - %s * interval '1 s'"
        " where digest in (select sha256(convert_to(c, 'UTF8')) from unnest(%s::text[]) c)",
        (seconds, callers),
    )


@pytest.mark.parametrize("per_minute", [1, 3, 7])
def test_a_caller_may_ask_so_many_times_at_once_and_has_to_wait_then(
    per_minute: int, counting: Database
) -> None:
    session = counting.session()

    waits_s = [_ask(session, f"{per_minute} at once", per_minute) for _ in range(per_minute + 1)]

    assert waits_s[:-1] == [0] * per_minute
    assert 0 < waits_s[-1] <= 60 / per_minute + 1e-3


@pytest.mark.parametrize("per_minute", [1, 3, 7])
def test_after_the_wait_one_may_pass(per_minute: int, counting: Database) -> None:
    session, caller = counting.session(), f"{per_minute} and one"
    _use_up(session, caller, per_minute)
    wait_s = _ask(session, caller, per_minute)

    _pass(counting, [caller], wait_s)

    waits_s = [_ask(session, caller, per_minute) for _ in range(2)]
    assert waits_s[0] == 0
    assert 0 < waits_s[1] <= 60 / per_minute + 1e-3


def test_nobody_has_to_wait_longer_than_needed(counting: Database) -> None:
    session = counting.session()
    _use_up(session, "hasty", 2)
    wait_s = _ask(session, "hasty", 2)

    _pass(counting, ["hasty"], wait_s - 20)

    assert 0 < _ask(session, "hasty", 2) <= 20


def test_a_refused_request_costs_nothing(counting: Database) -> None:
    session = counting.session()
    _use_up(session, "insistent", 2)

    waits_s = [_ask(session, "insistent", 2) for _ in range(5)]

    assert waits_s == sorted(waits_s, reverse=True)
    assert waits_s[-1] > 0


@pytest.mark.parametrize(("seconds", "passing"), [(20, 1), (40, 2), (60, 3), (3600, 3)])
def test_what_is_used_comes_back_with_time_and_is_not_saved_up(
    seconds: float, passing: int, counting: Database
) -> None:
    session, caller = counting.session(), f"after {seconds} s"
    _use_up(session, caller, 3)

    _pass(counting, [caller], seconds)

    waits_s = [_ask(session, caller, 3) for _ in range(4)]
    assert [wait_s == 0 for wait_s in waits_s] == [True] * passing + [False] * (4 - passing)


def test_callers_do_not_influence_each_other(counting: Database) -> None:
    session = counting.session()
    _use_up(session, "first", 3)

    waits_s = [_ask(session, "second", 3) for _ in range(3)]

    assert waits_s == [0, 0, 0]
    assert _ask(session, "first", 3) > 0


def test_the_allowance_keeps_no_name(counting: Database) -> None:
    _ask(counting.session(), "203.0.113.7 my secret", 3)

    kept = counting.owner().execute("select encode(digest, 'escape') from pixseek.allowances").fetchall()

    assert kept
    assert "secret" not in str(kept)


@pytest.mark.parametrize("per_minute", [1, 7, 30])
def test_of_many_at_once_exactly_so_many_pass(per_minute: int, counting: Database) -> None:
    sessions = [counting.session() for _ in range(20)]

    waits_s = at_once(
        lambda session: [_ask(session, f"crowd of {per_minute}", per_minute) for _ in range(3)], sessions
    )

    passed = [wait_s for waits in waits_s for wait_s in waits if wait_s == 0]
    assert len(passed) == per_minute


def test_newcomers_at_once_clear_away_without_a_clash(database: Database) -> None:
    sessions = [database.session() for _ in range(20)]
    _ = [_ask(sessions[0], f"old {number}", 5) for number in range(20)]
    database.owner().execute("update pixseek.allowances set used_until = now() - interval '1 s'")

    waits_s = at_once(lambda session: _ask(session, f"new {id(session)}", 5), sessions)

    assert waits_s == [0] * 20
    assert _allowances(database) == 20


def _allowances(database: Database) -> int:
    [(count,)] = database.owner().execute("select count(*) from pixseek.allowances")
    return int(count)


def test_a_newcomer_clears_away_two_who_have_all_of_theirs_back(database: Database, service: Session) -> None:
    _ = [_ask(service, caller, 5) for caller in ("a", "b", "c", "busy")]
    _pass(database, ["a", "b", "c"], 61)

    _ask(service, "busy", 5)
    before = _allowances(database)
    _ask(service, "new", 5)
    after_one = _allowances(database)
    _ask(service, "newer", 5)

    assert (before, after_one, _allowances(database)) == (4, 3, 3)
    assert [_ask(service, "busy", 5) == 0 for _ in range(4)] == [True, True, True, False]
