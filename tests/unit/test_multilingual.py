"""Sentences go to the tower that can read their script."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.embedding.clip import ClipEmbedder
from shared.embedding.manifest import manifest_named, manifest_of
from shared.embedding.multilingual import MultilingualEmbedder
from shared.errors import InputError, SettingsError, Unavailable
from shared.images import Picture
from shared.models import Vector
from shared.permits import Unlimited
from shared.ports import Embedder
from shared.settings import parse_embedding_settings
from shared.wiring import build_embedder
from tests.clip_models import CHINESE, COLOURS, write_colour_clip, write_multilingual_tower

_CLIP = "openai/clip-vit-base-patch32"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in `clip` and in `tower`."""
    folders = tmp_path_factory.mktemp("weights")
    write_colour_clip(folders / "clip")
    write_multilingual_tower(folders / "tower")
    return folders


@pytest.fixture(scope="module")
def clip(folders: Path) -> ClipEmbedder:
    return ClipEmbedder(manifest_named(_CLIP), folders / "clip")


@pytest.fixture(scope="module")
def embedder(folders: Path) -> Embedder:
    return _built(folders)


def _built(folders: Path, **changed: str) -> Embedder:
    settings = {
        "EMBEDDER": "clip",
        "CLIP_MODEL": _CLIP,
        "CLIP_MODEL_DIR": str(folders / "clip"),
        "CLIP_TEXT_MODEL": "tests/colours-in-chinese",
        "CLIP_TEXT_MODEL_DIR": str(folders / "tower"),
    }
    return build_embedder(parse_embedding_settings({**settings, **changed}), Unlimited())


def _same(vector: Vector) -> object:
    return pytest.approx(vector, abs=1e-5)


@pytest.mark.parametrize(("word", "meaning"), CHINESE.items())
def test_a_chinese_word_lies_where_its_translation_lies(
    word: str, meaning: str, embedder: Embedder, clip: ClipEmbedder
) -> None:
    [vector] = embedder.embed_texts([f"一面{word}色的墙"])

    assert vector == _same(clip.embed_texts([meaning])[0])


def test_a_mixed_batch_keeps_its_order(embedder: Embedder, clip: ClipEmbedder) -> None:
    found = embedder.embed_texts(["红", "red", "green", "蓝", "a yellow wall", "绿", "红 red"])

    expected = ["red", "red", "green", "blue", "yellow", "green", "red"]
    assert found == [_same(vector) for vector in clip.embed_texts(expected)]


def test_no_texts_have_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed_texts([]) == []


def test_pictures_go_to_the_first(embedder: Embedder, clip: ClipEmbedder) -> None:
    pictures = [
        Picture(Image.new("RGB", (9, 9), levels), content_type="image/png") for levels in COLOURS.values()
    ]

    views = [embedder.view(picture) for picture in pictures]

    assert views == [clip.view(picture) for picture in pictures]
    assert embedder.embed_views(views) == embedder.embed_pictures(pictures) == clip.embed_pictures(pictures)


@pytest.mark.parametrize(
    ("file", "text"), [("tower/model.onnx", "red"), ("clip/text_model.onnx", "红")], ids=["tower", "first"]
)
def test_a_tower_that_has_nothing_to_read_is_not_loaded(
    file: str, text: str, folders: Path, tmp_path: Path
) -> None:
    shutil.copytree(folders, tmp_path, dirs_exist_ok=True)
    (tmp_path / file).unlink()

    assert len(_built(tmp_path).embed_texts([text])) == 1


def test_the_model_is_the_first_ones_with_the_languages_of_both(
    embedder: Embedder, clip: ClipEmbedder
) -> None:
    assert embedder.model.languages == ("en", "zh")
    assert (embedder.model.name, embedder.model.dimensions) == (_CLIP, 512)
    assert embedder.model.similarity_floor == clip.model.similarity_floor


def test_a_language_of_both_is_named_once(clip: ClipEmbedder) -> None:
    assert MultilingualEmbedder(clip, clip).model.languages == ("en",)


def test_a_tower_of_another_space_is_refused(folders: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        _built(folders, CLIP_MODEL="openai/clip-vit-base-patch16")

    assert "CLIP_TEXT_MODEL is made for openai/clip-vit-base-patch32" in str(caught.value)
    assert "CLIP_MODEL is openai/clip-vit-base-patch16" in str(caught.value)


def test_a_deadline_holds_for_both(embedder: Embedder) -> None:
    with pytest.raises(Unavailable, match="no time is left"):
        embedder.embed_texts(["red"], deadline=-math.inf)
    with pytest.raises(Unavailable, match="no time is left"):
        embedder.embed_texts(["红"], deadline=-math.inf)


@pytest.mark.parametrize("text", ["\ud800", "红 \ud800"])
def test_broken_unicode_is_refused_by_both(text: str, embedder: Embedder) -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        embedder.embed_texts([text])


def test_without_the_tower_a_chinese_word_is_near_to_no_colour(clip: ClipEmbedder) -> None:
    [chinese], colours = clip.embed_texts(["红"]), clip.embed_texts(list(COLOURS))

    assert np.abs(np.array(colours) @ chinese).max() < 0.1


def test_the_towers_manifest_is_its_folders(folders: Path) -> None:
    assert manifest_of(folders / "tower", "").model().name == _CLIP
