"""Permits of the spend guard, on a clock that moves only when somebody sleeps."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from shared.errors import OverBudget, Unavailable
from shared.models import Granted
from shared.permits import Permits, Unlimited

_FREES_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_NONE_LEFT = Granted([], None, _FREES_AT)


class Clock:
    """Seconds since some moment."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Guard:
    """Grants what it is told to, one answer after the other, and keeps what it was asked."""

    def __init__(self, *answers: Granted) -> None:
        self.asked: list[tuple[int, float]] = []
        self.unused: list[int] = []
        self._answers = list(answers)

    def take(self, count: int, max_wait_s: float, unused: int) -> Granted:
        self.asked.append((count, max_wait_s))
        self.unused.append(unused)
        return self._answers.pop(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def permits_of(clock: Clock) -> Callable[[Guard], Permits]:
    return lambda guard: Permits(guard.take, clock=clock, sleep=clock.sleep)


def _granted(*waits_s: float, valid_s: float | None = None) -> Granted:
    return Granted(waits_s, valid_s, None)


def _acquire(permits: Permits, times: int, *, deadline: float = math.inf) -> None:
    for _ in range(times):
        permits.acquire(deadline=deadline)


class TestPermits:
    def test_that_came_with_a_batch_cost_no_question(
        self, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard()
        permits = permits_of(guard)
        permits.add(_granted(0.0))

        permits.acquire(deadline=math.inf)

        assert guard.asked == []
        assert clock.slept == [0.0]

    def test_are_used_soonest_first(self, clock: Clock, permits_of: Callable[[Guard], Permits]) -> None:
        permits = permits_of(Guard())
        permits.add(_granted(3.0, 5.0))
        permits.add(_granted(1.0))

        _acquire(permits, 3)

        assert clock.slept == [1.0, 2.0, 2.0]

    def test_are_taken_when_there_are_none_left(
        self, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard(_granted(0.5), _granted(2.0))
        permits = permits_of(guard)

        _acquire(permits, 2, deadline=clock.now + 4.0)

        assert guard.asked == [(1, 4.0), (1, 3.5)]
        assert clock.slept == [0.5, 2.0]

    def test_are_asked_for_without_a_limit_when_there_is_no_deadline(
        self, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard(_granted(0.0))

        permits_of(guard).acquire(deadline=math.inf)

        assert guard.asked == [(1, math.inf)]

    def test_count_from_the_answer_not_from_the_question(self, clock: Clock) -> None:
        def slow_take(*_: float) -> Granted:
            clock.now += 7.0
            return _granted(1.0)

        Permits(slow_take, clock=clock, sleep=clock.sleep).acquire(deadline=math.inf)

        assert clock.slept == [1.0]

    def test_that_are_more_than_was_asked_for_are_kept(
        self, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard(_granted(0.0, 1.0))
        permits = permits_of(guard)

        _acquire(permits, 2)

        assert len(guard.asked) == 1
        assert clock.slept == [0.0, 1.0]

    @pytest.mark.parametrize(("later_s", "questions"), [(12.0, 0), (12.5, 1)], ids=["just in time", "late"])
    def test_are_dropped_when_they_are_not_valid_any_more(
        self, later_s: float, questions: int, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard(_granted(0.0))
        permits = permits_of(guard)
        permits.add(_granted(1.0, 2.0, valid_s=10.0))

        clock.now += later_s
        permits.acquire(deadline=math.inf)

        assert len(guard.asked) == questions
        assert clock.slept == [0.0]

    def test_that_were_dropped_are_told_to_the_guard_once(
        self, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard(_granted(0.0), _granted(0.0))
        permits = permits_of(guard)
        permits.add(_granted(0.0, 1.0, valid_s=2.0))

        clock.now += 60
        _acquire(permits, 2)

        assert guard.unused == [2, 0]

    def test_that_a_thread_woke_too_late_for_are_told_to_the_guard(self, clock: Clock) -> None:
        def oversleep(seconds: float) -> None:
            clock.now += 5 * seconds

        guard = Guard(_granted(1.0, valid_s=0.5), _granted(0.0, valid_s=0.5))

        Permits(guard.take, clock=clock, sleep=oversleep).acquire(deadline=math.inf)

        assert guard.unused == [0, 1]

    def test_without_an_end_stay_valid(self, clock: Clock, permits_of: Callable[[Guard], Permits]) -> None:
        guard = Guard()
        permits = permits_of(guard)
        permits.add(_granted(0.0, valid_s=None))

        clock.now += 86_400
        permits.acquire(deadline=math.inf)

        assert guard.asked == []


class TestOverBudget:
    def test_tells_when_calls_are_free_again(
        self, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        with pytest.raises(OverBudget, match="before 2026-01-02 03:04:05 UTC") as raised:
            permits_of(Guard(_NONE_LEFT)).acquire(deadline=math.inf)

        assert raised.value.frees_at == _FREES_AT
        assert clock.slept == []

    def test_lets_the_next_one_ask_again(self, permits_of: Callable[[Guard], Permits]) -> None:
        guard = Guard(_NONE_LEFT, _granted(0.0))
        permits = permits_of(guard)
        with pytest.raises(OverBudget):
            permits.acquire(deadline=math.inf)

        permits.acquire(deadline=math.inf)

        assert [count for count, _ in guard.asked] == [1, 1]

    def test_is_what_a_permit_after_the_deadline_means_and_leaves_it_to_others(
        self, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard()
        permits = permits_of(guard)
        permits.add(_granted(5.0))
        with pytest.raises(OverBudget, match="within the time that is left") as raised:
            permits.acquire(deadline=clock.now + 4.0)

        permits.acquire(deadline=clock.now + 5.0)

        assert raised.value.frees_at is None
        assert guard.asked == []
        assert clock.slept == [5.0]

    def test_is_what_a_deadline_that_has_passed_means(
        self, clock: Clock, permits_of: Callable[[Guard], Permits]
    ) -> None:
        guard = Guard(_granted(0.0))
        permits = permits_of(guard)

        with pytest.raises(OverBudget):
            permits.acquire(deadline=clock.now - 1.0)

        assert guard.asked == [(1, 0.0)]
        assert clock.slept == []


class TestThreads:
    def test_that_wait_together_get_their_permits_from_one_question(
        self, permits_of: Callable[[Guard], Permits]
    ) -> None:
        first_asked, all_wait = threading.Event(), threading.Event()

        class SlowGuard(Guard):
            def take(self, count: int, max_wait_s: float, unused: int) -> Granted:
                granted = super().take(count, max_wait_s, unused)
                first_asked.set()
                assert all_wait.wait(30)
                return granted

        guard = SlowGuard(_granted(0.0), _granted(*[0.0] * 7))
        permits = permits_of(guard)

        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(permits.acquire, deadline=math.inf)]
            assert first_asked.wait(30)
            calls += [pool.submit(permits.acquire, deadline=math.inf) for _ in range(7)]
            _until(lambda: permits._waiting == 8)
            all_wait.set()
            results = [call.result(30) for call in calls]

        assert len(results) == 8
        assert [count for count, _ in guard.asked] == [1, 7]

    def test_sleep_beside_each_other(self) -> None:
        together = threading.Barrier(4, timeout=30)

        def sleep(_seconds: float) -> None:
            together.wait()

        permits = Permits(Guard().take, sleep=sleep)
        permits.add(_granted(60.0, 60.0, 60.0, 60.0))

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(permits.acquire, deadline=math.inf) for _ in range(4)]

        assert [call.exception() for call in calls] == [None] * 4

    def test_are_not_counted_any_more_when_the_guard_does_not_answer(self, clock: Clock) -> None:
        asked: list[int] = []

        def failing_take(count: int, *_: float) -> Granted:
            asked.append(count)
            raise Unavailable("no database")

        permits = Permits(failing_take, clock=clock, sleep=clock.sleep)
        with pytest.raises(Unavailable, match="no database"):
            permits.acquire(deadline=math.inf)
        with pytest.raises(Unavailable, match="no database"):
            permits.acquire(deadline=math.inf)

        assert asked == [1, 1]

    def test_never_ask_for_more_than_the_guard_gives_at_once(
        self, monkeypatch: pytest.MonkeyPatch, permits_of: Callable[[Guard], Permits]
    ) -> None:
        monkeypatch.setattr("shared.permits._MOST_AT_ONCE", 3)
        guard = Guard(_granted(0.0))
        permits = permits_of(guard)
        permits._waiting = 9

        permits.acquire(deadline=math.inf)

        assert [count for count, _ in guard.asked] == [3]


def test_a_model_that_costs_nothing_may_be_called_at_once() -> None:
    Unlimited().acquire(deadline=-math.inf)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.001)
