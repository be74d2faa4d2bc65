"""The most memory that a worker takes, on the worst pictures that are let in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import BaseModel
from storage3.types import FileOptions

from benchmarks.ingest_parts import worst_pictures
from benchmarks.ingest_parts.running import Running
from infra.local.home import ROOT

_MATES: Final = 8
"""Of the largest size, read meanwhile."""
MANY: Final = 24
"""In one event, as SQS batches bring them."""
WORST_OF_MANY: Final = "progressive JPEG of inks"
"""Among mates a strip of it took more in one run and less in another; 24 strips take a tenth less."""
_FILE_OPTIONS: Final[FileOptions] = {"content-type": "application/octet-stream"}


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
            storage.upload(_name(kind), path.read_bytes(), _FILE_OPTIONS)
    return {kind: _peak_mb(running, bucket, [_name(kind)], mates) for kind in written}


def of_many(running: Running) -> float:
    """Megabytes for many of the worst in one event, in a process of its own."""
    bucket = running.bucket("worst-many")
    storage = running.project.client.storage.from_(bucket)
    names = [f"many-{number}" for number in range(MANY)]
    files = each_of_its_own(worst_pictures.written()[WORST_OF_MANY].read_bytes())
    with running.without_events():
        for name, file in zip(names, files, strict=True):
            storage.upload(name, file, _FILE_OPTIONS)
    return _peak_mb(running, bucket, names)


def each_of_its_own(file: bytes) -> Iterator[bytes]:
    """As many that differ behind the picture, and are no larger: the same bytes would be embedded once."""
    return (file[:-1] + bytes([number]) for number in range(MANY))


def _name(kind: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in kind)


def _peak_mb(running: Running, bucket: str, legal: Sequence[str], others: Sequence[str] = ()) -> float:
    run = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-m", "benchmarks.ingest_parts.memory_worker", bucket, *legal, *others],
        cwd=ROOT,
        env={**os.environ, **running.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    worked = Worked.model_validate_json(run.stdout.splitlines()[-1])
    if set(worked.standings[: len(legal)]) != {"indexed"}:
        raise RuntimeError(f"{legal[0]} should be legal: {json.dumps(worked.standings)} {run.stderr}")
    return worked.peak_mb
