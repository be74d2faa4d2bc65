"""What `pixseek status` makes of numbers and moments."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.cli.audit_reports import PastAudit
from infra.cli.status import age, sparkline


@pytest.mark.parametrize(
    ("values", "low", "line"),
    [
        ([0.9, 0.96, 1.0], 0.9, "▁▅█"),
        ([1.0], 0.9, "█"),
        ([0.5, 0.9, 1.0], 0.9, "▁▇█"),
        ([1.0, 1.0], 1.0, "██"),
    ],
    ids=["from the floor", "one", "from the least of them", "all there is"],
)
def test_a_trend_is_a_line_of_bars(values: list[float], low: float, line: str) -> None:
    assert sparkline(values, low=low) == line


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=5), "5 s"),
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=5), "5 h"),
        (timedelta(days=5), "5 d"),
    ],
)
def test_how_long_ago_is_told_in_one_unit(ago: timedelta, told: str) -> None:
    assert age(datetime.now(UTC) - ago) == told


def test_what_an_audit_has_left_is_what_it_has_not_repaired() -> None:
    audit = PastAudit(
        bucket="photos",
        repairs=True,
        state="done",
        objects=9,
        images=9,
        faults={"missing": 3, "stale": 2},
        repaired={"missing": 3, "stale": 1},
        reason=None,
        started_at=datetime.now(UTC),
        ended_at=datetime.now(UTC),
    )

    assert audit.left == 1
