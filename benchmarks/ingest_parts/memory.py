"""The most memory that a worker takes, on the worst pictures that are let in."""

import json
import os
import subprocess
import sys
from typing import Final

from pydantic import BaseModel

from benchmarks.ingest_parts import worst_pictures
from benchmarks.ingest_parts.running import Running
from infra.local.home import ROOT

_MATES: Final = 8
"""Of the largest size, read meanwhile."""


class Worked(BaseModel):
    """How a worker went."""

    peak_mb: float
    standings: list[str]


def of_worst_inputs(running: Running) -> dict[str, float]:
    """Megabytes by kind: each in a batch with large mates, in a process of its own."""
    bucket = running.bucket("worst")
    storage = running.project.client.storage.from_(bucket)
    written = worst_pictures.written()
    with running.without_events():
        mates = [f"mate-{number}" for number in range(_MATES)]
        for name in mates:
            storage.upload(name, os.urandom(24_900_000))
        for kind, path in written.items():
            storage.upload(_name(kind), path.read_bytes(), {"content-type": "application/octet-stream"})
    return {kind: _peak_mb(running, bucket, [_name(kind), *mates]) for kind in written}


def _name(kind: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in kind)


def _peak_mb(running: Running, bucket: str, names: list[str]) -> float:
    run = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-m", "benchmarks.ingest_parts.memory_worker", bucket, *names],
        cwd=ROOT,
        env={**os.environ, **running.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    worked = Worked.model_validate_json(run.stdout.splitlines()[-1])
    if worked.standings[0] != "indexed":
        raise RuntimeError(f"{names[0]} should be legal: {json.dumps(worked.standings)} {run.stderr}")
    return worked.peak_mb
