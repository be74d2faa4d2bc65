"""A search and the active model: which one embeds and is searched in, and what a switch meanwhile does."""

from dataclasses import replace
from typing import Final

import pytest

from shared.embedders import ConfiguredEmbedders
from shared.errors import InputError, PixseekError, RateLimited, SettingsError, Unavailable
from shared.hits import Part
from tests.picture_files import encoded, halves
from tests.unit.search_ports import MODEL, AskedEmbedder, Ports

_OLD: Final = MODEL.name
_NEW: Final = "tests/new model"
_PICTURE: Final = encoded(halves())


class Switchable(Ports):
    """A deployment with two embedders. The database is asked for the active model before each search."""

    def __init__(self) -> None:
        super().__init__()
        self.active = _OLD
        self.fault: PixseekError | None = None
        self.new = AskedEmbedder(self.log, of=replace(MODEL, name=_NEW))
        clock = iter(range(0, 10_000, 31))
        self.embedders = ConfiguredEmbedders(
            [lambda: self.embedder, lambda: self.new], self._ask, clock=lambda: next(clock)
        )

    def _ask(self, deadline: float) -> str:  # noqa: ARG002
        if self.fault:
            raise self.fault
        return self.active

    def switch(self) -> None:
        self.active = _NEW

    @property
    def searched(self) -> list[str]:
        """In which models."""
        return [act.removeprefix("search ") for act in self.log if act.startswith("search ")]


@pytest.fixture
def ports() -> Switchable:
    return Switchable()


def test_a_search_embeds_and_searches_in_the_active_model(ports: Switchable) -> None:
    ports.switch()

    found = ports.search(Part(text="cat"))

    assert (found.model, ports.searched) == (_NEW, [_NEW, _NEW])
    assert (ports.new.texts, ports.embedder.texts) == ([["cat"]], [])
    assert ports.memory.models == [_NEW]


def test_a_search_that_began_before_a_switch_ends_in_the_model_that_its_query_was_embedded_with(
    ports: Switchable,
) -> None:
    ports.embedder.meet = ports.switch

    found = ports.search(Part(text="cat"))

    assert (found.model, ports.searched) == (_OLD, [_OLD, _OLD])
    assert (ports.embedder.texts, ports.new.texts, ports.memory.models) == ([["cat"]], [], [_OLD])


def test_the_next_search_after_a_switch_is_in_the_new_model(ports: Switchable) -> None:
    before = ports.search(Part(text="cat"))
    ports.switch()

    after = ports.search(Part(text="cat"))

    assert (before.model, after.model) == (_OLD, _NEW)
    assert ports.searched == [_OLD, _OLD, _NEW, _NEW]


@pytest.mark.parametrize("part", [Part(text="cat"), Part(picture=_PICTURE)], ids=["text", "picture"])
def test_the_pages_of_a_search_stay_in_its_model(ports: Switchable, part: Part) -> None:
    ports.switch()

    found = ports.search(part, cursor="of the old model")

    assert found.model == _OLD
    assert set(ports.searched) == {_OLD}
    assert (ports.new.texts, ports.new.views) == ([], [])


def test_a_search_goes_on_in_the_model_that_was_active_while_the_database_does_not_tell(
    ports: Switchable,
) -> None:
    ports.search(Part(text="cat"))
    ports.fault = Unavailable("no database")

    found = ports.search(Part(text="cat"))

    assert found.model == _OLD


def test_a_cursor_is_asked_about_until_the_deadline(ports: Switchable) -> None:
    ports.search(Part(text="cat"), cursor="c", deadline=1e9)

    assert ports.log[0] == "model of c"
    assert ports.index.deadlines == [1e9] * 3


def test_a_cursor_of_a_model_that_is_gone_is_refused_and_counts_as_a_request(ports: Switchable) -> None:
    ports.index.of_cursors = InputError("the model of this search is no longer there")

    with pytest.raises(InputError, match="no longer there"):
        ports.search(Part(text="cat"), cursor="c")

    assert ports.log == ["model of c", "admission"]


def test_who_sends_wrong_cursors_too_often_is_not_even_told_that_they_are(ports: Switchable) -> None:
    ports.index.of_cursors = InputError("no cursor")
    ports.admission.refusal = RateLimited(3)

    with pytest.raises(RateLimited):
        ports.search(Part(text="cat"), cursor="c")


def test_a_cursor_of_a_model_that_has_no_embedder_any_more_is_its_callers_to_leave(ports: Switchable) -> None:
    ports.index.of_cursors = "tests/oldest model"

    with pytest.raises(InputError, match="start again without a cursor"):
        ports.search(Part(text="cat"), cursor="c")

    assert ports.log == ["model of c", "admission"]


def test_an_active_model_that_has_no_embedder_is_its_operators_to_mend(ports: Switchable) -> None:
    ports.active = "tests/third model"

    with pytest.raises(SettingsError, match="no embedder is configured here for model tests/third model"):
        ports.search(Part(text="cat"))

    assert ports.searched == []


def test_texts_that_are_asked_are_counted_as_the_memory_knows_them(ports: Switchable) -> None:
    ports.index.remembered = frozenset({"a dog"})

    ports.search(Part(text=" a  dog "), Part(picture=_PICTURE), Part(text="猫"), Part(text="snow", weight=-1))

    assert ports.memory.asked == ["a dog", "猫", "snow"]


def test_another_page_is_no_other_question(ports: Switchable) -> None:
    ports.search(Part(text="cat"), cursor="c")

    assert ports.memory.asked == []


def test_what_is_refused_is_not_counted_as_asked(ports: Switchable) -> None:
    ports.index.fault = InputError("no such bucket")

    with pytest.raises(InputError, match="no such bucket"):
        ports.search(Part(text="cat"))

    assert ports.memory.asked == []
