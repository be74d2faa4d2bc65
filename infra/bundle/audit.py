"""Known vulnerabilities of the packages in a bundle, by pip-audit."""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from infra.bundle.errors import BundleError

EXPLAINED: Final = Path(__file__).with_name("audit.toml")

Runner: TypeAlias = Callable[[str], str]
"""From a requirements file to pip-audit's JSON. Raises `NotCheckedError`."""

_TIMEOUT_S: Final = 300


class NotCheckedError(Exception):
    """The advisory database did not answer, for this reason."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was asked for, and what came of it."""

    checked: int
    unchecked: tuple[str, ...]
    explained: Mapping[str, str]
    """Why each advisory that was found does no harm."""


def audit(requirements: str, run: Runner | None = None, explained: Path = EXPLAINED) -> Audit:
    """Raises `BundleError` for what is found and not explained, `NotCheckedError` when nothing is known."""
    packages = json.loads((run or run_pip_audit)(requirements))["dependencies"]
    unchecked = tuple(package["name"] for package in packages if "skip_reason" in package)
    if packages and len(unchecked) == len(packages):
        raise NotCheckedError(packages[0]["skip_reason"])
    reasons = read_explained(explained)
    found = [(advisory["id"], package, advisory) for package in packages for advisory in _advisories(package)]
    open_ones = [_told(package, advisory) for id_, package, advisory in found if id_ not in reasons]
    if open_ones:
        raise BundleError(
            f"known vulnerabilities in what is locked: {'; '.join(open_ones)}. Run `uv lock "
            f"--upgrade-package` for it, or say in infra/bundle/{EXPLAINED.name} why it does no harm here."
        )
    return Audit(len(packages) - len(unchecked), unchecked, {id_: reasons[id_] for id_, _, _ in found})


def read_explained(path: Path) -> dict[str, str]:
    """Reasons by advisory. Raises `BundleError` for one without."""
    rows: list[dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8")).get("explained", [])
    wrong = [row for row in rows if not (row.get("id") and row.get("reason"))]
    if wrong:
        raise BundleError(f"{path} explains nothing with {wrong[0]}: each entry has an id and a reason")
    return {row["id"]: row["reason"] for row in rows}


def run_pip_audit(requirements: str) -> str:
    """What pip-audit prints; it ends with 1 both for findings and without a connection."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", prefix="pixseek-") as file:
        file.write(requirements)
        file.flush()
        command = (
            sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes",
            "--progress-spinner", "off", "--format", "json", "--requirement", file.name,
        )  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603 -- ours, no shell
        except subprocess.TimeoutExpired as exc:
            raise NotCheckedError(f"no answer within {_TIMEOUT_S} s") from exc
    if not done.stdout.strip():
        raise NotCheckedError((done.stderr.strip() or "pip-audit says nothing").splitlines()[-1])
    return done.stdout


def _advisories(package: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = package.get("vulns", [])
    return found


def _told(package: dict[str, Any], advisory: dict[str, Any]) -> str:
    mended = ", ".join(advisory.get("fix_versions", [])) or "no version yet"
    return f"{package['name']} {package['version']} has {advisory['id']} (mended in {mended})"
