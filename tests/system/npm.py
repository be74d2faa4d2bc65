"""npm packages for tests: npm itself is installed where it is missing and may be."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.npm import NpmError
from infra.npm import modules as pinned_modules

_PINNED = Path(__file__).with_name("node")
_TIMEOUT_S = 300


def modules(pinned: Path = _PINNED) -> Path:
    """The folder `node_modules`. A test that cannot have it fails with the reason."""
    if shutil.which("npm") is None:
        _install_npm()
    try:
        return pinned_modules(pinned)
    except NpmError as exc:
        pytest.fail(str(exc), pytrace=False)


def _install_npm() -> None:
    """npm needs hundreds of Debian's packages, so it is installed rather than unpacked."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.fail("npm is missing, and only root can apt-get it: install Node.js ≥ 20", pytrace=False)
    _run("apt-get", "update", "--quiet")
    _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "nodejs", "npm")


def _run(*command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"`{' '.join(command)}` took more than {_TIMEOUT_S} s", pytrace=False)
    except subprocess.CalledProcessError as exc:
        pytest.fail(f"`{' '.join(command)}` failed:\n{exc.stdout}{exc.stderr}", pytrace=False)
