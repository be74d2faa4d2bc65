"""Whether a bundle's functions can be imported from it alone, as Lambda does."""

import json
import platform
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from infra.bundle.choice import ENTRIES, Architecture, Choice
from infra.bundle.errors import BundleError
from infra.bundle.extras import may_be_absent
from infra.bundle.interpreter import lambda_python

_SCRIPT: Final = Path(__file__).with_name("imported.py")
_MACHINES: Final = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}
_TIMEOUT_S: Final = 120


def runs_here(arch: Architecture) -> bool:
    """Whether this machine can run a bundle of that architecture."""
    return platform.system() == "Linux" and _MACHINES.get(platform.machine()) == arch


def smoke(bundle: Path, function: str, choice: Choice) -> None:
    """Import all that the bundle's own code imports, now or later. Raises `BundleError`.

    Nothing else is in reach: no packages of this machine, no environment, a folder that is not written to.
    On a machine of another architecture nothing is imported.
    """
    if not runs_here(choice.arch):
        return
    with tempfile.TemporaryDirectory(prefix="pixseek-smoke-") as folder:
        with zipfile.ZipFile(bundle) as archive:
            archive.extractall(folder)
        entries = [f"functions.{function}.{entry}" for entry in ENTRIES[function]]
        absent = ",".join(may_be_absent(choice.extras(function)))
        done = subprocess.run(  # noqa: S603 -- ours, no shell
            [lambda_python(), "-I", "-S", "-B", _SCRIPT, folder, absent, *entries],
            cwd=folder, env={}, capture_output=True, text=True, timeout=_TIMEOUT_S,
        )  # fmt: skip
    if done.returncode:
        raise BundleError(f"{bundle.name} cannot be imported: {done.stderr.strip()}")
    failures = json.loads(done.stdout)
    if failures:
        raise BundleError(f"{bundle.name} lacks what its code imports: {'; '.join(failures)}")
