"""`pixseek demo`, as the first command of the README runs it."""

import base64
import re
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from infra.local.home import ROOT
from infra.photographs import Photograph
from shared import images
from tests.command_line import CommandLine, processes_of
from tests.ports import free_base_port


@dataclass(frozen=True)
class Shown:
    """What a demo left: its output, the contact sheet, and the folder that its stack lay in."""

    run: subprocess.CompletedProcess[str]
    sheet: str
    folder: Path

    def searches(self) -> list[str]:
        """What was asked, by the contact sheet."""
        return [unescape(text) for text in re.findall("<h2>(.*?)<small>", self.sheet)]

    def sources(self) -> list[str]:
        """Where the pictures of the contact sheet come from."""
        return re.findall('<img src="(.*?)"', self.sheet)


@pytest.fixture(scope="module")
def shown(pool: list[Photograph], tmp_path_factory: pytest.TempPathFactory) -> Shown:
    assert pool
    folder = tmp_path_factory.mktemp("demo")
    sheet = ROOT / "build" / "demo.html"
    sheet.unlink(missing_ok=True)
    run = CommandLine(folder / "home", free_base_port()).run("demo")
    return Shown(run, sheet.read_text(encoding="utf-8") if sheet.exists() else "", folder)


def test_the_demo_succeeds(shown: Shown) -> None:
    assert shown.run.returncode == 0
    assert shown.run.stderr == ""


def test_the_demo_takes_all_photographs_and_leaves_none_out(shown: Shown, pool: list[Photograph]) -> None:
    assert re.search(rf"searchable +━+ +{len(pool)}/{len(pool)}", shown.run.stdout)
    assert "left out" not in shown.run.stdout


def test_the_demo_shows_at_least_eight_searches_three_of_them_in_chinese(shown: Shown) -> None:
    searches = shown.searches()

    assert len(searches) >= 8
    assert len([text for text in searches if re.search("[\u4e00-\u9fff]", text)]) >= 3


def test_the_demo_prints_every_search_with_what_it_found(shown: Shown) -> None:
    printed = re.findall(r"^│ (.*?) +│ \S+\.(?:png|jpg|webp) \(0\.\d\d\)", shown.run.stdout, re.MULTILINE)

    assert printed == shown.searches()


def test_the_demo_finds_the_cat(shown: Shown) -> None:
    assert re.search(r"^│ a cat +│ packaged/chelsea\.png ", shown.run.stdout, re.MULTILINE)


def test_the_contact_sheet_needs_no_other_file_and_no_network(shown: Shown) -> None:
    prefix = "data:image/webp;base64,"

    pictures = [images.decode(base64.b64decode(source.removeprefix(prefix))) for source in shown.sources()]

    assert len(pictures) >= len(shown.searches())
    assert {source[: len(prefix)] for source in shown.sources()} == {prefix}
    assert max(max(picture.width, picture.height) for picture in pictures) <= 320
    assert re.findall(r"https?://|@import|<script|<link", shown.sheet) == []


def test_the_demo_leaves_no_process_behind(shown: Shown) -> None:
    assert processes_of(shown.folder) == []
