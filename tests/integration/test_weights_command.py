"""`pixseek weights`, which needs no stack."""

from pathlib import Path

import pytest

from infra.weights import is_complete
from shared.embedding.manifest import built_in, manifest_named
from tests.clip_models import write_chinese_clip, write_tiny_clip
from tests.command_line import CommandLine
from tests.ports import free_base_port

pytestmark = pytest.mark.long

_SMALLEST = "openai/clip-vit-base-patch16-int8"


@pytest.fixture
def pixseek(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", free_base_port())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `one` and `copy` with the same weights, `other` with others of the same form, and `named` with
    those of another model by its manifest.
    """
    weights = tmp_path_factory.mktemp("weights")
    write_tiny_clip(weights / "one")
    write_tiny_clip(weights / "copy")
    write_tiny_clip(weights / "other", seed=1)
    write_chinese_clip(weights / "named")
    return weights


def test_list_names_what_is_known_and_what_is_here(pixseek: CommandLine, tmp_path: Path) -> None:
    source = manifest_named(_SMALLEST).source
    assert source
    folder = tmp_path / ".cache" / "pixseek" / _SMALLEST.replace("/", "--")
    _write_hollow(folder, {file.name: file.size_bytes for file in source.files})

    done = pixseek.run("weights", "list", HOME=str(tmp_path))

    assert done.returncode == 0
    assert all(f" {known} " in done.stdout for known in built_in())
    assert "text only, for openai/clip-vit-base-patch32" in done.stdout
    [here] = [line for line in done.stdout.splitlines() if "yes" in line]
    assert f" {_SMALLEST} " in here
    [hosted] = [line for line in done.stdout.splitlines() if "hosted" in line]
    assert " openai/clip-vit-large-patch14 " in hosted


def _write_hollow(folder: Path, sizes: dict[str, int]) -> None:
    """Files of that length that take no room."""
    folder.mkdir(parents=True)
    for name, size_bytes in sizes.items():
        with (folder / name).open("wb") as file:
            file.truncate(size_bytes)


class TestPull:
    def test_of_unknown_weights_names_the_known_ones(self, pixseek: CommandLine, tmp_path: Path) -> None:
        done = pixseek.run("weights", "pull", "somebody/birds", HOME=str(tmp_path))

        assert done.returncode == 1
        assert "unknown weights: somebody/birds" in done.stderr
        assert all(known in done.stderr for known in built_in())
        assert not (tmp_path / ".cache").exists()

    def test_without_a_network_says_what_to_do(self, pixseek: CommandLine, tmp_path: Path) -> None:
        folder = tmp_path / "weights"

        done = pixseek.run("weights", "pull", _SMALLEST, "--folder", str(folder), HF_HUB_OFFLINE="1")

        assert done.returncode == 1
        assert "cannot be fetched" in done.stderr
        assert f"bring the file into {folder}" in done.stderr
        assert "Traceback" not in done.stderr
        assert not is_complete(manifest_named(_SMALLEST), folder)


class TestVerify:
    def test_of_the_same_weights_finds_one_model(self, pixseek: CommandLine, weights: Path) -> None:
        done = pixseek.run("weights", "verify", str(weights / "one"), str(weights / "copy"))

        assert done.returncode == 0
        assert done.stdout.splitlines() == [
            "pictures   8, least cosine 1.000000",
            "sentences  8, least cosine 1.000000",
            "one model",
        ]

    def test_of_other_weights_than_those_of_the_settings_finds_two(
        self, pixseek: CommandLine, weights: Path
    ) -> None:
        done = pixseek.run(
            "weights", "verify", "clip", str(weights / "other"), CLIP_MODEL_DIR=str(weights / "one")
        )

        assert done.returncode == 1
        assert done.stdout.splitlines()[-1] == "not one model: a cosine is below 0.999"

    @pytest.mark.parametrize(
        ("providers", "reason"),
        [
            (["clip", "{weights}/named"], "two models by their names"),
            (["clip", "{weights}/none"], "the weights are missing"),
            (["roboflow", "{weights}/one"], "ROBOFLOW_API_KEY is missing"),
        ],
        ids=["another model", "no weights", "no key"],
    )
    def test_that_cannot_be_done_says_why(
        self, providers: list[str], reason: str, pixseek: CommandLine, weights: Path
    ) -> None:
        named = [provider.format(weights=weights) for provider in providers]

        done = pixseek.run("weights", "verify", *named, CLIP_MODEL_DIR=str(weights / "one"))

        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
