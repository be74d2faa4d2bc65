"""The benchmark of a change of models: its verdicts can be bad, and are for what is wrong."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.reembed_parts import judging, progress, searches
from benchmarks.reembed_parts.judgement import judge
from benchmarks.reembed_parts.judging import Cosines, Span
from benchmarks.reembed_parts.progress import Sample
from benchmarks.reembed_parts.searches import Answer, Attempt, Search
from benchmarks.reembed_parts.space import Space

TRUTHS = {
    "old": Cosines(np.array([[0.9, 0.8, 0.1], [0.2, 0.3, 0.4]], np.float32)),
    "new": Cosines(np.array([[0.7, 0.5, math.nan], [0.6, 0.1, math.nan]], np.float32)),
}
OUTAGE = Span(10.0, 11.0)


def _search(
    started_s: float = 0.0,
    took_s: float = 1.0,
    *,
    model: str = "old",
    ids: Sequence[int] = (1, 2),
    similarities: Sequence[float] = (0.9, 0.8),
    failures: Sequence[Attempt] = (),
) -> Search:
    return Search(0, 0, started_s, started_s + took_s, Answer(model, ids, similarities), failures)


UNANSWERED = Search(0, 0, 0.0, 1.0, None)


@pytest.mark.parametrize(
    ("model", "similarities"), [("old", (0.9, 0.8)), ("new", (0.7, 0.5)), ("old", (0.9015, 0.7985))]
)
def test_an_answer_of_one_model_is_not_mixed(model: str, similarities: Sequence[float]) -> None:
    search = _search(model=model, similarities=similarities)

    assert judging.mixed([search], TRUTHS) == []


@pytest.mark.parametrize(
    ("model", "ids", "similarities"),
    [
        pytest.param("old", (1, 2), (0.9, 0.5), id="one hit of the other model"),
        pytest.param("old", (1, 2), (0.9, 0.803), id="a hit of neither"),
        pytest.param("new", (1, 2), (0.9, 0.8), id="the other model than it names"),
        pytest.param("new", (3,), (0.1,), id="a picture that the model has no vector of"),
        pytest.param("old", (4,), (0.9,), id="a picture that nobody knows"),
        pytest.param("old", (0,), (0.1,), id="no picture's number"),
        pytest.param("third", (1, 2), (0.9, 0.8), id="a model that nobody knows"),
    ],
)
def test_an_answer_is_mixed_when_no_one_model_says_it(
    model: str, ids: Sequence[int], similarities: Sequence[float]
) -> None:
    search = _search(model=model, ids=ids, similarities=similarities)

    assert judging.mixed([search], TRUTHS) == [search]


def test_the_cosines_are_those_of_the_text_that_was_asked_for() -> None:
    answer = Answer("old", (3, 2), (0.4, 0.3))

    found = [judging.found_by(text, answer, TRUTHS) for text in (0, 1)]

    assert found == [None, "old"]


def test_what_both_models_say_is_of_the_one_that_the_answer_names() -> None:
    alike = {"old": TRUTHS["old"], "new": TRUTHS["old"]}

    assert judging.mixed([_search(model="new")], alike) == []


def test_a_search_fails_without_an_answer_and_with_an_empty_one() -> None:
    empty = _search(ids=(), similarities=())

    assert judging.failed([UNANSWERED, empty, _search()]) == [UNANSWERED, empty]


@pytest.mark.parametrize(("started_s", "ended_s"), [(9.5, 10.1), (10.2, 10.3), (10.9, 11.5), (9.0, 12.0)])
def test_a_search_that_is_refused_in_an_outage_has_not_failed(started_s: float, ended_s: float) -> None:
    search = _search(9.0, 3.0, failures=[Attempt(started_s, ended_s, "503")])

    assert judging.failed([search], [OUTAGE]) == []


@pytest.mark.parametrize("outages", [[], [OUTAGE]])
def test_a_search_that_is_refused_while_nothing_is_wrong_has_failed(outages: list[Span]) -> None:
    failures = [Attempt(10.1, 10.2, "503"), Attempt(11.3, 11.4, "503")]
    search = _search(10.0, 2.0, failures=failures)

    assert judging.failed([search], outages) == [search]


def test_the_slowest_search_is_the_slowest_of_those_under_way_in_a_span() -> None:
    before, across, within, after = _search(0, 9), _search(9, 3), _search(10.2, 0.1), _search(11.5, 5)

    slowest_s = judging.slowest_s([before, across, within, after], [OUTAGE])

    assert slowest_s == 3


def test_a_search_as_long_as_the_span_and_more_is_under_way_in_it() -> None:
    assert judging.slowest_s([_search(5, 20)], [OUTAGE]) == 20


def test_no_search_under_way_has_no_slowest() -> None:
    assert math.isnan(judging.slowest_s([_search(0, 1)], [OUTAGE]))


def test_the_percentile_is_of_searches_that_lie_wholly_within() -> None:
    inside = [_search(1 + 0.01 * number, 0.5) for number in range(100)]

    p99_s = judging.p99_s([*inside, _search(0, 8), _search(9, 8)], Span(0.5, 10))

    assert p99_s == pytest.approx(0.5)


def test_no_searches_have_no_percentile() -> None:
    assert math.isnan(judging.p99_s([], OUTAGE))


def test_a_switch_is_followed_when_the_last_answer_of_the_old_model_has_come() -> None:
    done = [
        _search(9.9, 1.5),
        _search(12, 1),
        _search(12.5, 1, model="new"),
        _search(14, 1),
        _search(16, 1, model="new"),
    ]

    assert judging.followed_s(done, OUTAGE, 20, "new") == 4


def test_a_switch_that_all_follow_at_once_takes_no_time() -> None:
    assert judging.followed_s([_search(12, 1, model="new")], OUTAGE, 20, "new") == 0


def test_a_switch_that_nobody_follows_is_no_number() -> None:
    done = [_search(12, 1), _search(19.5, 1, model="new")]

    assert math.isnan(judging.followed_s(done, OUTAGE, 20, "new"))


def test_the_judgement_counts_what_is_wrong_and_tells_it() -> None:
    mixed = _search(similarities=(0.9, 0.5))
    retried = _search(9.9, 1.0, failures=[Attempt(10.1, 10.2, "503")])

    judgement = judge([_search(), mixed, UNANSWERED, retried], TRUTHS, [OUTAGE])

    assert (judgement.failed, judgement.mixed, judgement.retried) == ([UNANSWERED], [mixed], 1)
    assert judgement.short == 3
    assert [detail["figure"] for detail in judgement.details()] == ["failed", "mixed"]


def test_a_log_of_searches_reads_as_it_was_written(tmp_path: Path) -> None:
    answered = _search(ids=[1], similarities=[0.9], failures=[Attempt(0.1, 0.2, "503")])
    done = [answered, replace(UNANSWERED, failures=[])]
    log = tmp_path / "log"

    log.write_bytes(b"".join(map(searches.write, done)))

    assert searches.read(log) == done


def test_the_rate_is_from_the_first_claim_to_the_last_vector() -> None:
    samples = [
        Sample(0, 0, False, False),
        Sample(5, 0, True, False),
        Sample(10, 60, True, False),
        Sample(15, 100, False, False),
        Sample(90, 100, False, True),
    ]

    assert progress.rate(samples) == 10


def test_the_two_models_of_the_benchmark_can_be_told_apart_by_ten_hits() -> None:
    spaces = [Space("ViT-B-16"), Space("ViT-L-14")]
    contents = [f"picture {number}".encode() for number in range(500)]
    tables = [
        space.text("a text") @ np.array([space.picture(content) for content in contents]).T
        for space in spaces
    ]
    best = np.argsort(-tables[0])[:10]

    differences = np.abs(tables[0][best] - tables[1][best])

    assert (differences > 2 * judging.TOLERANCE).sum() >= 5
