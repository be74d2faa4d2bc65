"""A stage's file is read as it is written, or refused with what to do."""

from pathlib import Path

import pytest

from infra.aws.plan import Place
from infra.local.home import ROOT
from infra.stage import StageError, read_stage
from shared.settings import Settings


def _write(folder: Path, text: str) -> None:
    (folder / ".env.prod").write_text(text)


def test_a_file_is_names_values_and_remarks(tmp_path: Path) -> None:
    _write(tmp_path, "# Of production.\n\nSTORAGE=s3\nCORS_ORIGINS=https://a.example, https://b.example\n")

    assert read_stage("prod", tmp_path) == {
        "STORAGE": "s3",
        "CORS_ORIGINS": "https://a.example, https://b.example",
    }


@pytest.mark.parametrize(
    "line", ["SECRET=a=b#c$d", 'SECRET="a=b#c$d"', "SECRET='a=b#c$d'", " SECRET=a=b#c$d "]
)
def test_a_value_is_taken_as_it_stands(line: str, tmp_path: Path) -> None:
    _write(tmp_path, line)

    assert read_stage("prod", tmp_path) == {"SECRET": "a=b#c$d"}


def test_a_line_that_is_none_is_told_by_its_number_without_what_it_says(tmp_path: Path) -> None:
    _write(tmp_path, "STORAGE=s3\nexport the-secret\n")

    with pytest.raises(StageError, match=r"\.env\.prod:2: a line is NAME=value, or begins with #$"):
        read_stage("prod", tmp_path)


def test_a_missing_file_says_what_to_copy(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"copy \.env\.example to \.env\.prod"):
        read_stage("prod", tmp_path)


@pytest.mark.parametrize("name", ["", "Prod", "../prod", "prod.old", "p" * 21, "1st"])
def test_a_name_that_aws_does_not_take_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no name of a stage"):
        read_stage(name, tmp_path)


def test_the_example_is_a_stage_with_every_variable_that_is_read(tmp_path: Path) -> None:
    _write(tmp_path, (ROOT / ".env.example").read_text())

    read = {name.upper() for name in (*Settings.model_fields, *Place.model_fields)}
    assert read - read_stage("prod", tmp_path).keys() == set()
