"""`pixseek audit` as a process of its own, and what it tells."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from benchmarks.reembed_parts.auditing_data import BUCKET
from benchmarks.reembed_parts.auditing_planting import Named
from benchmarks.reembed_parts.auditing_stack import Offline
from infra.local.home import ROOT

_COMMAND: Final = ("audit", BUCKET, "--repair", "--no-recall", "--json")
_UNSET: Final = ("SUPABASE_URL", "BUCKETS", "PREVIEWS", "STORAGE")


class Told(BaseModel):
    """The line about the audit as a whole."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: str
    objects: int
    images: int
    faults: dict[str, int]
    repaired: dict[str, int]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """How one went."""

    faults: "Counter[Named]"
    told: Told
    exit_code: int
    took_s: float
    peak_mb: float

    @property
    def repaired(self) -> int:
        """How many faults."""
        return sum(self.told.repaired.values())


def run(up: Offline) -> Run:
    """With repairs, without the check of the recall."""
    started_s = time.monotonic()
    done = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-m", "benchmarks.reembed_parts.auditing_worker", *_COMMAND],
        cwd=ROOT,
        env={**os.environ, **dict.fromkeys(_UNSET, ""), "PIXSEEK_HOME": str(up.home.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    took_s = time.monotonic() - started_s
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    faults = Counter(Named(line["fault"], line["bucket"], line["image"]) for line in lines if "fault" in line)
    [told] = [Told.model_validate(line["audit"]) for line in lines if "audit" in line]
    [peak_mb] = [line["peak_mb"] for line in lines if "peak_mb" in line]
    return Run(faults, told, done.returncode, took_s, peak_mb)
