"""The container image for Lambda: what it is built in holds all that its Dockerfile copies, and runs.

No engine builds it here: the Dockerfile is read, and what it copies is run by Lambda's Python, as it will lie
there.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from infra.aws.image.choice import ImageChoice
from infra.aws.image.context import DOCKERFILE, make_context
from infra.aws.image.smoke import smoke
from infra.bundle import ENTRIES, BundleError
from infra.bundle.choice import Architecture
from infra.bundle.elf import read_shared_object
from infra.bundle.interpreter import VERSION
from infra.bundle.locked import read_lock
from infra.bundle.smoke import runs_here
from infra.bundle.wheels import installed
from shared.embedding.manifest import default_folder
from tests.clip_models import write_colour_clip, write_multilingual_tower

_HERE = next(arch for arch in get_args(Architecture) if runs_here(arch))
_MODEL = "openai/clip-vit-base-patch16"


class _Context(NamedTuple):
    arch: str
    choice: ImageChoice
    folder: Path
    sizes: dict[str, int]


def _made(folder: Path, **variables: str) -> _Context:
    choice = ImageChoice.of(variables)
    sizes = make_context(choice, folder)
    return _Context(choice.arch, choice, folder / choice.arch / "image", sizes)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_colour_clip(folder)
    return folder


@pytest.fixture(scope="module", params=["x86_64", "arm64"])
def context(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, weights: Path
) -> Iterator[_Context]:
    """With CLIP; made, and on its own architecture run."""
    folder = tmp_path_factory.mktemp("image")
    yield _made(folder, ARCHITECTURE=request.param, EMBEDDER="clip", CLIP_MODEL_DIR=str(weights))
    shutil.rmtree(folder)


@pytest.fixture
def broken(tmp_path: Path, weights: Path) -> Iterator[_Context]:
    """One of this machine's architecture, for a test to break."""
    yield _made(tmp_path, ARCHITECTURE=_HERE, EMBEDDER="clip", CLIP_MODEL_DIR=str(weights))
    shutil.rmtree(tmp_path)


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order."""
    lines = DOCKERFILE.read_text().splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word.isupper()]


def _only(instruction: str) -> str:
    [argument] = [argument for name, argument in _instructions() if name == instruction]
    return argument


def test_the_base_image_has_the_bundles_python() -> None:
    assert _only("ARG") == f"BASE=public.ecr.aws/lambda/python:{VERSION}"
    assert _only("FROM") == "${BASE}"


def test_building_only_copies() -> None:
    assert [name for name, _ in _instructions()] == ["ARG", "FROM", "COPY", "COPY", "COPY", "ENV", "CMD"]


def test_what_is_copied_is_all_that_is_there(context: _Context) -> None:
    sources = {argument.split()[0].rstrip("/") for name, argument in _instructions() if name == "COPY"}

    assert {path.name for path in context.folder.iterdir()} == {*sources, "Dockerfile"}
    assert (context.folder / "Dockerfile").read_bytes() == DOCKERFILE.read_bytes()


def test_the_weights_are_copied_to_where_they_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    name, _, home = _only("ENV").partition("=")
    monkeypatch.setenv(name, home)

    [target] = [argument.split()[1] for _, argument in _instructions() if argument.startswith("weights/ ")]

    assert Path(target) == default_folder(_MODEL).parent


def test_every_handler_is_inside(context: _Context) -> None:
    [default] = json.loads(_only("CMD"))

    handlers = [f"functions/{function}/{entry}" for function, each in ENTRIES.items() for entry in each]

    assert default in handlers
    assert [handler for handler in handlers if not _module(context, handler).is_file()] == []


def _module(context: _Context, handler: str) -> Path:
    return context.folder / "code" / f"{handler.rpartition('.')[0]}.py"


def test_the_packages_are_the_locks_by_their_hashes(context: _Context) -> None:
    locked = read_lock(context.choice.extras(), context.choice.arch)

    found = {name: each.version for name, each in installed(context.folder / "packages").items()}

    assert found == locked.versions
    assert "onnxruntime" in found
    assert [line for line in locked.requirements.splitlines() if "--hash=sha256:" not in line] == []


def test_the_packages_are_for_the_architecture(context: _Context) -> None:
    [runtime] = (context.folder / "packages" / "onnxruntime" / "capi").glob("onnxruntime_pybind11_state*.so")

    found = read_shared_object(runtime)

    assert found is not None
    assert found.machine == context.arch


def test_the_weights_are_inside_and_counted(context: _Context, weights: Path) -> None:
    inside = context.folder / "weights" / default_folder(_MODEL).name

    assert {path.name for path in inside.iterdir()} == {"vision_model.onnx", "text_model.onnx"}
    assert context.sizes["weights"] == sum(path.stat().st_size for path in weights.iterdir())


def test_lambdas_user_may_read_all(context: _Context) -> None:
    hidden = [path for path in context.folder.rglob("*") if path.stat().st_mode & 0o004 == 0]

    assert hidden == []


def test_only_code_of_aws_is_inside(context: _Context) -> None:
    names = {path.name for path in (context.folder / "code").rglob("*")}

    assert not names & {"gcp.py", "label_vectors.npy", ".env"}
    assert re.search(r"aws\.cpython-313\.pyc", " ".join(names))


def test_the_bill_of_materials_names_what_runs_the_model(context: _Context) -> None:
    bill = json.loads((context.folder / "code" / "sbom.cdx.json").read_text())

    assert "onnxruntime" in {component["name"] for component in bill["components"]}


@pytest.mark.parametrize(
    "part", ["packages/onnxruntime", "packages/tokenizers", "code/shared/embedding/clip.py"]
)
def test_an_image_that_lacks_something_is_not_made(broken: _Context, part: str) -> None:
    path = broken.folder / part
    path.rename(path.with_name("away"))

    with pytest.raises(BundleError, match="image"):
        smoke(broken.folder, broken.choice)


def test_weights_that_do_not_fit_are_told(tmp_path: Path, weights: Path) -> None:
    shutil.copytree(weights, tmp_path / "cut")
    (tmp_path / "cut" / "text_model.onnx").write_bytes((weights / "text_model.onnx").read_bytes()[:1000])

    with pytest.raises(BundleError, match="does not run"):
        _made(tmp_path / "out", ARCHITECTURE=_HERE, EMBEDDER="clip", CLIP_MODEL_DIR=str(tmp_path / "cut"))

    assert not (tmp_path / "out" / "x86_64" / "image").exists()


def test_missing_weights_are_named_with_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        _made(tmp_path, ARCHITECTURE=_HERE, EMBEDDER="clip", CLIP_MODEL_DIR=str(tmp_path))

    assert "text_model.onnx, vision_model.onnx is not in" in str(caught.value)
    assert f"pixseek weights pull {_MODEL}" in str(caught.value)


@pytest.fixture
def second_tower(tmp_path: Path) -> Path:
    folder = tmp_path / "tower"
    write_multilingual_tower(folder)
    return folder


def _made_with(tower: Path, weights: Path, folder: Path) -> _Context:
    first = {"CLIP_MODEL": "openai/clip-vit-base-patch32", "CLIP_MODEL_DIR": str(weights)}
    second = {"CLIP_TEXT_MODEL": "tests/colours-in-chinese", "CLIP_TEXT_MODEL_DIR": str(tower)}
    return _made(folder, ARCHITECTURE=_HERE, EMBEDDER="clip", **first, **second)


def test_a_second_text_tower_fits_beside_the_first(second_tower: Path, weights: Path, tmp_path: Path) -> None:
    made = _made_with(second_tower, weights, tmp_path / "out")

    inside = made.folder / "weights" / "tests--colours-in-chinese"
    assert {path.name for path in inside.iterdir()} == {path.name for path in second_tower.iterdir()}
    shutil.rmtree(tmp_path)


def test_a_second_text_tower_that_does_not_run_is_told(
    second_tower: Path, weights: Path, tmp_path: Path
) -> None:
    tower = second_tower / "model.onnx"
    tower.write_bytes(tower.read_bytes()[:100])

    with pytest.raises(BundleError, match="does not run"):
        _made_with(second_tower, weights, tmp_path / "out")


def test_a_tokenizer_that_comes_with_no_package_has_to_be_there(
    second_tower: Path, weights: Path, tmp_path: Path
) -> None:
    (second_tower / "tokenizer.json").unlink()

    with pytest.raises(BundleError, match=r": tokenizer\.json is not in .*CLIP_TEXT_MODEL_DIR"):
        _made_with(second_tower, weights, tmp_path / "out")


def test_the_offline_embedder_fits_too(tmp_path: Path) -> None:
    made = _made(tmp_path, ARCHITECTURE=_HERE, EMBEDDER="offline")

    assert made.sizes["weights"] == 0
    assert (made.folder / "code" / "shared" / "embedding" / "label_vectors.npy").is_file()
    shutil.rmtree(tmp_path)
