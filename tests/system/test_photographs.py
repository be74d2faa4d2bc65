"""Debian's photographs, and whether the query set knows them."""

from benchmarks.eval import load_queries
from infra.cli.pictures import object_name
from infra.photographs import Photograph


def test_debian_has_more_than_two_hundred(debian: list[Photograph]) -> None:
    assert len(debian) > 200


def test_each_has_a_name_of_its_own_that_storage_takes(pool: list[Photograph]) -> None:
    names = [photograph.name for photograph in pool]

    assert len(set(names)) == len(names)
    assert [object_name(name) for name in names] == names


def test_every_subject_is_asked_for_or_listed_as_not_asked(pool: list[Photograph]) -> None:
    queries = load_queries()

    known = {entry.subject for entry in queries.queries} | set(queries.not_asked)

    assert {queries.subject_of(photograph.name) for photograph in pool} - known == set()


def test_whatever_is_asked_for_or_listed_has_a_photograph(pool: list[Photograph]) -> None:
    queries = load_queries()

    known = {entry.subject for entry in queries.queries} | set(queries.not_asked)

    assert known - {queries.subject_of(photograph.name) for photograph in pool} == set()
