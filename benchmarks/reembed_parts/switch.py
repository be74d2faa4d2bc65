"""The half of the benchmark that changes the model: the rate, the switch, the long run."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.reembed_parts import changing, plot, rates, switching
from benchmarks.reembed_parts.judgement import Judgement
from benchmarks.reembed_parts.running import Running, running
from benchmarks.reembed_parts.sheet import Found, Sheet

IMAGES: Final = 20_000
_PLOT: Final = Path(__file__).parents[2] / "docs" / "plots" / "reembed.svg"


def measure() -> Found:
    """On `IMAGES` pictures, so many unless the environment says otherwise."""
    images = int(os.environ.get("IMAGES") or IMAGES)
    with running(images) as up, _logs_kept(up):
        rate = rates.measure(up)
        switch, of_switch = switching.measure(up)
        long_run, of_long_run, course = changing.measure(up)
    plot.draw(_PLOT if images == IMAGES else report.FOLDER / f"reembed-{images}.svg", course, images)
    _judge([(switch, of_switch), (long_run, of_long_run)])
    sheets = [rate, switch, long_run]
    return (
        [row for sheet in sheets for row in sheet.rows],
        [target for sheet in sheets for target in sheet.targets],
        [detail for sheet in sheets for detail in sheet.details],
    )


def _judge(judged: Sequence[tuple[Sheet, Judgement]]) -> None:
    """Of both runs together, in the sheet of the last."""
    for sheet, judgement in judged:
        for name, count in judgement.rows():
            sheet.add(name, count)
        sheet.details.extend({"part": sheet.part, **detail} for detail in judgement.details())
    judgements = [judgement for _, judgement in judged]
    last, _ = judged[-1]
    failed = sum(len(judgement.failed) for judgement in judgements)
    mixed = sum(len(judgement.mixed) for judgement in judgements)
    last.target("reembed.failed_searches", failed, 0, "max")
    last.target("reembed.mixed_answers", mixed, 0, "max")


@contextmanager
def _logs_kept(up: Running) -> Iterator[None]:
    """Of a run that breaks."""
    try:
        yield
    except BaseException:
        shutil.copytree(up.home.logs, report.FOLDER / "reembed-logs", dirs_exist_ok=True)
        raise
