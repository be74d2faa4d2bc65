"""Work that goes on beside a request: what it came to, and that nobody waits for it too long."""

import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from shared.admitting import Counted, Refused
from shared.beside import outcome, start
from shared.errors import InputError, PixseekError, RateLimited, Unavailable


@dataclass
class Counter:
    """Counts as it is told."""

    wait_s: float = 0.0
    fault: PixseekError | None = None
    let_go: threading.Event | None = None
    was_asked: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, int, float]] = field(default_factory=list)

    def count_request(self, caller: str, *, per_minute: int, deadline: float = math.inf) -> float:
        self.asked.append((caller, per_minute, deadline))
        self.was_asked.set()
        assert self.let_go is None or self.let_go.wait(60)
        if self.fault:
            raise self.fault
        return self.wait_s


class LateFuture(Future[str]):
    """Has its result just when nobody wants to wait any longer."""

    def result(self, timeout: float | None = None) -> str:
        if not self.done():
            self.set_result("late")
            raise TimeoutError
        return super().result(timeout)


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def _raise(error: BaseException) -> None:
    raise error


def _counted(counter: Counter, deadline: float = math.inf) -> Counted:
    return Counted(counter, "user 1", per_minute=5, deadline=deadline, refused=Refused())


def test_an_outcome_is_what_the_work_came_to() -> None:
    assert outcome(start(lambda: 42), deadline=time.monotonic() + 60, of="the answer") == 42


def test_work_is_done_in_a_thread_of_its_own() -> None:
    assert outcome(start(threading.get_ident), deadline=math.inf, of="it") != threading.get_ident()


def test_an_outcome_without_a_deadline_is_waited_for(let_go: threading.Event) -> None:
    begun = start(lambda: let_go.wait(60))
    threading.Timer(0.01, let_go.set).start()

    assert outcome(begun, deadline=math.inf, of="the answer") is True


@pytest.mark.parametrize("error", [InputError("wrong"), TimeoutError("of its own")])
def test_an_error_of_the_work_is_raised_as_it_is(error: Exception) -> None:
    begun = start(lambda: _raise(error))

    with pytest.raises(type(error)) as caught:
        outcome(begun, deadline=time.monotonic() + 60, of="the answer")

    assert caught.value is error


@pytest.mark.parametrize("deadline", [0.0, -math.inf], ids=["passed", "long passed"])
def test_an_outcome_later_than_the_deadline_is_an_outage(let_go: threading.Event, deadline: float) -> None:
    begun = start(lambda: let_go.wait(60))

    with pytest.raises(Unavailable, match="the answer did not come in time"):
        outcome(begun, deadline=deadline, of="the answer")


def test_an_outcome_at_the_last_moment_counts() -> None:
    assert outcome(LateFuture(), deadline=0, of="the answer") == "late"


def test_a_request_is_counted_at_once_and_with_its_deadline() -> None:
    counter = Counter()

    _counted(counter, 1e9)

    assert counter.was_asked.wait(60)
    assert counter.asked == [("user 1", 5, 1e9)]


def test_a_request_that_may_be_answered_is_let_in() -> None:
    counter = Counter(wait_s=0)

    _counted(counter).wait()

    assert len(counter.asked) == 1


def test_a_request_is_counted_once_however_often_it_is_waited_for() -> None:
    counter = Counter()
    counted = _counted(counter)

    counted.wait()
    counted.wait()

    assert len(counter.asked) == 1


def test_a_request_too_many_is_told_when_the_next_one_is_free() -> None:
    with pytest.raises(RateLimited) as caught:
        _counted(Counter(wait_s=2.5)).wait()

    assert caught.value.wait_s == 2.5


def test_a_request_that_cannot_be_counted_is_not_answered() -> None:
    with pytest.raises(Unavailable, match="no database"):
        _counted(Counter(fault=Unavailable("no database"))).wait()


def test_a_count_that_hangs_ends_with_the_deadline(let_go: threading.Event) -> None:
    with pytest.raises(Unavailable, match="the count of requests did not come in time"):
        _counted(Counter(let_go=let_go), deadline=0).wait()


def test_who_was_told_to_wait_is_not_counted_again_before() -> None:
    now = [100.0]
    refused = Refused(lambda: now[0])
    refused.keep("user 1", 20)

    with pytest.raises(RateLimited) as at_once:
        refused.check("user 1")
    refused.check("user 2")
    now[0] = 120.0
    refused.check("user 1")

    assert at_once.value.wait_s == 20
