"""Debian packages for their files: fetched and unpacked without being installed, so without root."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).parents[1] / "build" / "cache"

_TIMEOUT_S: Final = 300


class NotAtHandError(Exception):
    """This machine has no apt, or apt reaches no archive that has the package."""


def filled_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """A folder as `fill` left it: complete or not there, whatever is killed, whoever else fills it."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            filled = Path(beside) / folder.name
            filled.mkdir()
            fill(filled)
            try:
                filled.rename(folder)
            except OSError:
                if not folder.is_dir():  # nobody was faster: something is wrong
                    raise
    return folder


def unpack(package: str, folder: Path) -> None:
    """Unpack a package of the configured archive into a folder. Raises `NotAtHandError` with the reason."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NotAtHandError(f"{package} is a Debian package, and this machine has no apt-get and dpkg")
    with tempfile.TemporaryDirectory(prefix="pixseek-apt-") as download:
        try:
            _run(download, "apt-get", "download", package)
        except NotAtHandError:
            # apt's lists may be missing (in a container) or old: fetch them, to a place of our own.
            Path(download, "lists", "partial").mkdir(parents=True)
            own = ("-o", f"Dir::State::Lists={download}/lists", "-o", f"Dir::Cache={download}")
            _run(download, "apt-get", *own, "update")
            _run(download, "apt-get", *own, "download", package)
        (archive,) = Path(download).glob("*.deb")
        _run(download, "dpkg", "-x", str(archive), str(folder))


def _run(folder: str, *command: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603 -- ours, no shell
    except subprocess.TimeoutExpired as exc:
        raise NotAtHandError(f"`{command[0]}` took more than {_TIMEOUT_S} s") from exc
    except subprocess.CalledProcessError as exc:
        raise NotAtHandError(f"`{command[0]}` failed: {exc.stderr.strip() or exc.stdout.strip()}") from exc
