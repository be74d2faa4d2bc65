"""The index under faults: events lost, twice, shuffled; outages; kills: `make chaos`."""

import os
import shutil
import signal
import sys
from collections import Counter
from contextlib import ExitStack
from typing import Final, NoReturn

from rich.progress import Progress

from benchmarks import report
from benchmarks.chaos_parts import sheet
from benchmarks.chaos_parts.flavours import FLAVOURS, Flavour, Run, run
from benchmarks.chaos_parts.judging import judge
from benchmarks.chaos_parts.running import Running, running
from benchmarks.report import Target

_EVENTS: Final = 2000
_DELIVERIES_AN_EVENT: Final = 1.96
_FIGURES: Final = (
    "lost",
    "twice",
    "stale",
    "resurrected",
    "unexplained",
    "held_back",
    "orphan_previews",
    "embedded_again",
)


def main() -> int:
    """Both flavours, a sweep, the check; build/bench/chaos.json. 1 when a target is missed."""
    signal.signal(signal.SIGTERM, _interrupt)
    events, seed = int(os.environ.get("EVENTS") or _EVENTS), int(os.environ.get("SEED") or 1)
    with ExitStack() as closing:
        with report.step(f"starting the stack, seed {seed}"):
            up = closing.enter_context(running(seed))
        runs = [_run(up, flavour, events // len(FLAVOURS), seed) for flavour in FLAVOURS]
        with report.step("sweeping, checking"):
            judgements = [judge(up, one) for one in runs]
        wrong = [entry for judgement in judgements for entry in judgement.wrong]
        rows = sheet.rows(up, runs, judgements)
        details = sheet.details(up, wrong)
        if wrong:
            shutil.copytree(up.home.logs, report.FOLDER / "chaos-logs", dirs_exist_ok=True)
    found = Counter(figure for figure, _ in wrong)
    targets = [Target(f"chaos.{figure}", found[figure], 0, "max") for figure in _FIGURES]
    return report.publish("chaos", rows, targets, details=details)


def _run(up: Running, flavour: Flavour, events: int, seed: int) -> Run:
    with Progress(transient=True) as progress:
        task = progress.add_task(f"{flavour.storage}: {events} events", total=events * _DELIVERIES_AN_EVENT)
        done = run(
            flavour, up, events, f"{seed} {flavour.storage}", lambda n: progress.update(task, completed=n)
        )
    progress.console.print(f"{flavour.storage}: {done.told} events  {done.took_s:.1f} s", highlight=False)
    return done


def _interrupt(*_: object) -> NoReturn:
    """As Ctrl-C does: everything is put away."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
