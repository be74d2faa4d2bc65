"""Known vulnerabilities stop a bundle unless they are explained; no answer is not taken for a good one."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.bundle.audit import EXPLAINED, NotCheckedError, audit, read_explained
from infra.bundle.errors import BundleError

_CLEAN = {"name": "httpx", "version": "0.28.1", "vulns": []}
_UNKNOWN = {"name": "stamina", "skip_reason": "Dependency not found on PyPI"}
_FOUND = {
    "name": "pillow",
    "version": "13.0.0",
    "vulns": [{"id": "GHSA-1", "fix_versions": ["13.0.1"], "aliases": ["CVE-1"], "description": "..."}],
}
_UNMENDED = {"name": "h2", "version": "4.4.1", "vulns": [{"id": "GHSA-2", "fix_versions": []}]}


def _answers(*packages: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


@pytest.fixture
def explained(tmp_path: Path) -> Path:
    path = tmp_path / "audit.toml"
    path.write_text('[[explained]]\nid = "GHSA-1"\nreason = "the format is not read"\n', encoding="utf-8")
    return path


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    path = tmp_path / "none.toml"
    path.touch()
    return path


def test_the_requirements_are_handed_over_and_the_packages_counted(nothing: Path) -> None:
    asked: list[str] = []

    def run(requirements: str) -> str:
        asked.append(requirements)
        return _answers(_CLEAN, _UNKNOWN)

    done = audit("httpx==0.28.1\n", run, nothing)

    assert asked == ["httpx==0.28.1\n"]
    assert (done.checked, done.unchecked, done.explained) == (1, ("stamina",), {})


def test_a_finding_fails_with_the_version_that_mends_it(nothing: Path) -> None:
    with pytest.raises(
        BundleError, match=r"pillow 13.0.0 has GHSA-1 \(mended in 13.0.1\); h2 4.4.1 has GHSA-2"
    ):
        audit("", lambda _: _answers(_CLEAN, _FOUND, _UNMENDED), nothing)


def test_a_finding_is_told_of_each_package_that_has_it(nothing: Path) -> None:
    shared = [{"id": "GHSA-1", "fix_versions": ["2"]}]
    urllib3 = {"name": "urllib3", "version": "1", "vulns": shared}
    requests = {"name": "requests", "version": "1", "vulns": shared}

    with pytest.raises(BundleError, match=r"urllib3 1 has GHSA-1 .*; requests 1 has GHSA-1 "):
        audit("", lambda _: _answers(urllib3, requests), nothing)


def test_a_finding_with_a_reason_is_told_and_passes(explained: Path) -> None:
    done = audit("", lambda _: _answers(_CLEAN, _FOUND), explained)

    assert done.explained == {"GHSA-1": "the format is not read"}


def test_a_reason_excuses_its_own_finding_alone(explained: Path) -> None:
    with pytest.raises(BundleError, match=r": h2 4.4.1 has GHSA-2 \(mended in no version yet\)"):
        audit("", lambda _: _answers(_FOUND, _UNMENDED), explained)


def test_a_database_that_knows_no_package_has_checked_nothing(nothing: Path) -> None:
    with pytest.raises(NotCheckedError, match="not found on PyPI"):
        audit("", lambda _: _answers(_UNKNOWN), nothing)


def test_an_entry_without_a_reason_explains_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.toml"
    path.write_text('[[explained]]\nid = "GHSA-1"\n', encoding="utf-8")

    with pytest.raises(BundleError, match="each entry has an id and a reason"):
        read_explained(path)


def test_the_projects_own_explanations_can_be_read() -> None:
    assert read_explained(EXPLAINED) is not None
