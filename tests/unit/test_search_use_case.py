"""A search among ports that do as they are told: what it asks the model, and what it does not wait for."""

import threading
from collections.abc import Iterator

import pytest

from shared import searching
from shared.errors import Unavailable
from shared.hits import Links, Part
from tests.unit.search_ports import HIT, Ports

_LINKS = [Links("https://photos/a.jpg", None)]


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def hanging(ports: Ports) -> Iterator[Ports]:
    """Its memory answers nothing until it is let go."""
    ports.memory.let_go = threading.Event()
    yield ports
    ports.memory.let_go.set()


def test_a_text_is_embedded_and_remembered_as_the_memory_knows_it(ports: Ports) -> None:
    ports.search(Part(text="  \uff43\uff41\uff54  \ufb01t "))

    assert ports.embedder.texts == [["cat fit"]]
    assert ports.memory.remembered == {"cat fit": [7.0, 0.0]}


def test_a_remembered_text_costs_no_call_and_counts_as_spared(ports: Ports) -> None:
    ports.index.remembered = frozenset({"cat"})

    found = ports.search(Part(text="cat"))

    assert found.page.hits == (HIT,)
    assert len(ports.index.queries) == 1
    assert (ports.embedder.texts, ports.memory.remembered, ports.memory.spared) == ([], {}, 1)


def test_a_text_in_letters_that_the_model_cannot_read_is_embedded_anew_and_not_remembered(
    ports: Ports,
) -> None:
    ports.index.remembered = frozenset({"猫"})

    found = ports.search(Part(text="猫"))

    assert "Chinese letters" in found.warnings[0]
    assert "tests/model was trained on other languages (en)" in found.warnings[0]
    assert (ports.embedder.texts, ports.memory.remembered, ports.memory.spared) == ([["猫"]], {}, 0)


def test_nobody_waits_for_a_memory_that_hangs(hanging: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_NOTING_S", 0.01)

    found = hanging.search(Part(text="cat"))

    assert found.links == _LINKS
    assert hanging.memory.remembered == {}
    assert "did not note the query" in str(found.memory_error)


def test_an_answer_is_as_good_when_the_memory_fails(ports: Ports) -> None:
    ports.memory.fault = Unavailable("no database")

    found = ports.search(Part(text="cat"))

    assert found.links == _LINKS
    assert str(found.memory_error) == "no database"


def test_a_memory_that_answers_meets_no_error(ports: Ports) -> None:
    assert ports.search(Part(text="cat")).memory_error is None


def test_nothing_relevant_is_said_with_the_floor_of_the_model(ports: Ports) -> None:
    ports.index.hits = ()

    found = ports.search(Part(text="cat"))

    assert found.warnings == [
        "nothing relevant: no picture that you may see has a similarity of 0.2 or more."
    ]


def test_nothing_relevant_is_said_with_the_least_similarity_that_was_asked_for(ports: Ports) -> None:
    ports.index.hits = ()

    found = ports.search(Part(text="cat"), min_similarity=0.0)

    assert found.warnings == ["nothing relevant: no picture that you may see has a similarity of 0 or more."]


def test_a_page_without_hits_after_others_is_only_the_end(ports: Ports) -> None:
    ports.index.hits = ()

    assert ports.search(Part(text="cat"), cursor="c").warnings == []


def test_a_page_with_hits_needs_no_warning(ports: Ports) -> None:
    assert ports.search(Part(text="cat")).warnings == []


def test_each_foreign_script_is_warned_of_once(ports: Ports) -> None:
    found = ports.search(Part(text="猫"), Part(text="狗"), Part(text="кот"))

    assert [warning.split()[3] for warning in found.warnings] == ["Chinese", "Cyrillic"]


def test_the_ports_are_asked_with_the_callers_token_and_deadline(ports: Ports) -> None:
    deadline = 1e9

    ports.search(Part(text="cat"), deadline=deadline)

    assert ports.index.tokens == ["t", "t"]
    assert ports.index.deadlines == [deadline, deadline]
    assert ports.embedder.deadlines == [deadline]
