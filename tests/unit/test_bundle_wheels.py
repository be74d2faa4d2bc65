"""A bundle's packages are those of the lock, and Lambda can load them."""

from pathlib import Path

import pytest
from packaging.tags import parse_tag

from infra.bundle.choice import Architecture
from infra.bundle.elf import read_shared_object, without_symbols
from infra.bundle.errors import BundleError
from infra.bundle.wheels import check_machine, check_versions, fits
from tests.shared_objects import ARM64, SYMBOLS, X86_64, shared_object

_LOCKED = {"httpx": "0.28.1", "pillow": "13.0.0"}


def test_the_locks_versions_pass() -> None:
    check_versions(dict(_LOCKED), _LOCKED)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"httpx": "0.28.1", "pillow": "12.0.0"}, "pillow is 12.0.0, and 13.0.0 in the lock"),
        ({"httpx": "0.28.1"}, "pillow is missing"),
        ({**_LOCKED, "boto3": "1.42.0"}, "boto3 1.42.0 is not in the lock"),
    ],
    ids=["another version", "missing", "extra"],
)
def test_any_difference_from_the_lock_is_refused(found: dict[str, str], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check_versions(found, _LOCKED)


@pytest.mark.parametrize(
    ("tag", "arch"),
    [
        ("py3-none-any", "arm64"),
        ("py2.py3-none-any", "x86_64"),
        ("cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64", "arm64"),
        ("cp311-abi3-manylinux_2_34_aarch64", "arm64"),
        ("cp37-abi3-manylinux1_x86_64", "x86_64"),
        ("cp313-none-manylinux_2_17_aarch64", "arm64"),
    ],
)
def test_a_wheel_for_lambda_fits(tag: str, arch: Architecture) -> None:
    assert any(fits(each, arch) for each in parse_tag(tag))


@pytest.mark.parametrize(
    "tag",
    [
        "cp313-cp313-manylinux_2_17_x86_64",
        "cp313-cp313-manylinux_2_35_aarch64",
        "cp313-cp313-musllinux_1_2_aarch64",
        "cp313-cp313-macosx_11_0_arm64",
        "cp312-cp312-manylinux_2_17_aarch64",
        "cp313-cp313t-manylinux_2_17_aarch64",
        "cp313-cp313d-manylinux_2_17_aarch64",
        "py3-cp313-manylinux_2_17_aarch64",
        "cp312-none-any",
        "cp314-abi3-manylinux_2_17_aarch64",
        "pp311-pypy311_pp73-manylinux_2_17_aarch64",
        "py2-none-any",
    ],
)
def test_a_wheel_for_another_machine_or_python_does_not(tag: str) -> None:
    assert not any(fits(each, "arm64") for each in parse_tag(tag))


def test_a_shared_object_names_its_machine_and_its_libraries(tmp_path: Path) -> None:
    path = tmp_path / "module.so"
    path.write_bytes(shared_object(ARM64, "libone.so.1", "libtwo.so.2"))

    found = read_shared_object(path)

    assert found is not None
    assert (found.machine, found.needed) == ("arm64", ("libone.so.1", "libtwo.so.2"))


def test_what_no_loader_reads_goes_and_the_rest_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "module.so"
    whole = shared_object(X86_64, "libone.so.1", "libtwo.so.2")
    path.write_bytes(without_symbols(whole))

    found = read_shared_object(path)

    assert found is not None
    assert (found.machine, found.needed) == ("x86_64", ("libone.so.1", "libtwo.so.2"))
    assert SYMBOLS in whole
    assert SYMBOLS not in path.read_bytes()


def test_leaving_out_symbols_twice_changes_nothing_more() -> None:
    once = without_symbols(shared_object(X86_64))

    assert without_symbols(once) == once


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"print('hello')", b"\x7fELF\x01\x01" + bytes(64)])
def test_any_other_file_is_no_shared_object(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    assert read_shared_object(path) is None


def test_a_shared_object_for_another_machine_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.so").write_bytes(shared_object(X86_64))

    with pytest.raises(BundleError, match=r"on arm64: package/module.so \(machine x86_64\)"):
        check_machine(tmp_path, "arm64")


def test_a_wheel_for_another_machine_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "fast-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: fast\nVersion: 1.0\n", encoding="utf-8")
    (folder / "WHEEL").write_text("Tag: cp313-cp313-manylinux_2_17_x86_64\n", encoding="utf-8")

    with pytest.raises(BundleError, match=r"the wheel of fast \(cp313-cp313-manylinux_2_17_x86_64\)"):
        check_machine(tmp_path, "arm64")
