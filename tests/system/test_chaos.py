"""The index under faults, in full: two stores, lost and doubled events, kills, restarts."""

import json
import os
import subprocess
import sys

from benchmarks import report
from infra.local.home import ROOT

_FIGURES = [
    "chaos.lost",
    "chaos.twice",
    "chaos.stale",
    "chaos.resurrected",
    "chaos.unexplained",
    "chaos.held_back",
    "chaos.orphan_previews",
    "chaos.embedded_again",
]


def test_after_the_queue_drains_and_one_sweep_the_index_is_the_bucket() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos"],
        cwd=ROOT,
        env={**os.environ, "EVENTS": "2000", "SEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    result = json.loads((report.FOLDER / "chaos.json").read_text())
    assert {target["id"]: target["value"] for target in result["targets"]} == dict.fromkeys(_FIGURES, 0)
    happened = {row["what"]: row for row in result["rows"]}
    assert happened["kills"]["s3"] > 0
    assert happened["never delivered"]["supabase"] > 0
