"""One wrong item does not cost the others of its call their answers."""

from collections.abc import Callable, Sequence

import pytest

from shared.batching import each, in_batches
from shared.errors import (
    AccessDenied,
    InputError,
    NotNow,
    ObjectRefused,
    PixseekError,
    SettingsError,
    Unavailable,
)


def _refusing(
    wrong: int, error: PixseekError, calls: list[list[int]]
) -> Callable[[Sequence[int]], Sequence[str]]:
    def call(items: Sequence[int]) -> Sequence[str]:
        calls.append(list(items))
        if wrong in items:
            raise error
        return [str(item) for item in items]

    return call


def test_items_come_some_at_a_time() -> None:
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_what_is_not_refused_takes_one_call() -> None:
    calls: list[list[int]] = []

    assert each([1, 2], _refusing(9, InputError(), calls)) == [(1, "1"), (2, "2")]
    assert calls == [[1, 2]]


def test_nothing_takes_no_call() -> None:
    calls: list[list[int]] = []

    assert each([], _refusing(9, InputError(), calls)) == []
    assert calls == []


@pytest.mark.parametrize("error", [InputError("a name"), ObjectRefused("no right")])
def test_what_refuses_one_answers_the_others(error: PixseekError) -> None:
    calls: list[list[int]] = []

    answers = each(range(8), _refusing(5, error, calls))

    assert [item for item, _ in answers] == list(range(8))
    assert answers[5] == (5, error)
    assert [answer for _, answer in answers if answer is not error] == ["0", "1", "2", "3", "4", "6", "7"]
    assert len(calls) == 7


@pytest.mark.parametrize("error", [Unavailable(), SettingsError(), NotNow(), AccessDenied()])
def test_what_is_no_items_fault_is_raised_at_once(error: PixseekError) -> None:
    calls: list[list[int]] = []

    with pytest.raises(type(error)):
        each(range(8), _refusing(5, error, calls))

    assert len(calls) == 1
