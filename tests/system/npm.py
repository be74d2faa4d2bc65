"""npm packages, as tests/system/node/package-lock.json pins them, into build/cache."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.debian import CACHE, filled_once

_PINNED = Path(__file__).with_name("node")
_LOCK = "package-lock.json"
_TIMEOUT_S = 300


def modules() -> Path:
    """The folder `node_modules`. A test that cannot have it fails with the reason."""
    digest = hashlib.sha256((_PINNED / _LOCK).read_bytes()).hexdigest()
    return filled_once(CACHE / f"npm-{digest[:12]}", _fill) / "node_modules"


def _fill(folder: Path) -> None:
    if shutil.which("npm") is None:
        _install_npm()
    for name in ("package.json", _LOCK):
        shutil.copy(_PINNED / name, folder)
    _run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


def _install_npm() -> None:
    """npm needs hundreds of Debian's packages, so it is installed rather than unpacked."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.fail("npm is missing, and only root can apt-get it: install Node.js ≥ 20", pytrace=False)
    _run(_PINNED, "apt-get", "update", "--quiet")
    _run(_PINNED, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "nodejs", "npm")


def _run(folder: Path, *command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"`{' '.join(command)}` took more than {_TIMEOUT_S} s", pytrace=False)
    except subprocess.CalledProcessError as exc:
        pytest.fail(f"`{' '.join(command)}` failed:\n{exc.stdout}{exc.stderr}", pytrace=False)
