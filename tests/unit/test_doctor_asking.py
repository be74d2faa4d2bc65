"""What a deployment is asked, it is asked once, by whichever check comes first."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest

from infra.doctor.asking import asked_once
from infra.doctor.findings import CannotTell, FunctionMissing

_PATIENCE_S = 0.2
"""How long the first that asks waits for another to ask as well."""


class _Asked:
    def __init__(self) -> None:
        self.times = 0
        self._together = Barrier(2, timeout=_PATIENCE_S)

    @asked_once
    def answer(self) -> int:
        self.times += 1
        with suppress(BrokenBarrierError):
            self._together.wait()
        return self.times

    @asked_once
    def refusal(self) -> int:
        self.times += 1
        raise FunctionMissing("it is not there", "make it", "here")


def test_threads_wait_for_the_one_that_asks() -> None:
    asked = _Asked()

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda one: one.answer, [asked, asked]))

    assert answers == [1, 1]
    assert asked.times == 1


def test_each_deployment_is_asked_by_itself() -> None:
    first, second = _Asked(), _Asked()

    assert (first.answer, second.answer) == (1, 1)
    assert (first.times, second.times) == (1, 1)


def test_a_refusal_is_kept_and_raised_anew() -> None:
    asked = _Asked()

    with pytest.raises(CannotTell) as before:
        _ = asked.refusal
    with pytest.raises(FunctionMissing) as after:
        _ = asked.refusal

    assert asked.times == 1
    assert after.value is not before.value
    assert (after.value.why, after.value.mend, after.value.name) == ("it is not there", "make it", "here")
