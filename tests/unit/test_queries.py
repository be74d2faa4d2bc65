import pytest
from pydantic import ValidationError

from shared.queries import MAX_CHARACTERS, MAX_RESULTS, SearchQuery


def test_a_sentence_is_searched_as_written_without_the_space_around_it() -> None:
    query = SearchQuery(q="  A dog,  安全帽 ")

    assert query.q == "A dog,  安全帽"
    assert query.limit == 20


@pytest.mark.parametrize("text", ["", "   ", "\t\n", "a" * (MAX_CHARACTERS + 1), "a" * 10_000, "a\0b"])
def test_a_text_that_cannot_be_searched_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        SearchQuery(q=text)


@pytest.mark.parametrize("limit", ["0", "-1", "1000000000", "ten", "", "1.5"])
def test_a_limit_that_is_no_sensible_number_is_refused(limit: str) -> None:
    with pytest.raises(ValidationError):
        SearchQuery.model_validate({"q": "dog", "limit": limit})


@pytest.mark.parametrize("limit", ["1", str(MAX_RESULTS)])
def test_a_limit_comes_as_text(limit: str) -> None:
    query = SearchQuery.model_validate({"q": "dog", "limit": limit})

    assert query.limit == int(limit)
