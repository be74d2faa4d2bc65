"""The Python that runs a function as Lambda's does: 3.13 with AWS's own runtime client and boto3."""

import hashlib
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from infra.bundle.interpreter import lambda_python
from infra.debian import CACHE, filled_once

_PINS: Final = Path(__file__).with_name("lambda-runtime.txt")
_TIMEOUT_S: Final = 300


class RuntimeMissingError(Exception):
    """The runtime cannot be made here; the message says why."""


@cache
def runtime_python() -> Path:
    """Its interpreter, made once. Raises `RuntimeMissingError`, and `BundleError` without a Python 3.13."""
    base = lambda_python()
    digest = hashlib.sha256(_PINS.read_bytes() + str(base).encode()).hexdigest()

    def fill(folder: Path) -> None:
        _run(str(base), "-m", "venv", str(folder))
        _run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--requirement", str(_PINS))

    return filled_once(CACHE / f"lambda-runtime-{digest[:12]}", fill) / "bin" / "python"


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603 -- ours, no shell
    except subprocess.TimeoutExpired as exc:
        raise RuntimeMissingError(f"`{' '.join(command)}` took more than {_TIMEOUT_S} s") from exc
    except subprocess.CalledProcessError as exc:
        raise RuntimeMissingError(f"`{' '.join(command)}` failed: {exc.stderr or exc.stdout}") from exc
