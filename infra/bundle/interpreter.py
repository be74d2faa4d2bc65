"""The Python that Lambda runs, found on this machine."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from infra.bundle.errors import BundleError

VERSION: Final = "3.13"

_COMPILED: Final = "3571"
"""What compiled files of 3.13 begin with; its pre-releases had others (importlib._bootstrap_external)."""

_HOW: Final = (
    f"Install Python {VERSION} (for instance `uv python install {VERSION}` or `pyenv install {VERSION}`) and "
    "put it in PATH, or name it in LAMBDA_PYTHON."
)
_ASK: Final = """
import sys, importlib.util
compiled = int.from_bytes(importlib.util.MAGIC_NUMBER[:2], "little")
print("%d.%d" % sys.version_info[:2], sys.implementation.name, compiled, sys.executable)
"""


@cache
def lambda_python() -> Path:
    """The interpreter of LAMBDA_PYTHON, or python3.13 of PATH or pyenv. Raises `BundleError`."""
    return find_python(os.environ)


def find_python(environment: Mapping[str, str]) -> Path:
    """The first that runs and is what Lambda runs. Raises `BundleError` that says how to get one."""
    named = environment.get("LAMBDA_PYTHON", "")
    others = []
    for candidate in _candidates(named or f"python{VERSION}", environment):
        version, executable = _asked(candidate)
        if version == f"{VERSION} cpython {_COMPILED}":
            return executable
        if version:
            others.append(f"{candidate} is {_told(version)}")
    if others:
        raise BundleError(
            f"the functions run on CPython {VERSION}, and their compiled files fit no other: "
            f"{'; '.join(others)}. {_HOW}"
        )
    raise BundleError(f"{named or f'python{VERSION}'} was not found, or does not run. {_HOW}")


def _told(version: str) -> str:
    name, _, compiled = version.rpartition(" ")
    is_early = name == f"{VERSION} cpython"
    return f"a pre-release of {name} (its files are {compiled}, not {_COMPILED})" if is_early else name


def _candidates(name: str, environment: Mapping[str, str]) -> Iterator[Path]:
    if os.sep in name:
        yield Path(name)
        return
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder)
        if found:
            yield Path(found)
    root = environment.get("PYENV_ROOT") or Path(environment.get("HOME", "/"), ".pyenv")
    yield from sorted(Path(root, "versions").glob(f"{VERSION}*/bin/{name}"), reverse=True)


def _asked(python: Path) -> tuple[str, Path]:
    """What it is, and where. Empty when it does not run: a shim of pyenv may stand for nothing."""
    try:
        done = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, timeout=30)  # noqa: S603 -- ours, no shell
    except (OSError, subprocess.TimeoutExpired):
        return "", python
    words = done.stdout.strip().split(" ", 3)
    return (" ".join(words[:3]), Path(words[3])) if done.returncode == 0 and len(words) == 4 else ("", python)
