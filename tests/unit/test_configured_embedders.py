"""Which embedder serves, and how soon a process follows a switch of the model."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from shared.embedders import ConfiguredEmbedders
from shared.embedding.offline import OfflineEmbedder
from shared.errors import SettingsError, Unavailable
from shared.models import Lane
from shared.ports import Embedder
from shared.settings import parse_settings
from shared.wiring import build_adapters
from tests.unit.search_ports import MODEL, AskedEmbedder

_NEW: Final = "tests/new model"
_OLD: Final = MODEL.name
_HOSTED: Final = "openai/clip-vit-large-patch14"
_PATIENCE_S: Final = 30
_OUTAGE: Final = Unavailable("no database")


@dataclass
class Builders:
    """Of an embedder each; they keep which were built."""

    built: list[str] = field(default_factory=list)
    fault: Exception | None = None

    def of(self, *models: str) -> list[Callable[[], Embedder]]:
        return [self._of(model) for model in models]

    def _of(self, model: str) -> Callable[[], Embedder]:
        def build() -> Embedder:
            if self.fault:
                raise self.fault
            self.built.append(model)
            return AskedEmbedder(of=replace(MODEL, name=model))

        return build


@dataclass
class Database:
    """Tells the active model, at a time that stands still."""

    active: str = _OLD
    fault: Exception | None = None
    deadlines: list[float] = field(default_factory=list)
    let_go: threading.Event | None = None
    """It hangs until then."""
    asking: threading.Event = field(default_factory=threading.Event)
    now: float = 1000.0

    def __call__(self, deadline: float) -> str:
        self.deadlines.append(deadline)
        active, fault = self.active, self.fault
        self.asking.set()
        assert self.let_go is None or self.let_go.wait(_PATIENCE_S)
        if fault:
            raise fault
        return active

    def clock(self) -> float:
        return self.now

    def hang(self) -> threading.Event:
        """From now on, until the event is set."""
        self.asking.clear()
        self.let_go = threading.Event()
        return self.let_go


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def builders() -> Builders:
    return Builders()


@pytest.fixture
def embedders(database: Database, builders: Builders) -> ConfiguredEmbedders:
    return ConfiguredEmbedders(builders.of(_OLD, _NEW), database, clock=database.clock)


def _name(embedder: Embedder) -> str:
    return embedder.model.name


class TestTheActiveModel:
    def test_is_asked_for_until_the_deadline_and_then_known_for_half_a_minute(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        first = embedders.active(deadline=7)
        database.active = _NEW
        database.now += 29

        second = embedders.active(deadline=8)

        assert (_name(first), _name(second)) == (_OLD, _OLD)
        assert database.deadlines == [7]

    def test_is_another_half_a_minute_after_a_switch(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        database.active = _NEW
        database.now += 30

        found = embedders.active(deadline=8)

        assert _name(found) == _NEW
        assert database.deadlines == [7, 8]

    def test_is_another_at_once_when_it_is_asked_for_afresh(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        database.active = _NEW

        found = embedders.active(deadline=8, afresh=True)

        assert _name(found) == _NEW
        assert _name(embedders.active(deadline=9)) == _NEW
        assert database.deadlines == [7, 8]

    def test_is_kept_as_long_as_the_database_does_not_answer(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        database.fault = _OUTAGE
        database.now += 3600

        found = embedders.active(deadline=8)

        assert _name(found) == _OLD

    def test_is_followed_as_soon_as_the_database_answers_again(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        database.fault, database.active = _OUTAGE, _NEW
        database.now += 30
        embedders.active(deadline=8)
        database.fault = None

        found = embedders.active(deadline=9)

        assert _name(found) == _NEW

    def test_is_unknown_to_a_process_that_begins_in_an_outage(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        database.fault = _OUTAGE

        with pytest.raises(Unavailable, match="no database"):
            embedders.active(deadline=7)

    def test_is_not_told_afresh_in_an_outage(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        database.fault = _OUTAGE

        with pytest.raises(Unavailable, match="no database"):
            embedders.active(deadline=8, afresh=True)

    def test_that_is_none_any_more_is_told_each_time(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        database.fault = SettingsError("no model is active")
        database.now += 30

        with pytest.raises(SettingsError, match="no model is active"):
            embedders.active(deadline=8)
        with pytest.raises(SettingsError, match="no model is active"):
            embedders.active(deadline=9)

    def test_that_no_embedder_is_for_names_the_variables_and_what_is_known(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        database.active = "tests/third"

        with pytest.raises(SettingsError) as caught:
            embedders.active(deadline=7)

        names = ("tests/third", _OLD, _NEW, "NEXT_EMBEDDER", "NEXT_CLIP_MODEL", "EMBEDDER", "CLIP_MODEL")
        assert all(name in str(caught.value) for name in names)

    def test_costs_nobody_who_knows_it_the_time_that_another_waits_for_the_database(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        let_go = database.hang()
        database.now += 30

        with ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(embedders.active, deadline=8)
            assert database.asking.wait(_PATIENCE_S)
            beside = pool.submit(embedders.active, deadline=9).result(_PATIENCE_S)
            let_go.set()

        assert (_name(beside), _name(waiting.result())) == (_OLD, _OLD)
        assert database.deadlines == [7, 8]

    def test_is_not_that_of_an_answer_that_comes_later_than_a_newer_one(
        self, embedders: ConfiguredEmbedders, database: Database
    ) -> None:
        embedders.active(deadline=7)
        let_go = database.hang()
        database.now += 30

        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(embedders.active, deadline=8)
            assert database.asking.wait(_PATIENCE_S)
            database.let_go, database.active = None, _NEW
            database.now += 1
            embedders.active(deadline=9, afresh=True)
            let_go.set()
            late.result(_PATIENCE_S)

        assert _name(embedders.active(deadline=10)) == _NEW


class TestAnEmbedder:
    def test_is_built_when_it_first_serves_and_once(
        self, embedders: ConfiguredEmbedders, builders: Builders
    ) -> None:
        before = list(builders.built)

        found = [embedders.active(deadline=7), embedders.named(_OLD), embedders.active(deadline=7)]

        assert (before, builders.built) == ([], [_OLD])
        assert found[0] is found[1] is found[2]

    def test_is_built_once_by_many_threads(self, embedders: ConfiguredEmbedders, builders: Builders) -> None:
        together = threading.Barrier(8)

        def name() -> Embedder:
            together.wait(_PATIENCE_S)
            return embedders.named(_NEW)

        with ThreadPoolExecutor(8) as pool:
            found = {id(done.result()) for done in [pool.submit(name) for _ in range(8)]}

        assert len(found) == 1
        assert builders.built == [_OLD, _NEW]

    def test_that_cannot_be_built_is_tried_again(
        self, embedders: ConfiguredEmbedders, builders: Builders
    ) -> None:
        builders.fault = SettingsError("no weights")
        with pytest.raises(SettingsError, match="no weights"):
            embedders.active(deadline=7)
        builders.fault = None

        assert _name(embedders.active(deadline=7)) == _OLD

    def test_of_the_model_to_come_is_the_last(
        self, embedders: ConfiguredEmbedders, builders: Builders
    ) -> None:
        assert _name(embedders.target()) == _NEW
        assert builders.built == [_NEW]

    def test_of_the_model_to_come_is_the_only_one_when_there_is_no_other(
        self, database: Database, builders: Builders
    ) -> None:
        embedders = ConfiguredEmbedders(builders.of(_OLD), database)

        assert embedders.target() is embedders.named(_OLD)


class TestADeployment:
    def test_has_the_embedders_that_its_settings_name_and_pays_for_those_that_cost(self) -> None:
        settings = parse_settings(
            {
                "SUPABASE_URL": "https://a.example",
                "SUPABASE_ANON_KEY": "anon",
                "SUPABASE_SERVICE_ROLE_KEY": "service",
                "NEXT_EMBEDDER": "roboflow",
                "NEXT_CLIP_MODEL": _HOSTED,
                "ROBOFLOW_API_KEY": "rf_x",
            }
        )
        adapters = build_adapters(settings, Lane.SEARCH)
        own = OfflineEmbedder().model.name

        served = [_name(adapters.embedders.named(own)), _name(adapters.embedders.target())]

        assert served == [own, _HOSTED]
        assert [adapters.database.costs(model) for model in (own, _HOSTED, "another")] == [False, True, False]
