"""CLIP from a folder of weights, from the upload to the answer, on weights that know colours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from supabase import Client

from infra.cli import pictures
from infra.cli.connection import Project
from infra.local.processes import StackError
from infra.local.stack import Stack
from tests.clip_models import COLOURS, write_colour_clip, write_multilingual_tower
from tests.integration.conftest import picture_bytes, rows
from tests.ports import free_base_port

pytestmark = pytest.mark.long

_OTHER_MODEL = "openai/clip-vit-base-patch32"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `clip` and `tower`."""
    weights = tmp_path_factory.mktemp("weights")
    write_colour_clip(weights / "clip")
    write_multilingual_tower(weights / "tower")
    return weights


@pytest.fixture(scope="module")
def walls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of each colour, under its name."""
    folder = tmp_path_factory.mktemp("pictures") / "walls"
    folder.mkdir()
    for name, levels in COLOURS.items():
        (folder / f"{name}.png").write_bytes(picture_bytes(levels))
    return folder


@pytest.fixture(scope="module")
def project(weights: Path, walls: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack of its own whose bucket holds the walls. What its process says of embedders is not for it."""
    environment = {"EMBEDDER": "clip", "CLIP_MODEL_DIR": str(weights / "clip")}
    with pytest.MonkeyPatch.context() as process:
        process.setenv("EMBEDDER", "offline")
        process.setenv("CLIP_TEXT_MODEL", "somebody/unknown")
        with Stack(tmp_path_factory.mktemp("clip"), free_base_port(), environment=environment) as stack:
            yield _with_pictures(Project(stack.connection), walls)


def _with_pictures(project: Project, folder: Path) -> Project:
    failures = pictures.upload_and_wait(project, "photos", pictures.find([folder]), lambda _: None)
    assert not failures
    return project


def _names(project: Project, text: str) -> list[str]:
    return [result.image for result in project.search(text, 20).results]


def _spent(client: Client, lane: str) -> tuple[int, int]:
    """Calls made and calls saved, today."""
    [row] = [row for row in rows(client, "spending_v1") if row["lane"] == lane]
    return row["made"], row["saved"]


@pytest.mark.parametrize("name", COLOURS)
def test_the_picture_of_the_colour_comes_first(name: str, project: Project) -> None:
    reply = project.search(f"a {name} wall", 20)

    first, *others = reply.results
    assert first.image == f"walls/{name}.png"
    assert first.similarity == pytest.approx(1, abs=0.01)
    assert max(other.similarity for other in others) < 0.4
    assert reply.warnings == []
    assert reply.model == "openai/clip-vit-base-patch16"


def test_pictures_below_the_models_floor_are_not_shown(project: Project) -> None:
    assert set(_names(project, "red")) == {
        f"walls/{name}.png" for name in ("red", "yellow", "magenta", "black")
    }
    assert _names(project, "tax law") == []


def test_a_text_that_is_searched_for_again_costs_no_call(project: Project) -> None:
    before = _spent(project.client, "search")
    first = project.search("a red door", 20)
    made_one = _spent(project.client, "search")

    second = project.search("a red door", 20)

    assert made_one == (before[0] + 1, before[1])
    assert _spent(project.client, "search") == (before[0] + 1, before[1] + 1)
    assert [result.image for result in second.results] == [result.image for result in first.results]


def test_a_text_in_letters_that_the_model_cannot_read_carries_a_warning(project: Project) -> None:
    reply = project.search("红色的墙", 20)

    warning = reply.warnings[-1]
    assert "Chinese letters" in warning
    assert "openai/clip-vit-base-patch16 was trained on other languages (en)" in warning
    assert "Which model to pick" in warning


def test_a_text_that_the_model_cannot_read_is_not_remembered(project: Project) -> None:
    before = _spent(project.client, "search")

    replies = [project.search("蓝色的墙", 20) for _ in range(2)]

    assert ["Chinese letters" in reply.warnings[-1] for reply in replies] == [True, True]
    assert _spent(project.client, "search") == before


def test_a_picture_that_is_there_already_costs_no_call(project: Project, walls: Path, tmp_path: Path) -> None:
    made, _ = _spent(project.client, "indexing")
    copy = tmp_path / "copies"
    copy.mkdir()
    (copy / "scarlet.png").write_bytes((walls / "red.png").read_bytes())

    _with_pictures(project, copy)

    assert _spent(project.client, "indexing")[0] == made
    assert "copies/scarlet.png" in _names(project, "red")


def test_a_stack_whose_pictures_have_another_model_says_so_instead_of_finding_nothing(
    weights: Path, walls: Path, tmp_path: Path
) -> None:
    """One without pictures takes the new model."""
    home = tmp_path / "home"
    clip = {"EMBEDDER": "clip", "CLIP_MODEL_DIR": str(weights / "clip")}
    with Stack(home, free_base_port(), environment={}):
        pass
    with Stack(home, free_base_port(), environment=clip) as stack:
        project = _with_pictures(Project(stack.connection), walls)
        found = _names(project, "a red wall")

    other = Stack(home, free_base_port(), environment={**clip, "CLIP_MODEL": _OTHER_MODEL})
    with pytest.raises(StackError, match=r"another model: .* covers 0 % .* PIXSEEK_HOME="), other:
        pass

    assert found[0] == "walls/red.png"


def test_a_text_tower_beside_it_reads_what_the_model_cannot(
    weights: Path, walls: Path, tmp_path: Path
) -> None:
    environment = {
        "EMBEDDER": "clip",
        "CLIP_MODEL": _OTHER_MODEL,
        "CLIP_MODEL_DIR": str(weights / "clip"),
        "CLIP_TEXT_MODEL": "tests/colours-in-chinese",
        "CLIP_TEXT_MODEL_DIR": str(weights / "tower"),
    }

    with Stack(tmp_path / "home", free_base_port(), environment=environment) as stack:
        project = _with_pictures(Project(stack.connection), walls)
        chinese, english = project.search("红色的墙", 1), project.search("a blue wall", 1)

    assert [result.image for result in chinese.results] == ["walls/red.png"]
    assert [result.image for result in english.results] == ["walls/blue.png"]
    assert chinese.warnings == english.warnings == []
