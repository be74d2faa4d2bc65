import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
from pydantic import ValidationError

from shared.hits import Part
from shared.images import FORMATS
from shared.queries import (
    MAX_CHARACTERS,
    MAX_ID,
    MAX_PARTS,
    MAX_RESULTS,
    NamedImage,
    PictureType,
    QueryPart,
    Scope,
    SearchBody,
    SearchQuery,
    UploadBody,
)

_FILE = b"a picture's file"
_BASE64 = base64.b64encode(_FILE).decode()


def test_a_sentence_is_searched_as_written_without_the_space_around_it() -> None:
    query = SearchQuery(q="  A dog,  安全帽 ")

    assert query.q == "A dog,  安全帽"
    assert query.limit == 20
    assert query.query().parts == (Part(text="A dog,  安全帽"),)


@pytest.mark.parametrize(
    "text", ["", "   ", "\t\n", "a" * (MAX_CHARACTERS + 1), "a" * 10_000, "a\0b", "half a pair \ud83d"]
)
def test_a_text_that_cannot_be_searched_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        SearchQuery(q=text)
    with pytest.raises(ValidationError):
        QueryPart(text=text)


def test_a_text_may_be_as_long_as_it_may_be() -> None:
    assert SearchQuery(q=" " + "a" * MAX_CHARACTERS + " ").q == "a" * MAX_CHARACTERS


def test_a_query_without_a_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="q\n  Field required"):
        SearchQuery.model_validate({"limit": "3"})


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1000000000", "ten", "", "1.5", str(MAX_RESULTS + 1), "nan", "٣٣٣٣"]
)
def test_a_limit_that_is_no_sensible_number_is_refused(limit: str) -> None:
    with pytest.raises(ValidationError):
        SearchQuery.model_validate({"q": "dog", "limit": limit})


@pytest.mark.parametrize("limit", ["1", str(MAX_RESULTS)])
def test_a_limit_comes_as_text(limit: str) -> None:
    query = SearchQuery.model_validate({"q": "dog", "limit": limit})

    assert query.limit == int(limit)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cursor", "c" * 501),
        ("min_similarity", "-1.01"),
        ("min_similarity", "1.01"),
        ("min_similarity", "nan"),
        ("min_similarity", "inf"),
        ("bucket", ""),
        ("bucket", "b" * 1025),
        ("bucket", "a\0b"),
        ("prefix", ""),
        ("prefix", "p" * 1025),
        ("prefix", "\udc00"),
        ("since", "yesterday"),
        ("until", "2026-13-01"),
        ("sinse", "2026-01-01"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=f"^1 validation error for Scope\n{name}\n"):
        Scope.model_validate({name: value})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("cursor", "c" * 500, "c" * 500),
        ("min_similarity", "-1", -1.0),
        ("min_similarity", "1", 1.0),
        ("bucket", "b" * 1024, "b" * 1024),
        ("prefix", "2026/é ", "2026/é "),
    ],
)
def test_a_field_may_go_as_far_as_its_limit(name: str, value: str, expected: object) -> None:
    assert getattr(Scope.model_validate({name: value}), name) == expected


def test_a_scope_becomes_filters_as_the_database_names_them() -> None:
    scope = Scope.model_validate(
        {
            "limit": "3",
            "cursor": "c",
            "min_similarity": "0.25",
            "bucket": "photos",
            "prefix": "2026/",
            "since": "2026-01-02",
            "until": "2026-02-03T04:05:06+05:30",
        }
    )

    query = scope.of(Part(image_id=7))

    assert (query.parts, query.limit, query.cursor, query.min_similarity) == (
        (Part(image_id=7),),
        3,
        "c",
        0.25,
    )
    assert query.filters == {
        "bucket": "photos",
        "prefix": "2026/",
        "since": "2026-01-02T00:00:00+00:00",
        "until": "2026-02-03T04:05:06+05:30",
    }


def test_what_is_left_out_filters_nothing() -> None:
    query = Scope().of(Part(image_id=7))

    assert (query.limit, query.cursor, query.min_similarity, query.filters) == (20, None, None, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05-08:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(-timedelta(hours=8)))),
    ],
)
def test_a_time_without_a_zone_is_in_utc(text: str, expected: datetime) -> None:
    scope = Scope.model_validate({"since": text})

    assert scope.since == expected
    assert scope.since.utcoffset() == expected.utcoffset()


@pytest.mark.parametrize(
    "text", [_BASE64, f"data:image/png;base64,{_BASE64}", f"data:;base64,{_BASE64}"], ids=str
)
def test_a_picture_comes_in_base64_or_as_a_data_url(text: str) -> None:
    part = QueryPart.model_validate({"picture": text, "weight": -2}).part()

    assert part == Part(picture=_FILE, weight=-2)


@pytest.mark.parametrize(
    "text",
    ["", "data:image/png;base64,", f"data:image/png,{_BASE64}", "AA", "A A=", "AA==\n", "-_8=", "é", "😀"],
)
def test_a_picture_that_is_not_in_base64_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="picture"):
        QueryPart.model_validate({"picture": text})


@pytest.mark.parametrize("value", [7, None, ["AAAA"], {"a": 1}])
def test_a_picture_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        QueryPart.model_validate({"picture": value})


@pytest.mark.parametrize("image_id", [0, -1, MAX_ID + 1, "seven", 1.5])
def test_an_id_that_no_image_has_is_refused(image_id: object) -> None:
    with pytest.raises(ValidationError, match="image_id"):
        QueryPart.model_validate({"image_id": image_id})


def test_an_id_may_be_as_large_as_the_databases() -> None:
    assert QueryPart(image_id=MAX_ID).part() == Part(image_id=2**63 - 1)


@pytest.mark.parametrize("weight", [-100, -0.001, 0.001, 100])
def test_a_weight_is_any_sensible_number(weight: float) -> None:
    assert QueryPart(text="dog", weight=weight).part() == Part(text="dog", weight=weight)


@pytest.mark.parametrize("weight", [0, -100.1, 100.1, float("nan"), float("inf"), "much", None])
def test_a_weight_that_says_nothing_is_refused(weight: object) -> None:
    with pytest.raises(ValidationError, match="weight"):
        QueryPart.model_validate({"text": "dog", "weight": weight})


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"weight": 2},
        {"text": "dog", "image_id": 7},
        {"text": "dog", "picture": _BASE64},
        {"picture": _BASE64, "image_id": 7},
        {"text": "dog", "picture": _BASE64, "image_id": 7},
    ],
)
def test_a_part_is_exactly_one_thing(part: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="a part takes one of text, picture and image_id"):
        QueryPart.model_validate(part)


def test_a_body_asks_for_its_parts_in_their_order() -> None:
    body = SearchBody.model_validate(
        {"query": [{"text": " dog "}, {"image_id": 7, "weight": -1}, {"picture": _BASE64}], "limit": 3}
    )

    query = body.asked()

    assert query.parts == (Part(text="dog"), Part(image_id=7, weight=-1), Part(picture=_FILE))
    assert query.limit == 3


@pytest.mark.parametrize("count", [0, MAX_PARTS + 1])
def test_a_body_has_some_parts_and_not_too_many(count: int) -> None:
    with pytest.raises(ValidationError, match="query"):
        SearchBody.model_validate({"query": [{"text": "dog"}] * count})


def test_a_body_may_have_the_most_parts() -> None:
    assert len(SearchBody.model_validate({"query": [{"text": "dog"}] * MAX_PARTS}).asked().parts) == 16


@pytest.mark.parametrize(
    "body", [{"query": [{"text": "dog"}], "q": "dog"}, {"query": [{"text": "dog", "wait": 2}]}]
)
def test_a_misspelt_field_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        SearchBody.model_validate(body)


@pytest.mark.parametrize("name", ["", "n" * 1025, "a\0b", "\ud800"])
def test_a_name_that_no_object_has_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        NamedImage(bucket="photos", name=name)
    with pytest.raises(ValidationError):
        NamedImage(bucket=name, name="a.jpg")


def test_the_types_that_can_be_uploaded_are_those_that_are_read() -> None:
    assert set(get_args(PictureType)) == set(FORMATS.values())


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/jpeg", "jpg"),
        ("image/png", "png"),
        ("image/gif", "gif"),
        ("image/bmp", "bmp"),
        ("image/tiff", "tif"),
        ("image/webp", "webp"),
        ("image/avif", "avif"),
        ("image/heic", "heic"),
        ("image/heif", "heif"),
    ],
)
def test_a_file_has_the_extension_of_its_type(content_type: str, extension: str) -> None:
    body = UploadBody.model_validate({"bucket": "photos", "content_type": content_type})

    assert body.extension == extension


@pytest.mark.parametrize("content_type", ["image/svg+xml", "IMAGE/JPEG", "image/jpeg; a=b", "text/html", ""])
def test_a_type_that_is_not_read_is_not_uploaded(content_type: str) -> None:
    with pytest.raises(ValidationError, match="content_type"):
        UploadBody.model_validate({"bucket": "photos", "content_type": content_type})
