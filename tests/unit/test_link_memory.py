"""Links that were made a while ago."""

from dataclasses import dataclass

import pytest

from shared.models import ObjectRef
from shared.storage.links import LinkMemory

_CAT = ObjectRef("photos", "cat.jpg")
_DOG = ObjectRef("photos", "dog.jpg")


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_caller_gets_the_same_link_again(clock: Clock) -> None:
    memory = LinkMemory(100, clock=clock)

    memory.keep({_CAT: "https://cat", _DOG: None}, "ann")

    assert memory.known([_CAT, _DOG], "ann") == {_CAT: "https://cat"}


@pytest.mark.parametrize("other", ["bob", None])
def test_a_link_is_its_callers_alone(other: str | None, clock: Clock) -> None:
    memory = LinkMemory(100, clock=clock)

    memory.keep({_CAT: "https://cat"}, "ann")

    assert memory.known([_CAT], other) == {}


@pytest.mark.parametrize(("expires_s", "kept_s"), [(100, 25), (604_800, 600)])
def test_a_link_is_given_out_while_most_of_its_time_is_left(
    expires_s: int, kept_s: float, clock: Clock
) -> None:
    memory = LinkMemory(expires_s, clock=clock)
    memory.keep({_CAT: "https://cat"}, None)

    clock.now_s = kept_s - 0.1
    before = memory.known([_CAT], None)
    clock.now_s = kept_s

    assert (before, memory.known([_CAT], None)) == ({_CAT: "https://cat"}, {})


def test_the_oldest_links_are_forgotten_first(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.storage.links._MOST_KEPT", 1)
    memory = LinkMemory(100, clock=clock)

    memory.keep({_CAT: "https://cat"}, None)
    memory.keep({_DOG: "https://dog"}, None)

    assert memory.known([_CAT, _DOG], None) == {_DOG: "https://dog"}
