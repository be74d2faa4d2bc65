"""What a benchmark leaves behind: a table, a file, an exit code."""

import json
import math
from pathlib import Path
from typing import Any, Literal

import pytest

from benchmarks import report
from benchmarks.report import Target, publish

_ROWS = [{"query": "猫", "rank": 1}, {"query": "a dog", "rank": 3}]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where results go, not yet there."""
    folder = tmp_path / "build" / "bench"
    monkeypatch.setattr(report, "FOLDER", folder)
    return folder


def _read(folder: Path, name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return read


def _target(value: float, direction: Literal["min", "max"] = "min") -> Target:
    return Target("eval.photos.hit1.en", value, 0.5, direction)


def test_the_file_says_machine_rows_and_targets(folder: Path) -> None:
    publish("eval", _ROWS, [_target(0.75)])

    result = _read(folder, "eval")
    assert set(result) >= {"machine", "rows", "targets"}
    assert set(result["machine"]) >= {"platform", "processor", "cores", "python"}
    assert result["rows"] == _ROWS
    assert result["targets"] == [
        {"id": "eval.photos.hit1.en", "value": 0.75, "target": 0.5, "direction": "min"}
    ]


def test_details_go_into_the_file_and_not_into_the_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish("eval", _ROWS, [_target(0.75)], details=[{"query": "one of hundreds"}])

    assert _read(folder, "eval")["details"] == [{"query": "one of hundreds"}]
    assert "hundreds" not in capsys.readouterr().out


def test_a_later_result_takes_the_place_of_an_earlier_one(folder: Path) -> None:
    publish("eval", _ROWS, [_target(0.25)])
    publish("eval", _ROWS[:1], [_target(0.75)])

    assert _read(folder, "eval")["rows"] == _ROWS[:1]
    assert [path.name for path in folder.iterdir()] == ["eval.json"]


@pytest.mark.parametrize(
    ("value", "direction", "code"),
    [
        (0.75, "min", 0),
        (0.5, "min", 0),
        (0.49, "min", 1),
        (0.25, "max", 0),
        (0.5, "max", 0),
        (0.51, "max", 1),
        (math.nan, "min", 1),
        (math.nan, "max", 1),
        (math.inf, "min", 0),
        (math.inf, "max", 1),
    ],
)
def test_the_exit_code_tells_whether_the_target_is_met(
    value: float, direction: Literal["min", "max"], code: int
) -> None:
    assert publish("eval", _ROWS, [_target(value, direction)]) == code


def test_one_missed_target_is_enough() -> None:
    assert publish("eval", _ROWS, [_target(0.75), _target(0.25), _target(0.75)]) == 1


def test_a_benchmark_without_targets_misses_none() -> None:
    assert publish("eval", _ROWS, []) == 0


def test_a_missed_target_is_written_all_the_same(folder: Path) -> None:
    publish("eval", _ROWS, [_target(0.25)])

    assert _read(folder, "eval")["targets"][0]["value"] == 0.25


def test_what_was_measured_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    publish("eval", _ROWS, [_target(0.75), Target("eval.ms", 9.0, 5.0, "max")])

    shown = capsys.readouterr().out
    assert "猫" in shown
    assert "eval.photos.hit1.en" in shown
    assert "≥ 0.5" in shown
    assert "≤ 5" in shown
    assert "missed" in shown


def test_what_was_not_measured_is_null_in_the_file(folder: Path) -> None:
    code = publish("empty", [], [Target("t", math.nan, 1, "min")])

    assert code == 1
    assert _read(folder, "empty")["targets"][0]["value"] is None
