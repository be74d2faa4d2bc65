"""Compiled files that Lambda's Python takes as they are: it never looks at the source, nor at its time."""

import subprocess
from pathlib import Path
from typing import Final

from infra.bundle.errors import BundleError
from infra.bundle.interpreter import lambda_python

TASK_ROOT: Final = "/var/task"
"""Where Lambda unpacks a function: the paths of its tracebacks."""


def compile_beside(tree: Path) -> None:
    """Into `__pycache__`, beside the sources. Raises `BundleError` for what is no Python."""
    _compile(tree)


def compile_instead(tree: Path) -> None:
    """In place of the sources: a package's `module.pyc` is found as its `module.py` was, and read faster."""
    _compile(tree, "-b")
    for source in list(tree.rglob("*.py")):
        source.unlink()


def _compile(tree: Path, *options: str) -> None:
    """One process, one after the other, and a fixed seed: the same sources give the same bytes."""
    done = subprocess.run(  # noqa: S603 -- ours, no shell
        [
            lambda_python(), "-s", "-P", "-m", "compileall", "-q", "-f", *options,
            "--invalidation-mode", "unchecked-hash", "-s", tree, "-p", TASK_ROOT, tree,
        ],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise BundleError(f"Python could not compile what goes into a bundle: {done.stdout.strip()}")
