"""The questions that the offline embedder is measured with."""

from collections import Counter

import pytest
from pydantic import ValidationError

from benchmarks.eval import QuerySet, load_queries

_SMALL = {
    "about": "A set for tests.",
    "aliases": {"cat": ["chelsea", "tabby"], "pyramid": ["redPyramid"]},
    "queries": [
        {"subject": "cat", "en": ["a cat", "a kitten"], "zh": ["猫"]},
        {"subject": "pyramid", "en": ["a pyramid"], "zh": ["金字塔"]},
    ],
    "not_asked": {"rangGhar": "few can name it"},
}


@pytest.fixture(scope="module")
def queries() -> QuerySet:
    return load_queries()


def test_the_query_set_asks_in_both_languages(queries: QuerySet) -> None:
    assert {language for language, _, _ in queries.asked()} == {"en", "zh"}


def test_no_question_is_blank(queries: QuerySet) -> None:
    assert [text for _, _, text in queries.asked() if not text.strip() or text != text.strip()] == []


def test_no_subject_is_both_asked_and_not_asked(queries: QuerySet) -> None:
    assert {entry.subject for entry in queries.queries} & set(queries.not_asked) == set()


def test_every_subject_has_one_entry(queries: QuerySet) -> None:
    counts = Counter(entry.subject for entry in queries.queries)

    assert [subject for subject, count in counts.items() if count > 1] == []


def test_whatever_is_not_asked_has_its_reason(queries: QuerySet) -> None:
    assert [subject for subject, reason in queries.not_asked.items() if not reason.strip()] == []


def test_another_name_belongs_to_one_subject_and_is_none_itself(queries: QuerySet) -> None:
    names = [name for others in queries.aliases.values() for name in others]

    assert len(names) == len(set(names))
    assert set(names) & ({entry.subject for entry in queries.queries} | set(queries.not_asked)) == set()


def test_other_names_are_of_subjects_that_are_asked_or_not_asked(queries: QuerySet) -> None:
    known = {entry.subject for entry in queries.queries} | set(queries.not_asked)

    assert set(queries.aliases) <= known


@pytest.mark.parametrize(
    ("photograph", "subject"),
    [
        ("animals/cat.webp", "cat"),
        ("cat.webp", "cat"),
        ("animals/cat12.webp", "cat"),
        ("animals/cat_3.webp", "cat"),
        ("animals/cat-3.webp", "cat"),
        ("packaged/chelsea.png", "cat"),
        ("packaged/chelsea2.png", "cat"),
        ("a/tabby_01.jpg", "cat"),
        ("monuments/egypt/redPyramid7.webp", "pyramid"),
        ("animals/polar_bear.webp", "polar_bear"),
        ("animals/polar_bear_2.webp", "polar_bear"),
        ("cat1/dog.webp", "dog"),
        ("catfish.webp", "catfish"),
    ],
)
def test_a_subject_is_the_files_name_without_its_number_whatever_else_it_is_called(
    photograph: str, subject: str
) -> None:
    assert QuerySet.model_validate(_SMALL).subject_of(photograph) == subject


def test_every_question_is_asked_with_its_language_and_subject() -> None:
    assert list(QuerySet.model_validate(_SMALL).asked()) == [
        ("en", "cat", "a cat"),
        ("en", "cat", "a kitten"),
        ("zh", "cat", "猫"),
        ("en", "pyramid", "a pyramid"),
        ("zh", "pyramid", "金字塔"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"subject": "cat", "en": [], "zh": ["猫"]},
        {"subject": "cat", "en": ["a cat"], "zh": []},
        {"subject": "cat", "en": ["a cat"]},
        {"subject": "cat", "en": ["a cat"], "zh": ["猫"], "de": ["eine Katze"]},
    ],
    ids=["no English", "no Chinese", "Chinese left out", "a language too many"],
)
def test_a_subject_without_a_question_in_each_language_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QuerySet.model_validate({**_SMALL, "queries": [entry]})
