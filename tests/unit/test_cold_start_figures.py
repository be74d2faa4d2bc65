"""The arithmetic of the cold start's benchmark: medians, ratios, targets and costs."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import costs as costs_page
from benchmarks.coldstart_parts import assumptions, plot
from benchmarks.coldstart_parts.costs import Times, Work, billed_ms, costs, lambda_usd
from benchmarks.coldstart_parts.figures import (
    INDEX,
    PLAIN_INDEX,
    PLAIN_SEARCH,
    SEARCH,
    TEXT_ONLY,
    Measured,
    Start,
    rows_of,
    targets_of,
)
from benchmarks.coldstart_parts.prices import ALL
from benchmarks.coldstart_parts.zips import Zip

_PAGE = Path(__file__).parents[2] / "docs" / "costs.md"
_TIMES = Times(init_ms=300, first_ms=200, warm_ms=100)


def _measured(init_ms: float, zip_mb: float = 10, plain: str | None = None) -> Measured:
    starts = [
        Start(init_ms, 100, (10, 20), 5, 60),
        Start(init_ms + 2, 300, (30, 40), 7, 50),
        Start(init_ms - 2, 200, (50, 60), 6, 55),
    ]
    return Measured(Zip(Path("a.zip"), zip_mb, 2 * zip_mb), plain, starts)


def _run() -> dict[str, Measured]:
    return {
        PLAIN_SEARCH: _measured(1000, 20),
        PLAIN_INDEX: _measured(2000, 20),
        SEARCH: _measured(300, 15, PLAIN_SEARCH),
        TEXT_ONLY: _measured(300, 12, PLAIN_SEARCH),
        INDEX: _measured(500, 15, PLAIN_INDEX),
    }


def test_a_row_has_the_medians_of_all_starts() -> None:
    rows = {row["function"]: row for row in rows_of(_run())}

    row = rows[SEARCH]

    assert (row["init_ms"], row["first_ms"], row["warm_ms"], row["again_ms"]) == (300, 200, 35, 6)


def test_a_cold_caller_waits_for_init_and_the_first_call_of_one_start() -> None:
    rows = {row["function"]: row for row in rows_of(_run())}

    assert rows[SEARCH]["both_ms"] == 498  # of 400, 602 and 498; the medians' own sum is 500


def test_the_memory_of_a_row_is_the_most_that_any_start_took() -> None:
    rows = {row["function"]: row for row in rows_of(_run())}

    assert rows[SEARCH]["rss_mb"] == 60


def test_ours_is_compared_with_the_plain_handler_for_the_same_work() -> None:
    rows = {row["function"]: row for row in rows_of(_run())}

    assert rows[SEARCH]["init_ratio"] == pytest.approx(0.3)
    assert rows[INDEX]["init_ratio"] == pytest.approx(0.25)


def test_a_plain_handler_is_compared_with_nothing() -> None:
    rows = {row["function"]: row for row in rows_of(_run())}

    assert rows[PLAIN_SEARCH]["init_ratio"] is None


def test_the_targets_are_the_ratios_of_the_issue() -> None:
    targets = {target.id: target.value for target in targets_of(_run())}

    assert targets == {
        "coldstart.search.init_ratio_to_plain": pytest.approx(0.3),
        "coldstart.index.init_ratio_to_plain": pytest.approx(0.25),
        "coldstart.search.zip_ratio_to_plain": pytest.approx(0.75),
        "coldstart.search.text_zip_mb": 12,
    }


def test_a_larger_share_than_the_bar_misses_its_target() -> None:
    run = {**_run(), SEARCH: _measured(351, 15, PLAIN_SEARCH)}

    missed = [target.id for target in targets_of(run) if not target.met]

    assert missed == ["coldstart.search.init_ratio_to_plain"]


def test_the_plot_names_every_function(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"

    plot.draw(path, rows_of(_run()))

    drawn = path.read_text()
    assert [name for name in _run() if f">{name}</text>" not in drawn] == []


def test_a_warm_call_on_a_whole_processor_is_billed_as_measured() -> None:
    assert billed_ms(_TIMES, 1769, cold_share=0) == 100


def test_a_started_millisecond_is_billed_whole() -> None:
    assert billed_ms(replace(_TIMES, warm_ms=99.1), 1769, cold_share=0) == 100


def test_less_memory_is_less_of_a_processor() -> None:
    assert billed_ms(_TIMES, 885, cold_share=0) == 200


def test_more_than_a_processor_makes_nothing_faster() -> None:
    assert billed_ms(_TIMES, 3538, cold_share=0) == 100


def test_waiting_for_the_model_takes_no_longer_with_less_of_a_processor() -> None:
    assert billed_ms(replace(_TIMES, wait_ms=80), 885, cold_share=0) == 120


def test_init_is_billed_and_has_a_whole_processor() -> None:
    assert billed_ms(_TIMES, 885, cold_share=1) == 300 + 400


def test_a_known_text_waits_for_no_model_though_the_first_call_was_measured_with_one() -> None:
    row = {"init_ms": 300, "first_ms": 220, "warm_ms": 140, "again_ms": 10}

    known = billed_ms(costs_page.times_of_known(row), 885, cold_share=1)
    new = billed_ms(costs_page.times_of_new(row), 885, cold_share=1)

    assert (known, new) == (300 + 200, 300 + 200 + 120)


def test_cold_starts_weigh_by_their_share() -> None:
    assert billed_ms(_TIMES, 1769, cold_share=0.25) == pytest.approx(0.25 * 500 + 0.75 * 100)


def test_lambda_costs_gigabyte_seconds_and_requests() -> None:
    times = Times(init_ms=0, first_ms=1000, warm_ms=1000, wait_ms=1000)

    usd = lambda_usd(times, 1024)

    assert usd == pytest.approx(1_000_000 * 0.0000133334 + 0.20)


def test_only_what_is_paid_for_is_listed() -> None:
    work = Work(http_requests=1, model_calls=1)

    parts = costs(_TIMES, 1024, work)

    assert set(parts) == {"Lambda, arm64", "HTTP API", "Roboflow"}
    assert parts["HTTP API"] == 1.00
    assert parts["Roboflow"] == pytest.approx(200 * 4.00)


def test_a_kilobyte_a_call_is_a_gigabyte_a_million() -> None:
    parts = costs(_TIMES, 1024, Work(log_kb=2, out_of_aws_kb=10))

    assert parts["logs"] == pytest.approx(1.00)
    assert parts["data out of AWS"] == pytest.approx(0.90)


def test_each_price_says_where_and_when_it_was_read() -> None:
    unsourced = [name for name, price in ALL.items() if not (price.source and price.read and price.unit)]

    assert unsourced == []


@pytest.mark.parametrize(
    "said",
    [*assumptions.sentences(), *assumptions.monthly_rows(), *costs_page.price_table()],
    ids=lambda line: line[:40],
)
def test_the_page_says_what_is_computed_with(said: str) -> None:
    assert f"\n{said}\n" in _PAGE.read_text(encoding="utf-8")


def test_a_picture_by_itself_is_sent_received_and_deleted() -> None:
    parts = costs(_TIMES, 1024, assumptions.PICTURE_ON_S3)

    assert parts["SQS"] == pytest.approx(3 * 0.40)


def test_the_preview_leaves_aws_only_for_supabase() -> None:
    kept, sent = assumptions.PICTURE_ON_S3, assumptions.PICTURE

    assert sent.out_of_aws_kb - kept.out_of_aws_kb == assumptions.PREVIEW_KB


def test_a_new_text_sends_its_vector_to_search_with_and_to_be_remembered() -> None:
    known, new = assumptions.KNOWN_TEXT, assumptions.NEW_TEXT

    assert new.out_of_aws_kb - known.out_of_aws_kb == 2 * assumptions.VECTOR_KB
