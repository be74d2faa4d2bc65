"""All pictures are brought to a model: what a run does until it ends, and when the model goes live."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from shared import reembedding
from shared.claiming import BATCH, Done, Worker
from shared.errors import InputError, NotNow, OverBudget, PixseekError, SettingsError, Unavailable
from shared.learning import learn_texts
from shared.models import Standing
from shared.reembedding import Reembedded, drop_retired
from shared.registered import RegisteredModel
from tests.unit.reembedding_ports import NEW, Followed, Project
from tests.unit.search_ports import MODEL, NOON

_OUTAGE = Unavailable("does not answer")
_WRONG_KEY = SettingsError("wrong key")
_OVER_BUDGET = OverBudget(NOON)


def _run(
    project: Project,
    worker: Worker | None = None,
    *,
    activate: bool = True,
    budget: float = float("inf"),
    threads: int = 1,
    report: Callable[[Done], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Reembedded:
    return reembedding.reembed(
        worker or project.worker(),
        memory=project.memory,
        activate=activate,
        budget=budget,
        threads=threads,
        report=report,
        stop=stop,
    )


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reembedding, "_FIRST_PAUSE_S", 0.0)


class Pauses(threading.Event):
    """That nobody waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.taken.append(timeout)
        return False


class TestARun:
    @pytest.mark.parametrize("threads", [1, 4])
    def test_embeds_each_picture_once_and_makes_the_model_active(self, threads: int) -> None:
        project, batches = Project(100), list[Done]()

        reached = _run(project, threads=threads, report=batches.append)

        assert (reached.state, reached.is_new, reached.stopped_by) == ("active", True, None)
        assert (reached.tally.indexed, reached.tally.calls, reached.missing) == (100, 100, 0)
        assert project.embedder.calls == 100
        assert project.index.acts == [f"aim at {NEW.name}", f"activate {NEW.name}"]
        assert sum(done.pictures for done in batches) == 100

    def test_of_an_empty_index_makes_the_model_active(self) -> None:
        assert _run(Project()).is_new

    def test_embeds_after_the_switch_what_came_in_meanwhile(self) -> None:
        project, late = Project(3), Project(5)
        project.index.at_switch = lambda: (
            project.bucket.files.update(late.bucket.files),
            project.index.hashes.update(late.index.hashes),
        )

        reached = _run(project)

        assert (reached.state, reached.missing, reached.tally.indexed) == ("active", 0, 5)

    def test_of_the_active_model_embeds_what_is_missing_and_switches_nothing(self) -> None:
        project = Project(3)
        project.index.state = "active"

        reached = _run(project)

        assert (reached.state, reached.is_new, reached.tally.indexed) == ("active", False, 3)
        assert project.index.acts == [f"aim at {NEW.name}"]

    def test_of_a_retired_model_embeds_and_does_not_bring_it_back(self) -> None:
        project = Project(3)
        project.index.state = "retired"

        reached = _run(project)

        assert (reached.state, reached.is_new, reached.tally.indexed) == ("retired", False, 3)
        assert project.index.acts == [f"aim at {NEW.name}"]

    def test_leaves_the_switch_to_the_operator_who_wants_that(self) -> None:
        project = Project(3)

        reached = _run(project, activate=False)

        assert (reached.state, reached.is_new, reached.missing) == ("covered", False, 0)
        assert project.index.state == "building"

    def test_goes_on_from_where_the_one_before_stopped(self) -> None:
        project = Project(70)
        _run(project, budget=40)

        reached = _run(project)

        assert (reached.state, reached.tally.indexed, project.embedder.calls) == ("active", 30, 70)

    def test_ends_with_an_error_that_is_none_of_ours(self) -> None:
        project = Project(1)
        project.index.fault = ZeroDivisionError("a bug")

        with pytest.raises(ZeroDivisionError, match="a bug"):
            _run(project)


class TestABudget:
    @pytest.mark.parametrize("threads", [1, 4])
    @pytest.mark.parametrize("budget", [1, 32, 75])
    def test_is_spent_to_the_last_call_and_not_exceeded(self, budget: int, threads: int) -> None:
        project = Project(100)

        reached = _run(project, budget=budget, threads=threads)

        assert (project.embedder.calls, reached.tally.calls) == (budget, budget)
        assert (reached.state, reached.stopped_by) == ("unfinished", None)
        assert reached.missing == 100 - budget

    def test_is_not_spent_on_what_costs_no_call(self) -> None:
        project = Project(10)
        project.index.hashes["000.png"] = project.index.hashes["001.png"] = None
        project.bucket.files = {name: data for name, data in project.bucket.files.items() if name > "001.png"}
        project.bucket.faults = {"000.png": _OUTAGE, "001.png": _OUTAGE}

        reached = _run(project, budget=8)

        assert (reached.tally.calls, reached.tally.indexed, reached.tally.later) == (8, 8, 2)

    def test_counts_what_is_followed(self) -> None:
        project = Project(6)
        project.index.hashes = dict.fromkeys(project.index.hashes)
        project.outcomes = dict.fromkeys(project.index.hashes, Followed(Standing.INDEXED, embedded=True))

        reached = _run(project, budget=4)

        assert (len(project.followed), reached.tally.calls) == (4, 4)

    def test_that_is_more_than_enough_does_not_keep_it_from_switching(self) -> None:
        assert _run(Project(3), budget=3).state == "active"


class TestTheEnd:
    def test_comes_after_the_batch_in_hand_when_it_is_told_to_stop(self) -> None:
        project, stop = Project(100), threading.Event()

        reached = _run(project, report=lambda _: stop.set(), stop=stop)

        assert (reached.state, reached.stopped_by) == ("unfinished", None)
        assert reached.tally.indexed == BATCH

    def test_has_come_when_its_time_is_over(self) -> None:
        project = Project(3)

        reached = _run(project, project.worker(begin_by=time.monotonic() - 1))

        assert (reached.state, reached.stopped_by, reached.missing) == ("unfinished", None, 3)
        assert project.index.claims == []

    def test_does_not_wait_out_a_pause(self) -> None:
        project, stop = Project(3), threading.Event()
        project.index.fault = _OUTAGE
        stop.set()

        reached = _run(project, stop=stop)

        assert reached.state == "unfinished"

    def test_is_told_with_what_others_are_still_working_on(self) -> None:
        project = Project(3)
        project.index.leased = {"000.png", "001.png"}

        reached = _run(project)

        assert (reached.state, reached.missing, reached.stopped_by) == ("unfinished", 2, None)


@pytest.mark.usefixtures("_no_pause")
class TestAnOutage:
    def test_that_ends_in_time_is_overcome(self) -> None:
        project = Project(3)
        project.embedder.errors = [_OUTAGE] * 6  # each is asked about once more, with a plain picture

        reached = _run(project)

        assert (reached.state, reached.tally.indexed, reached.stopped_by) == ("active", 3, None)
        assert set(project.index.tries.values()) == {1}

    def test_that_does_not_end_stops_it_after_three_pauses_and_costs_no_try(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses = Pauses()
        monkeypatch.setattr(reembedding, "_FIRST_PAUSE_S", 1.0)
        project = Project(3)
        project.index.fault = _OUTAGE

        reached = _run(project, stop=pauses)

        assert (reached.state, reached.stopped_by, reached.missing) == ("unfinished", _OUTAGE, 3)
        assert pauses.taken == [1.0, 2.0, 4.0]
        assert project.index.tries.total() == 0

    def test_that_ends_again_and_again_is_none(self) -> None:
        project = Project(4 * BATCH)
        project.index.faults = [_OUTAGE, _OUTAGE, _OUTAGE, None] * 4

        assert _run(project).state == "active"

    @pytest.mark.parametrize("threads", [1, 3])
    @pytest.mark.parametrize("error", [_OVER_BUDGET, _WRONG_KEY], ids=["budget", "wrong key"])
    def test_that_no_pause_mends_stops_it_at_once_and_is_told(
        self, error: PixseekError, threads: int
    ) -> None:
        project = Project(200)
        project.embedder.refusal = error

        reached = _run(project, threads=threads)

        assert (reached.state, reached.stopped_by, reached.missing) == ("unfinished", error, 200)
        assert len(project.index.claims) <= threads
        assert (project.index.leased, project.index.tries.total()) == (set(), 0)

    def test_as_a_model_of_other_dimensions_answers_stops_it_at_once_and_stores_nothing(self) -> None:
        project = Project(100)
        project.embedder.dimensions = 3

        reached = _run(project)

        assert "vectors of 3 numbers" in str(reached.stopped_by)
        assert (project.embedder.calls, len(project.index.claims)) == (BATCH, 1)
        assert (project.index.vectors, project.index.leased, project.index.tries.total()) == ({}, set(), 0)

    def test_for_some_pictures_alone_does_not_hold_up_the_switch_for_ever(self) -> None:
        project = Project(3)
        project.index.others = [RegisteredModel(MODEL.name, 2, "active", 2)]
        project.embedder.unanswered = {9: _OUTAGE}

        reached = _run(project)

        assert (reached.state, reached.tally.indexed, reached.tally.failed) == ("active", 2, 1)
        assert project.index.failed == {"001.png": "does not answer"}


class TestTheGate:
    def test_is_shut_as_long_as_more_than_one_in_a_thousand_is_missing(self) -> None:
        project = Project(10)
        project.index.hashes |= {f"elsewhere {number}": "hash" for number in range(2)}
        project.index.leased = {name for name in project.index.hashes if name.startswith("elsewhere")}

        reached = _run(project)

        assert (reached.state, reached.missing, project.index.state) == ("unfinished", 2, "building")

    def test_is_shut_for_what_failed_under_it_alone(self) -> None:
        project = Project(10)
        project.embedder.refusal = InputError("cannot be seen")

        reached = _run(project)

        assert (reached.state, project.index.state) == ("unfinished", "building")
        assert isinstance(reached.stopped_by, NotNow)
        assert str(reached.stopped_by).startswith(
            f"{NEW.name} covers 0 pictures and {MODEL.name}, which is active, 10: "
        )

    def test_is_open_for_what_the_active_model_failed_at_too(self) -> None:
        project = Project(10)
        project.index.failed["000.png"] = "not a picture"
        project.index.others = [RegisteredModel(MODEL.name, 2, "active", 9)]

        assert _run(project).state == "active"

    def test_is_open_when_no_model_is_active_yet(self) -> None:
        project = Project(2)
        project.index.others = []

        assert _run(project).state == "active"

    def test_is_shut_for_a_run_that_was_stopped(self) -> None:
        project = Project(1000)
        project.index.vectors = {name: [1.0, 0.0] for name in list(project.index.hashes)[1:]}
        project.embedder.refusal = _WRONG_KEY

        reached = _run(project)

        assert (reached.state, reached.stopped_by, reached.missing) == ("unfinished", _WRONG_KEY, 1)
        assert project.index.state == "building"

    def test_that_is_shut_at_the_last_moment_is_told(self) -> None:
        project = Project(2)
        project.index.gate = NotNow("the model covers 98 % of the pictures")

        reached = _run(project)

        assert (reached.state, reached.stopped_by) == ("unfinished", project.index.gate)

    def test_of_the_active_model_is_passed_and_what_stopped_it_is_told(self) -> None:
        project = Project(1000)
        project.index.state = "active"
        project.index.vectors = {name: [1.0, 0.0] for name in list(project.index.hashes)[1:]}
        project.embedder.refusal = _WRONG_KEY

        reached = _run(project)

        assert (reached.state, reached.stopped_by, reached.missing) == ("active", _WRONG_KEY, 1)


class TestTexts:
    def test_that_are_asked_most_are_known_before_the_switch(self) -> None:
        project = Project(1)
        project.index.texts = ["a dog", "snow"]
        before = list[str]()
        project.index.at_switch = lambda: before.extend(project.memory.remembered)

        _run(project)

        assert before == ["a dog", "snow"]
        assert project.memory.remembered == {"a dog": [5.0, 0.0], "snow": [4.0, 0.0]}

    def test_are_embedded_some_at_a_time(self) -> None:
        project = Project()
        project.index.texts = [f"text {number}" for number in range(40)]

        count = learn_texts(project.embedder, project.index, project.memory)

        assert count == 40
        assert [len(texts) for texts in project.embedder.texts] == [16, 16, 8]

    def test_that_the_model_refuses_are_left_out(self) -> None:
        project = Project()
        project.index.texts = ["a dog", "too long", "snow"]
        project.embedder.refused, project.embedder.refusal_of_texts = frozenset({"too long"}), InputError("x")

        count = learn_texts(project.embedder, project.index, project.memory)

        assert count == 2
        assert list(project.memory.remembered) == ["a dog", "snow"]

    def test_in_letters_that_the_model_cannot_read_are_left_out(self) -> None:
        project = Project()
        project.index.texts = ["a dog", "猫"]

        count = learn_texts(project.embedder, project.index, project.memory)

        assert count == 1
        assert project.embedder.texts == [["a dog"]]

    def test_that_the_model_does_not_answer_for_do_not_put_off_the_switch(self) -> None:
        project = Project(2)
        project.index.texts = ["a dog"]
        project.embedder.refused, project.embedder.refusal_of_texts = frozenset({"a dog"}), _OUTAGE

        assert _run(project).state == "active"

    @pytest.mark.parametrize("error", [_OVER_BUDGET, _WRONG_KEY], ids=lambda it: type(it).__name__)
    def test_that_cannot_be_paid_now_put_off_the_switch(self, error: PixseekError) -> None:
        project = Project(2)
        project.index.texts = ["a dog"]
        project.embedder.refused, project.embedder.refusal_of_texts = frozenset({"a dog"}), error

        reached = _run(project)

        assert (reached.state, reached.stopped_by, reached.missing) == ("unfinished", error, 0)
        assert project.index.state == "building"


class TestRetiredModels:
    _OLD = RegisteredModel("old", 2, "retired", 5, retired_for_s=1000.0)

    def test_are_dropped_when_their_time_is_over(self) -> None:
        project = Project()
        project.index.others = [
            self._OLD,
            replace(self._OLD, name="young", retired_for_s=999.9),
            replace(self._OLD, name="the guide's", is_guides=True),
            replace(self._OLD, name="worked on"),
            RegisteredModel("active", 2, "active", 5),
            RegisteredModel("building", 2, "building", 5),
            RegisteredModel("gone", 2, "dropped", 0),
        ]

        dropped = drop_retired(project.index, kept_s=1000.0, spared={"worked on"})

        assert dropped == ["old"]
        assert project.index.acts == ["drop old"]

    @pytest.mark.parametrize("error", [_OUTAGE, NotNow("it is active")], ids=["in use", "active again"])
    def test_that_are_in_use_are_left_to_the_next_time(self, error: PixseekError) -> None:
        project = Project()
        project.index.others = [self._OLD, replace(self._OLD, name="older")]
        project.index.in_use = {"old": error}

        dropped = drop_retired(project.index, kept_s=0.0)

        assert dropped == ["older"]

    def test_stay_as_long_as_a_process_may_not_know_of_the_switch(self) -> None:
        project = Project()
        project.index.others = [replace(self._OLD, retired_for_s=60.0)]

        assert drop_retired(project.index, kept_s=0.0) == []
