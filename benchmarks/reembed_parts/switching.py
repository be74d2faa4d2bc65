"""Part B: what searchers notice of a switch and of the way back, when nothing else goes on."""

import time
from collections.abc import Sequence
from typing import Final

from benchmarks import report
from benchmarks.reembed_parts import judging, registry, searches, truth
from benchmarks.reembed_parts.judgement import Judgement, judge
from benchmarks.reembed_parts.judging import Span
from benchmarks.reembed_parts.running import FUNCTIONS, MODEL, NEXT_MODEL, VERSIONS, Running
from benchmarks.reembed_parts.searchers import searching
from benchmarks.reembed_parts.searches import SEARCHERS, Search
from benchmarks.reembed_parts.sheet import Sheet

_WARM_S: Final = 15.0
_CALM_S: Final = 35.0
"""In it each process of the search function tells what it was asked, of which the new model learns."""
_BETWEEN_S: Final = 45.0
"""A process looks every half a minute which model is active."""
_AFTER_S: Final = 40.0


def measure(running: Running) -> tuple[Sheet, Judgement]:
    """The model to come covers all pictures; at the end it is retired."""
    sheet = Sheet("B: switch")
    with report.step(f"{SEARCHERS} searchers, the switch, the way back"), searching(running, "B") as log:
        time.sleep(_WARM_S)
        calm = _span(_CALM_S)
        learned, texts = registry.learn(running)
        switch = registry.activate(running)
        time.sleep(_BETWEEN_S)
        back = registry.roll_back(running)
        time.sleep(_AFTER_S)
    with report.step("every answer beside both models' vectors"):
        done = searches.read(log)
        judgement = judge(done, truth.read(running), [])
    _speed(sheet, done, calm, [switch, back])
    sheet.add("pause: the transaction of the switch, ms", 1000 * switch.took_s)
    sheet.add("pause: the transaction of the way back, ms", 1000 * back.took_s)
    sheet.add("texts learned before the switch", texts, f"in {learned.took_s:.1f} s")
    _beside(sheet, done, learned, switch, back)
    followed_s = judging.followed_s(done, switch, back.began_s, NEXT_MODEL)
    sheet.add("until the last searcher saw the new model, s", followed_s, "60 at most are promised")
    returned_s = judging.followed_s(done, back, time.monotonic(), MODEL)
    sheet.add("until the last searcher saw the old model again, s", returned_s)
    sheet.add("texts that the functions embedded after the switch", _texts(running, switch), _note(done))
    return sheet, judgement


def _span(length_s: float) -> Span:
    began_s = time.monotonic()
    time.sleep(length_s)
    return Span(began_s, time.monotonic())


def _speed(sheet: Sheet, done: Sequence[Search], calm: Span, transactions: Sequence[Span]) -> None:
    calm_searches = [search for search in done if calm.holds(search)]
    p50_s, p99_s = (judging.percentile_s(calm_searches, percent) for percent in (50, 99))
    slowest_s = judging.slowest_s(done, transactions)
    sheet.add("calm: searches/s", len(calm_searches) / calm.took_s)
    sheet.add("calm: p50, ms", 1000 * p50_s)
    sheet.add("calm: p99, ms", 1000 * p99_s)
    sheet.add("calm: slowest, ms", 1000 * judging.slowest_s(calm_searches, [calm]))
    sheet.add("slowest that overlaps either transaction, ms", 1000 * slowest_s)
    sheet.target("reembed.slowest_search_ratio_to_p99", slowest_s / p99_s, 10, "max")


def _beside(sheet: Sheet, done: Sequence[Search], learned: Span, switch: Span, back: Span) -> None:
    """The times around the transactions."""
    spans = {
        "while texts are learned": learned,
        "in the time between": Span(switch.ended_s, back.began_s),
        "after the way back": Span(back.ended_s, back.ended_s + _AFTER_S),
    }
    for name, span in spans.items():
        sheet.add(f"{name}: p99, ms", 1000 * judging.p99_s(done, span))
        sheet.add(f"{name}: slowest, ms", 1000 * judging.slowest_s(done, [span]))


def _texts(running: Running, switch: Span) -> int:
    """Each is a call."""
    return sum(
        asked.count
        for asked in running.asked()
        if asked.who == FUNCTIONS
        and asked.kind == "text"
        and asked.version == VERSIONS[NEXT_MODEL]
        and asked.at_s >= switch.began_s
    )


def _note(done: Sequence[Search]) -> str:
    texts = {search.text for search in done}
    return f"of {len(texts)} that were asked again and again"
