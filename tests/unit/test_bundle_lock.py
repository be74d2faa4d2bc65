"""What the lock says for Lambda's Python is what gets installed; uv's complaints come with what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.bundle import locked, packages
from infra.bundle.errors import BundleError
from infra.bundle.locked import Locked, read_lock, run_uv

_EXPORTED = r"""cffi==2.1.1 ; platform_python_implementation != 'PyPy' \
    --hash=sha256:aa \
    --hash=sha256:ab
pycparser==3.12 \
    --hash=sha256:ba
Typing_Extensions==4.16.0 ; python_full_version >= '3.13' \
    --hash=sha256:ca
tomli==2.4.1 ; python_full_version < '3.13' \
    --hash=sha256:da
colorama==0.4.6 ; sys_platform == 'win32' \
    --hash=sha256:ea
uvloop==0.22.1 ; platform_machine == 'aarch64' \
    --hash=sha256:fa
botocore==1.44.8 \
    --hash=sha256:0a
"""

StandIn = Callable[[str], None]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Puts a script in the place of uv."""
    monkeypatch.setattr(locked, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(script: str) -> None:
        (tmp_path / "uv").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / "uv").chmod(0o755)

    return put


def test_the_lock_is_read_for_lambdas_python_and_machine(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "exported").write_text(_EXPORTED, encoding="utf-8")
    stand_in(f'echo "$@" > {tmp_path}/asked; cat {tmp_path}/exported')

    found = read_lock(("roboflow", "search"), "arm64")

    assert found.versions == {"cffi": "2.1.1", "typing-extensions": "4.16.0", "uvloop": "0.22.1"}
    assert "--hash=sha256:aa --hash=sha256:ab\n" in found.requirements
    assert "pycparser" not in found.requirements
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert "--frozen" in asked
    assert asked.endswith("--extra roboflow --extra search\n")


def test_the_other_machine_has_its_own_packages(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "exported").write_text(_EXPORTED, encoding="utf-8")
    stand_in(f"cat {tmp_path}/exported")

    assert read_lock((), "x86_64").versions == {"cffi": "2.1.1", "typing-extensions": "4.16.0"}


def test_uv_is_missing_and_what_makes_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BundleError, match=r"uv .* is missing: run `make package`"):
        run_uv("export")


def test_uvs_complaint_is_handed_on(stand_in: StandIn) -> None:
    stand_in("echo 'the lock is broken' >&2; exit 2")

    with pytest.raises(BundleError, match="`uv export` failed: the lock is broken"):
        run_uv("export")


def test_a_package_without_a_wheel_is_told_with_a_way_out(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("echo 'hyx has no wheels with a matching tag' >&2; exit 1")
    monkeypatch.setattr(packages, "lambda_python", lambda: tmp_path / "python3.13")

    with pytest.raises(
        BundleError, match=r"(?s)hyx has no wheels.*takes wheels only, for Python 3.13 on aarch64"
    ):
        packages.install(tmp_path / "tree", Locked("hyx==1.0\n", {"hyx": "1.0"}), "arm64")
