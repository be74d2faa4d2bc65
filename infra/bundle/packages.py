"""The packages of a function, fetched, checked, trimmed and compiled; once for all that need the same."""

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from infra.bundle.choice import Architecture
from infra.bundle.compiling import compile_instead
from infra.bundle.errors import BundleError
from infra.bundle.interpreter import VERSION, lambda_python
from infra.bundle.licences import gather_licences
from infra.bundle.locked import Locked, platform_of, read_lock, run_uv
from infra.bundle.trimming import trim
from infra.bundle.wheels import check_machine, check_versions, installed
from infra.debian import CACHE, filled_once
from infra.local.home import ROOT

_SOURCES: Final = Path(__file__).parent


def packages_of(extras: Iterable[str], arch: Architecture) -> Path:
    """A folder of all that these extras need. Raises `BundleError`."""
    locked = read_lock(extras, arch)
    digest = hashlib.sha256(f"{arch} {lambda_python()}\n{locked.requirements}".encode())
    for source in sorted(_SOURCES.glob("*.py")):
        digest.update(source.read_bytes())
    folder = CACHE / "bundle" / f"{arch}-{digest.hexdigest()[:16]}"
    return filled_once(folder, lambda tree: _fill(tree, locked, arch))


def _fill(tree: Path, locked: Locked, arch: Architecture) -> None:
    install(tree, locked, arch)
    check_versions({name: each.version for name, each in installed(tree).items()}, locked.versions)
    check_machine(tree, arch)
    gather_licences(tree, ROOT / "LICENSE")
    trim(tree)
    compile_instead(tree)


def install(tree: Path, locked: Locked, arch: Architecture) -> None:
    """Wheels only: what has to be built would be built for this machine. Raises `BundleError`."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="pixseek-") as file:
        file.write(locked.requirements)
        file.flush()
        command = (
            "pip", "install", "--quiet", "--no-deps", "--target", str(tree), "--link-mode", "copy",
            "--python", str(lambda_python()), "--python-version", VERSION,
            "--python-platform", platform_of(arch), "--only-binary", ":all:",
            "--require-hashes", "--requirement", file.name,
        )  # fmt: skip
        try:
            run_uv(*command)
        except BundleError as exc:
            raise BundleError(
                f"{exc}\nA bundle takes wheels only, for Python {VERSION} on {platform_of(arch)}. Of a "
                "package without one, lock a version that has one."
            ) from exc
