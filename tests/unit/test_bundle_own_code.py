"""Of our own folders only what functions on AWS read is deployed, whatever else lies there."""

from pathlib import Path

import pytest

from infra.bundle.own_code import LABEL_VECTORS, OWN_UNREAD, copy_own_code


def _lay(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def _copied(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_the_named_folders_and_files_are_copied_and_no_others(tmp_path: Path) -> None:
    root, to = tmp_path / "root", tmp_path / "to"
    _lay(root, "functions/__init__.py", "functions/a/aws.py", "functions/b/aws.py", "shared/deep/c.json")

    copy_own_code(("functions/__init__.py", "functions/a", "shared"), to, root=root)

    assert _copied(to) == {"functions/__init__.py", "functions/a/aws.py", "shared/deep/c.json"}
    assert (to / "functions/a/aws.py").read_text() == "functions/a/aws.py"


@pytest.mark.parametrize(
    "stray",
    [
        "shared/x.pem",
        "shared/model.onnx",
        "shared/x.py~",
        "shared/.env",
        "shared/.hidden/x.py",
        "shared/__pycache__/x.cpython-311.pyc",
    ],
)
def test_what_lies_there_by_chance_stays_out(stray: str, tmp_path: Path) -> None:
    root, to = tmp_path / "root", tmp_path / "to"
    _lay(root, "shared/x.py", stray)

    copy_own_code(("shared",), to, root=root)

    assert _copied(to) == {"shared/x.py"}


def test_entries_of_another_cloud_stay_out(tmp_path: Path) -> None:
    root, to = tmp_path / "root", tmp_path / "to"
    _lay(root, "functions/search/aws.py", "functions/search/gcp.py", "shared/storage/gcs.py")

    copy_own_code(("functions", "shared"), to, root=root)

    assert _copied(to) == {"functions/search/aws.py", "shared/storage/gcs.py"}


@pytest.mark.parametrize(("but_read", "copied"), [((), set()), ((LABEL_VECTORS,), {LABEL_VECTORS})])
def test_the_label_vectors_come_only_for_who_reads_them(
    but_read: tuple[str, ...], copied: set[str], tmp_path: Path
) -> None:
    root, to = tmp_path / "root", tmp_path / "to"
    _lay(root, LABEL_VECTORS, "functions/search/gcp.py")

    copy_own_code(("functions", "shared"), to, but_read=but_read, root=root)

    assert _copied(to) == copied


def test_each_row_of_the_table_has_a_reason() -> None:
    assert all(OWN_UNREAD.values())
