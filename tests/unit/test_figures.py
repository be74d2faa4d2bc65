"""Figures leave as lines in CloudWatch's embedded metric format."""

import json

import pytest

from shared.telemetry import log_metric


def test_a_figure_is_one_line_with_its_dimensions(capsys: pytest.CaptureFixture[str]) -> None:
    log_metric("faults", 3, "Count", bucket="photos", fault="missing")

    [line] = capsys.readouterr().out.splitlines()
    figure = json.loads(line)
    [declared] = figure["_aws"]["CloudWatchMetrics"]
    assert declared["Namespace"] == "pixseek"
    assert declared["Metrics"] == [{"Name": "faults", "Unit": "Count"}]
    assert set(declared["Dimensions"][0]) == {"bucket", "fault"}
    assert (figure["faults"], figure["bucket"], figure["fault"]) == ([3.0], "photos", "missing")
