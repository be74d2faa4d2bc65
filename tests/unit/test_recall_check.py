"""An index that finds what it should raises no alarm, whatever the sample; one that does not always does."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from shared.audits import Compared, Question, Recall
from shared.errors import Unavailable
from shared.recall import FLOOR, check_recall

_SOUND = Compared(10, 10, 10)


@dataclass
class AskedRecalls:
    """Answers queries and pictures as it is told, one after another."""

    queries: Sequence[Compared | None] = ()
    images: Sequence[Compared | None] = ()
    kept: list[Recall] = field(default_factory=list)
    asked: list[Question] = field(default_factory=list)
    counts: set[int] = field(default_factory=set)
    answers_left: int | None = None
    """Then it does not answer."""

    def sample(self, size: int) -> list[Question]:
        queries = [Question("query", place) for place in range(len(self.queries))]
        images = [Question("image", place) for place in range(len(self.images))]
        return (queries + images)[:size]

    def compare(self, question: Question, *, count: int) -> Compared | None:
        self.asked.append(question)
        self.counts.add(count)
        if len(self.asked) - 1 == self.answers_left:
            raise Unavailable("the database does not answer")
        return {"query": self.queries, "image": self.images}[question.kind][question.id]

    def keep_recall(self, recall: Recall) -> None:
        self.kept.append(recall)


def _drawn(rng: random.Random, mean: float, spread: float, count: int = 200) -> list[Compared]:
    """Questions that differ in how hard they are."""
    weight = mean * (1 - mean) / spread**2 - 1
    shares = [rng.betavariate(mean * weight, (1 - mean) * weight) for _ in range(count)]
    return [Compared(10, round(10 * share), 10) for share in shares]


def _checks(mean: float, spread: float, count: int = 200) -> list[tuple[bool, int]]:
    """Whether each of 50 is an alarm, and how many questions it took. The pictures are easy to find."""
    rng = random.Random(7)  # noqa: S311 -- the same ones each time
    indexes = [AskedRecalls(_drawn(rng, mean, spread, count), [_SOUND] * 200) for _ in range(50)]
    checked = [check_recall(index) for index in indexes]
    return [(recall.is_alarming, recall.questions) for recall in checked]


def test_all_that_is_found_is_a_recall_of_one() -> None:
    index = AskedRecalls([_SOUND] * 60, [_SOUND] * 60)

    recall = check_recall(index)

    assert recall == Recall(100, 1.0, 0.0, FLOOR, is_alarming=False)
    assert index.kept == [recall]
    assert index.counts == {10}


def test_the_kind_that_is_found_worst_tells() -> None:
    index = AskedRecalls([Compared(10, 9, 10)] * 5, [_SOUND] * 5)

    recall = check_recall(index, floor=0.5)

    assert recall.recall == pytest.approx(0.9)


def test_kinds_of_which_there_are_few_are_judged_together() -> None:
    index = AskedRecalls([Compared(10, 0, 10)] * 4, [Compared(10, 0, 10)] * 4)

    assert check_recall(index).is_alarming


# Of hard vectors, as measured: .97 is what a search finds, .88 what it finds when it looks at few candidates.
@pytest.mark.parametrize(("mean", "spread"), [(0.99, 0.03), (0.97, 0.08), (0.95, 0.1)])
@pytest.mark.parametrize("queries", [10, 50, 200])
def test_a_sound_index_never_raises_an_alarm(mean: float, spread: float, queries: int) -> None:
    assert not any(is_alarming for is_alarming, _ in _checks(mean, spread, queries))


@pytest.mark.parametrize(("mean", "spread"), [(0.88, 0.15), (0.8, 0.2), (0.63, 0.25), (0.3, 0.2)])
def test_an_index_that_finds_too_little_always_raises_one(mean: float, spread: float) -> None:
    assert all(is_alarming for is_alarming, _ in _checks(mean, spread))


@pytest.mark.parametrize(("mean", "spread"), [(0.99, 0.03), (0.63, 0.25)])
def test_what_is_clear_early_takes_few_questions(mean: float, spread: float) -> None:
    assert max(questions for _, questions in _checks(mean, spread)) <= 100


def test_answers_that_are_too_few_raise_an_alarm_although_all_of_them_are_right() -> None:
    index = AskedRecalls([_SOUND] * 22 + [Compared(10, 8, 8)] * 3)

    recall = check_recall(index, floor=0.9)

    assert recall.is_alarming
    assert recall.reason == "12.0% of the searches have fewer answers than there are pictures"


def test_few_questions_say_nothing() -> None:
    index = AskedRecalls([Compared(10, 0, 0)] * 4)

    recall = check_recall(index)

    assert not recall.is_alarming
    assert recall.reason == "4 questions say nothing: at least 5 are needed"


def test_without_a_question_nothing_is_kept() -> None:
    index = AskedRecalls()

    recall = check_recall(index)

    assert (recall.questions, recall.is_alarming) == (0, False)
    assert index.kept == []


def test_questions_that_are_gone_by_now_do_not_count() -> None:
    index = AskedRecalls([None, Compared(0, 0, 0)], [_SOUND] * 6)

    assert check_recall(index).questions == 6


def test_an_outage_ends_the_asking_and_what_was_answered_is_judged() -> None:
    index = AskedRecalls([Compared(10, 2, 10)] * 50, answers_left=20)

    recall = check_recall(index)

    assert (recall.questions, recall.is_alarming) == (20, True)
    assert index.kept == [recall]
    assert len(index.asked) == 21


def test_an_outage_before_anything_is_answered_says_nothing() -> None:
    index = AskedRecalls([None, _SOUND], answers_left=1)

    with pytest.raises(Unavailable):
        check_recall(index)

    assert index.kept == []


def test_none_is_begun_when_the_time_is_over() -> None:
    index = AskedRecalls([_SOUND] * 50)

    recall = check_recall(index, begin_by=0)

    assert recall.questions == 0
    assert index.asked == []
