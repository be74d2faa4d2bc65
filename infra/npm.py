"""npm packages, as a folder's package-lock.json pins them, into build/cache."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from infra.debian import CACHE, filled_once

_LOCK: Final = "package-lock.json"
_TIMEOUT_S: Final = 300


class NpmError(Exception):
    """npm is missing or fails; the message says what to do."""


def modules(pinned: Path) -> Path:
    """The folder `node_modules` of the packages that a folder pins, fetched once. Raises `NpmError`."""
    digest = hashlib.sha256((pinned / _LOCK).read_bytes()).hexdigest()
    return filled_once(CACHE / f"npm-{digest[:12]}", lambda folder: _fill(folder, pinned)) / "node_modules"


def _fill(folder: Path, pinned: Path) -> None:
    if shutil.which("npm") is None:
        raise NpmError("npm is missing: install Node.js 20 or newer, which brings it, and run this again")
    for name in ("package.json", _LOCK):
        shutil.copy(pinned / name, folder)
    command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603 -- ours, no shell
    except subprocess.TimeoutExpired as exc:
        raise NpmError(
            f"`npm ci` took more than {_TIMEOUT_S} s: is the registry within reach? Run this again"
        ) from exc
    except subprocess.CalledProcessError as exc:
        raise NpmError(
            f"`npm ci` failed: is the registry within reach? Then run this again\n{exc.stdout}{exc.stderr}"
        ) from exc
