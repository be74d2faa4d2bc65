"""Lambda's Python is found where it usually is, and no other is taken for it."""

from pathlib import Path

import pytest

from infra.bundle.errors import BundleError
from infra.bundle.interpreter import find_python


def _python(path: Path, script: str) -> Path:
    """A stand-in that answers what it is, as the real one would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _answering(path: Path, version: str, compiled: int = 3571) -> Path:
    return _python(path, f'echo "{version} cpython {compiled} {path}"')


def test_the_first_of_the_path_that_runs_is_taken(tmp_path: Path) -> None:
    shim = _python(tmp_path / "shims" / "python3.13", 'echo "pyenv: command not found" >&2; exit 127')
    real = _answering(tmp_path / "bin" / "python3.13", "3.13")

    found = find_python({"PATH": f"{shim.parent}:{real.parent}", "HOME": str(tmp_path)})

    assert found == real


def test_pyenvs_versions_are_looked_through(tmp_path: Path) -> None:
    real = _answering(tmp_path / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3.13", "3.13")

    assert find_python({"PATH": str(tmp_path), "HOME": str(tmp_path)}) == real


def test_lambda_python_names_another_place(tmp_path: Path) -> None:
    real = _answering(tmp_path / "python", "3.13")

    assert find_python({"LAMBDA_PYTHON": str(real), "PATH": "", "HOME": str(tmp_path)}) == real


def test_another_version_is_refused_and_told_how_to_get_the_right_one(tmp_path: Path) -> None:
    other = _answering(tmp_path / "python", "3.12")

    with pytest.raises(
        BundleError, match=r"run on CPython 3.13.*python is 3.12 cpython. Install Python 3.13"
    ):
        find_python({"LAMBDA_PYTHON": str(other), "PATH": "", "HOME": str(tmp_path)})


def test_a_pre_release_is_refused_as_its_compiled_files_are_others(tmp_path: Path) -> None:
    early = _answering(tmp_path / "python", "3.13", 3568)

    with pytest.raises(BundleError, match=r"a pre-release of 3.13 cpython \(its files are 3568, not 3571\)"):
        find_python({"LAMBDA_PYTHON": str(early), "PATH": "", "HOME": str(tmp_path)})


def test_none_at_all_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(
        BundleError, match=r"python3.13 was not found, or does not run. Install .* LAMBDA_PYTHON"
    ):
        find_python({"PATH": str(tmp_path), "HOME": str(tmp_path)})
