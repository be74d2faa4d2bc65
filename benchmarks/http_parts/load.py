"""Many callers at once, in a process of their own."""

import os
import subprocess
import sys

from pydantic import BaseModel

from infra.local.home import ROOT


class Load(BaseModel):
    """How the callers fared."""

    callers: int
    elapsed_s: float
    processor_s: float
    """What the callers took of a core; near to `elapsed_s` they would be what limits the pace."""
    answered: int
    """Right answers."""
    errors: dict[str, int]
    """All else, by status or by kind."""
    p50_ms: float | None
    p95_ms: float | None

    @property
    def per_s(self) -> float:
        """Right answers a second."""
        return self.answered / self.elapsed_s


def put(url: str, token: str, seconds: float) -> Load:
    """Load a handler with searches for remembered texts."""
    run = subprocess.run(  # noqa: S603 -- ours
        [sys.executable, "-m", "benchmarks.http_parts.load_worker", url, str(seconds)],
        cwd=ROOT,
        env={**os.environ, "TOKEN": token},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Load.model_validate_json(run.stdout)
