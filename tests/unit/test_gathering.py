"""Calls of many threads are answered together, and each gets its own answer."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.gathering import Gathered


class _Answering:
    """Doubles numbers, batch by batch, each batch only when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.release()
        assert self.let.acquire(timeout=30)
        return [2 * number for number in numbers]


def test_a_lone_call_is_answered_at_once() -> None:
    answering = _Answering()
    answering.let.release()
    gathered = Gathered(answering, most=10, at_once=1)

    answer = gathered(21)

    assert answer == 42
    assert answering.batches == [[21]]


def test_calls_that_come_meanwhile_are_answered_together_and_no_more_than_the_most() -> None:
    answering = _Answering()
    gathered = Gathered(answering, most=3, at_once=1)

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(gathered, 0)
        assert answering.begun.acquire(timeout=30)
        others = [threads.submit(gathered, number) for number in range(1, 6)]
        _wait_until_waiting(gathered, 5)
        answering.let.release(6)

    assert [future.result() for future in (first, *others)] == [0, 2, 4, 6, 8, 10]
    assert [len(batch) for batch in answering.batches] == [1, 3, 2]


def test_two_batches_run_side_by_side_when_they_may() -> None:
    answering = _Answering()
    gathered = Gathered(answering, most=1, at_once=2)

    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(gathered, number) for number in (1, 2)]
        both_begun = [answering.begun.acquire(timeout=30) for _ in range(2)]
        answering.let.release(2)

    assert both_begun == [True, True]
    assert sorted(future.result() for future in futures) == [2, 4]


def test_what_the_answering_raises_reaches_all_that_called_and_none_after_them() -> None:
    asked: list[int] = []

    def answer(numbers: Sequence[int]) -> list[int]:
        asked.extend(numbers)
        return [7 // (len(asked) - 1)]

    gathered = Gathered(answer, most=1, at_once=1)

    with pytest.raises(ZeroDivisionError):
        gathered(1)
    assert gathered(1) == 7


def _wait_until_waiting(gathered: Gathered[int, int], count: int) -> None:
    waiting = threading.Event()
    for _ in range(3000):
        if len(gathered._waiting) == count:
            return
        waiting.wait(0.01)
    raise AssertionError("they never came")
