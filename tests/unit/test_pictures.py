"""Folders of pictures, as `pixseek index` takes them."""

import hashlib
from pathlib import Path

import pytest

from infra.cli.connection import Project, RefusedError
from infra.cli.pictures import LocalPicture, find, object_name, upload_and_wait
from infra.local.home import Connection


def test_pictures_are_found_below_a_folder_and_named_by_it(tmp_path: Path) -> None:
    folder = tmp_path / "Holiday"
    (folder / "day 1").mkdir(parents=True)
    (folder / "day 1" / "dog.JPG").write_bytes(b"dog")
    (folder / "cat.png").write_bytes(b"cat")
    (folder / "notes.txt").write_bytes(b"no picture")
    (folder / ".hidden.png").write_bytes(b"hidden")

    found = find([folder])

    assert [picture.name for picture in found] == ["Holiday/cat.png", "Holiday/day 1/dog.JPG"]
    assert found[0].content_hash == hashlib.sha256(b"cat").hexdigest()


def test_a_file_that_is_never_read_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()

    [picture] = find([tmp_path])

    assert picture.content_hash is None


def test_names_that_storage_refuses_are_rewritten_without_collision() -> None:
    assert object_name("day 1/a+b (2).jpg") == "day 1/a+b (2).jpg"
    assert object_name("狗#.jpg") == "=E7=8B=97=23.jpg"
    assert object_name("=23.jpg") == "=3D23.jpg"


def test_two_files_of_one_name_are_refused_before_one_replaces_the_other(tmp_path: Path) -> None:
    nowhere = Project(Connection("http://127.0.0.1:9", "http://127.0.0.1:9", "anon", "service"))
    italy = LocalPicture("Italy/1.png", tmp_path / "1.png", None)

    with pytest.raises(RefusedError, match=r"Italy/1\.png"):
        upload_and_wait(nowhere, "photos", [italy, italy], lambda _: None)
