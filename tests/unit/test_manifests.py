"""What is known of weights, and what is refused of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.embedding import manifest as module
from shared.embedding.manifest import (
    FILE_NAME,
    Manifest,
    Source,
    Text,
    Vision,
    built_in,
    default_folder,
    manifest_named,
    manifest_of,
    read_manifest,
)
from shared.errors import SettingsError

_FOLDER = Path(module.__file__).with_name("manifests")
_each = pytest.mark.parametrize("manifest", built_in().values(), ids=built_in().keys())
_FETCHED = [manifest for manifest in built_in().values() if manifest.source]
_each_fetched = pytest.mark.parametrize("manifest", _FETCHED, ids=[manifest.id for manifest in _FETCHED])


def _source(manifest: Manifest) -> Source:
    assert manifest.source
    return manifest.source


def _files_of(part: Vision | Text | None) -> set[str | None]:
    return {getattr(part, name, None) for name in ("file", "tokenizer", "projection")} - {None}


class TestEachManifestThatComesWithPixseek:
    @_each
    def test_knows_the_files_of_its_towers(self, manifest: Manifest) -> None:
        assert manifest.file_names() == _files_of(manifest.vision) | _files_of(manifest.text)

    @_each
    def test_can_be_fetched_or_is_run_by_somebody(self, manifest: Manifest) -> None:
        assert manifest.source or manifest.roboflow_version

    @_each_fetched
    def test_that_can_be_fetched_names_a_source_for_each_file(self, manifest: Manifest) -> None:
        assert {file.name for file in _source(manifest).files} == manifest.file_names()

    @_each_fetched
    def test_that_can_be_fetched_pins_its_files(self, manifest: Manifest) -> None:
        source = _source(manifest)

        assert len(source.revision) == 40
        assert [len(file.sha256) for file in source.files] == [64] * len(source.files)
        assert len({file.sha256 for file in source.files}) == len(source.files)
        assert source.licence

    @_each
    def test_has_a_space_of_its_own_or_serves_anothers(self, manifest: Manifest) -> None:
        owner = manifest_named(manifest.space.name)

        assert owner.space == manifest.space
        assert owner.vision
        assert (manifest.vision is None) == (owner.id != manifest.id)

    @_each
    def test_reads_some_language(self, manifest: Manifest) -> None:
        model = manifest.model()

        assert model.name == manifest.space.name
        assert "en" in model.languages
        assert len(set(model.languages)) == len(model.languages)


def test_no_two_manifests_have_the_same_id() -> None:
    assert len(built_in()) == len(list(_FOLDER.glob("*.json"))) >= 5


def test_weights_that_roboflow_runs_are_those_that_it_names() -> None:
    named = {manifest.id: manifest.roboflow_version for manifest in built_in().values()}

    assert {model: version for model, version in named.items() if version} == {
        "openai/clip-vit-base-patch16": "ViT-B-16",
        "openai/clip-vit-base-patch32": "ViT-B-32",
        "openai/clip-vit-large-patch14": "ViT-L-14",
    }


def test_an_unknown_id_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        manifest_named("openai/clip-vit-huge")

    assert "openai/clip-vit-huge" in str(caught.value)
    assert all(known in str(caught.value) for known in built_in())
    assert FILE_NAME in str(caught.value)


def test_a_folder_of_its_own_is_below_the_cache_whatever_the_id() -> None:
    folder = default_folder("openai/clip-vit-base-patch16")

    assert folder == Path.home() / ".cache" / "pixseek" / "openai--clip-vit-base-patch16"


@pytest.fixture
def plain() -> dict[str, Any]:
    """A manifest as somebody writes it for weights of their own."""
    return {
        "id": "somebody/birds",
        "precision": "fp32",
        "space": {"name": "somebody/birds", "dimensions": 512, "similarity_floor": 0.2},
        "text": {"file": "text.onnx", "languages": ["en"], "context_tokens": 77, "pad_id": 49407},
    }


class TestAFoldersManifest:
    def test_goes_before_the_built_in_one(self, plain: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / FILE_NAME).write_text(json.dumps(plain))

        assert manifest_of(tmp_path, "openai/clip-vit-base-patch16").id == "somebody/birds"

    def test_is_not_needed_for_known_weights(self, tmp_path: Path) -> None:
        known = "openai/clip-vit-base-patch16"

        assert manifest_of(tmp_path, known) == manifest_named(known)

    def test_is_needed_for_others(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=f"put a {FILE_NAME} into their folder"):
            manifest_of(tmp_path, "somebody/birds")

    @pytest.mark.parametrize("content", ["", "no json", "[]", "null", "\x00"])
    def test_that_is_none_is_named(self, content: str, tmp_path: Path) -> None:
        path = tmp_path / FILE_NAME
        path.write_text(content)

        with pytest.raises(SettingsError, match=f"{path} is no manifest of weights: as a whole: "):
            read_manifest(path)

    def test_that_cannot_be_read_is_named_with_the_reason(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"cannot read .*: Is a directory"):
            read_manifest(tmp_path)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("id", ""),
            ("id", "a/b/c"),
            ("id", None),
            ("precision", "fp8"),
            ("space.dimensions", 511),
            ("space.similarity_floor", 1.5),
            ("text.context_tokens", 2),
            ("text.pad_id", "none"),
            ("text.pooling", "max"),
            ("text.tower", "another"),
            ("vision", {}),
        ],
    )
    def test_that_is_wrong_names_the_field(
        self, field: str, value: object, plain: dict[str, Any], tmp_path: Path
    ) -> None:
        *parts, name = field.split(".")
        ({**plain, "": plain}["".join(parts)])[name] = value
        path = tmp_path / FILE_NAME
        path.write_text(json.dumps(plain))

        with pytest.raises(SettingsError, match=rf"{path} is no manifest of weights: .*{field}"):
            read_manifest(path)

    @pytest.mark.parametrize(
        "name", ["../x", "..", ".", ".hidden", "/etc/passwd", "a/b", "a\\b", "", "x\n", "x\0", "C:x"]
    )
    def test_names_no_file_outside(self, name: str, plain: dict[str, Any], tmp_path: Path) -> None:
        path = tmp_path / FILE_NAME
        plain["text"] |= {"file": name, "tokenizer": name, "projection": name}
        plain["source"] = {
            "repository": "somebody/birds",
            "revision": "0" * 40,
            "licence": "MIT",
            "files": [{"path": "x", "name": name, "size_bytes": 1, "sha256": "0" * 64}],
        }
        path.write_text(json.dumps(plain))

        with pytest.raises(SettingsError) as caught:
            read_manifest(path)

        wrong = ("text.file", "text.tokenizer", "text.projection", "source.files.0.name")
        assert all(f"{field}: " in str(caught.value) for field in wrong)
