"""CLIP from local files: a small one with random weights, and one that knows colours."""

import math
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from benchmarks.embed_parts.towers import TINY, random_weights, write_text, write_vision
from shared.embedding import local
from shared.embedding.clip import ClipEmbedder
from shared.embedding.local import runs
from shared.embedding.manifest import Manifest, manifest_named, manifest_of
from shared.embedding.tokens import clip_tokens
from shared.errors import InputError, SettingsError, Unavailable
from shared.images import Picture
from shared.models import Vector
from tests.clip_models import (
    COLOURS,
    write_chinese_clip,
    write_colour_clip,
    write_multilingual_tower,
    write_tiny_clip,
)

_CLIP = manifest_named("openai/clip-vit-base-patch16")


@pytest.fixture(scope="module")
def unspoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_clip(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(unspoilt: Path) -> ClipEmbedder:
    return ClipEmbedder(_CLIP, unspoilt)


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> ClipEmbedder:
    folder = tmp_path_factory.mktemp("colour")
    write_colour_clip(folder)
    return ClipEmbedder(_CLIP, folder)


@pytest.fixture
def folder(unspoilt: Path, tmp_path: Path) -> Path:
    """The same weights, for a test to spoil."""
    return shutil.copytree(unspoilt, tmp_path, dirs_exist_ok=True)


def _plain(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> Picture:
    return Picture(Image.new("RGB", size, colour), content_type="image/png")


def _drawn(seed: int) -> Picture:
    """Noise that differs from seed to seed."""
    levels = np.random.default_rng(seed).integers(0, 256, (20 + seed, 30, 3), np.uint8)
    return Picture(Image.fromarray(levels), content_type="image/png")


def _like(vector: Vector) -> object:
    """Equal but for the last bits, which depend on what is computed together."""
    return pytest.approx(vector, abs=1e-5)


def _put_first(
    path: Path, given: Sequence[onnx.ValueInfoProto], nodes: Sequence[onnx.NodeProto], *, read: str
) -> None:
    """Give a file other inputs: nodes of which the last puts out `made`, for all that read the old input."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.input[:] = ["made" if name == read else name for name in node.input]
    whole = [*nodes, *model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(whole)
    model.graph.input.extend(given)
    onnx.checker.check_model(model)
    onnx.save(model, path)


class TestTexts:
    def test_become_unit_vectors_of_512_floats(self, tiny: ClipEmbedder) -> None:
        vectors = tiny.embed_texts(["a cat", "a dog on a beach"])

        assert [len(vector) for vector in vectors] == [512, 512]
        assert {type(number) for vector in vectors for number in vector} == {float}
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)

    def test_keep_their_order_however_many_there_are(self, tiny: ClipEmbedder) -> None:
        texts = [f"{number} dogs" + " and a cat" * (number % 7) for number in range(70)]

        together = tiny.embed_texts(texts)

        assert together == [_like(tiny.embed_texts([text])[0]) for text in texts]

    def test_that_are_alike_have_the_same_vector_and_others_another(self, tiny: ClipEmbedder) -> None:
        first, other, copy = tiny.embed_texts(["a cat", "a dog", "a cat"])

        assert copy == _like(first)
        assert other != _like(first)

    def test_have_the_same_vector_beside_a_longer_one(self, tiny: ClipEmbedder) -> None:
        [alone] = tiny.embed_texts(["a cat"])

        beside, _ = tiny.embed_texts(["a cat", "two workers with yellow hard hats in front of an old crane"])

        assert beside == _like(alone)

    def test_that_are_too_long_are_cut_and_keep_their_end(self, tiny: ClipEmbedder) -> None:
        longest = "dog " * 75

        cut, whole, shorter = tiny.embed_texts([longest + "cat " * 100, longest, "dog " * 74])

        assert [len(ids) for ids in clip_tokens(context_tokens=None).ids([longest])] == [77]
        assert cut == _like(whole)
        assert cut != _like(shorter)

    def test_may_be_none(self, tiny: ClipEmbedder) -> None:
        assert tiny.embed_texts([]) == []

    @pytest.mark.parametrize(
        "text",
        ["", " ", "\0", "🐱", "\u202e", "<|endoftext|>", "a" * 2_000, "猫" * 500],
        ids=["empty", "space", "nul", "emoji", "mark", "end mark", "long", "long Chinese"],
    )
    def test_have_a_direction_whatever_they_say(self, text: str, tiny: ClipEmbedder) -> None:
        [vector] = tiny.embed_texts([text])

        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)

    def test_of_broken_unicode_are_refused(self, tiny: ClipEmbedder) -> None:
        with pytest.raises(InputError, match="not valid Unicode"):
            tiny.embed_texts(["a cat", "\ud800"])


class TestPictures:
    def test_become_unit_vectors_of_512_floats(self, tiny: ClipEmbedder) -> None:
        vectors = tiny.embed_pictures([_drawn(0), _drawn(1)])

        assert [len(vector) for vector in vectors] == [512, 512]
        assert {type(number) for vector in vectors for number in vector} == {float}
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)

    def test_keep_their_order_however_many_there_are(self, tiny: ClipEmbedder) -> None:
        pictures = [_drawn(seed) for seed in range(19)]

        together = tiny.embed_pictures(pictures)

        assert together == [_like(tiny.embed_pictures([picture])[0]) for picture in pictures]
        assert together[0] != _like(together[1])

    def test_may_be_none(self, tiny: ClipEmbedder) -> None:
        assert tiny.embed_pictures([]) == []

    @pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (500, 3)])
    def test_have_a_direction_whatever_their_shape(self, size: tuple[int, int], tiny: ClipEmbedder) -> None:
        [vector] = tiny.embed_pictures([_plain((10, 200, 30), size)])

        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_picture_of_a_colour_lies_where_its_name_lies(colour: ClipEmbedder) -> None:
    texts = np.array(colour.embed_texts([f"a {name} wall" for name in COLOURS]))
    pictures = np.array(colour.embed_pictures([_plain(levels) for levels in COLOURS.values()]))

    likeness = texts @ pictures.T

    assert np.diag(likeness) == pytest.approx(1, abs=1e-3)
    assert np.max(likeness - np.eye(len(COLOURS))) < 0.34


def test_a_view_is_the_pixels_that_the_model_looks_at(tiny: ClipEmbedder) -> None:
    picture = _drawn(5)

    assert tiny.view(picture) == picture.model_view(224)
    assert len(tiny.view(picture)) == 224 * 224 * 3


class TestLoading:
    def test_waits_until_something_is_to_embed(self, tmp_path: Path) -> None:
        embedder = ClipEmbedder(_CLIP, tmp_path / "nowhere")

        assert embedder.model == _CLIP.model()
        assert embedder.embed_texts([]) == embedder.embed_pictures([]) == []

    def test_a_search_needs_the_text_tower_alone(self, folder: Path) -> None:
        (folder / "vision_model.onnx").unlink()

        assert len(ClipEmbedder(_CLIP, folder).embed_texts(["a cat"])) == 1

    def test_indexing_needs_the_picture_tower_alone(self, folder: Path) -> None:
        (folder / "text_model.onnx").unlink()

        assert len(ClipEmbedder(_CLIP, folder).embed_pictures([_drawn(0)])) == 1

    def test_is_tried_again_when_it_failed(self, tmp_path: Path) -> None:
        embedder = ClipEmbedder(_CLIP, tmp_path)
        with pytest.raises(SettingsError):
            embedder.embed_texts(["a cat"])

        write_tiny_clip(tmp_path)

        assert len(embedder.embed_texts(["a cat"])) == 1

    def test_threads_share_one_embedder(self, folder: Path, tiny: ClipEmbedder) -> None:
        embedder = ClipEmbedder(_CLIP, folder)
        texts = ["a cat", "a dog on a beach", "a castle", "winter"] * 8
        expected = tiny.embed_texts(texts)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda text: embedder.embed_texts([text])[0], texts))

        assert answers == [_like(vector) for vector in expected]


class TestADeadline:
    def test_that_has_passed_leaves_no_time_for_a_call(self, tiny: ClipEmbedder) -> None:
        with pytest.raises(Unavailable, match="no time is left"):
            tiny.embed_texts(["a cat"], deadline=-math.inf)
        with pytest.raises(Unavailable, match="no time is left"):
            tiny.embed_pictures([_drawn(0)], deadline=-math.inf)

    def test_that_passes_stops_before_the_next_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=iter([1.0, 3.0]).__next__))

        parts = runs(range(10), 8, 2.0)

        assert next(parts) == range(8)
        with pytest.raises(Unavailable, match="no time is left"):
            next(parts)

    def test_that_passes_costs_no_vector_that_is_there(
        self, monkeypatch: pytest.MonkeyPatch, tiny: ClipEmbedder
    ) -> None:
        views = [tiny.view(_drawn(seed)) for seed in range(10)]
        whole = tiny.embed_views(views)
        monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=iter([1.0, 3.0]).__next__))

        embedded = tiny.embed_views(views, deadline=2.0)

        assert embedded[:8] == whole[:8]
        assert [type(error) for error in embedded[8:]] == [Unavailable] * 2


class TestFilesOfOtherForms:
    """Exporters differ in types and lengths; the vectors do not."""

    _TEXTS = ("a cat", "two workers with yellow hard hats in front of an old crane")

    @pytest.fixture
    def expected(self, tiny: ClipEmbedder) -> list[object]:
        return [_like(vector) for vector in tiny.embed_texts(self._TEXTS)]

    def test_ids_of_32_bits(self, folder: Path, expected: list[object]) -> None:
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["n", "length"])
        cast = helper.make_node("Cast", ["input_ids"], ["made"], to=TensorProto.INT64)
        _put_first(folder / "text_model.onnx", [ids], [cast], read="input_ids")

        assert ClipEmbedder(_CLIP, folder).embed_texts(self._TEXTS) == expected

    def test_a_fixed_length(self, folder: Path, expected: list[object]) -> None:
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", 77])
        same = helper.make_node("Identity", ["input_ids"], ["made"])
        _put_first(folder / "text_model.onnx", [ids], [same], read="input_ids")

        assert ClipEmbedder(_CLIP, folder).embed_texts(self._TEXTS) == expected

    def test_a_mask_of_what_is_to_be_read(self, folder: Path, expected: list[object]) -> None:
        given = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
            for name in ("input_ids", "attention_mask")
        ]
        nodes = [
            helper.make_node("Constant", [], ["one"], value_ints=[1]),
            helper.make_node("Equal", ["attention_mask", "one"], ["is_read"]),
            helper.make_node("Constant", [], ["end"], value_ints=[49407]),
            helper.make_node("Where", ["is_read", "input_ids", "end"], ["made"]),
        ]
        _put_first(folder / "text_model.onnx", given, nodes, read="input_ids")

        assert ClipEmbedder(_CLIP, folder).embed_texts(self._TEXTS) == expected

    def test_pixels_of_16_bits(self, folder: Path, tiny: ClipEmbedder) -> None:
        pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT16, ["n", 3, 224, 224])
        cast = helper.make_node("Cast", ["pixel_values"], ["made"], to=TensorProto.FLOAT)
        _put_first(folder / "vision_model.onnx", [pixels], [cast], read="pixel_values")

        [rounded] = ClipEmbedder(_CLIP, folder).embed_pictures([_drawn(0)])

        assert np.dot(rounded, tiny.embed_pictures([_drawn(0)])[0]) == pytest.approx(1, abs=1e-3)


def _embed_texts(embedder: ClipEmbedder) -> list[Vector]:
    return embedder.embed_texts(["a cat"])


def _embed_pictures(embedder: ClipEmbedder) -> list[Vector]:
    return embedder.embed_pictures([_drawn(0)])


_Embed = Callable[[ClipEmbedder], list[Vector]]
_CALLS = {"text_model.onnx": _embed_texts, "vision_model.onnx": _embed_pictures}


def test_weights_that_are_missing_are_the_result_of_all_views(tmp_path: Path) -> None:
    embedder = ClipEmbedder(_CLIP, tmp_path)

    embedded = embedder.embed_views([embedder.view(_drawn(0))] * 20)

    assert isinstance(embedded[0], SettingsError)
    assert embedded == [embedded[0]] * 20


@pytest.mark.parametrize(("name", "embed"), _CALLS.items(), ids=["texts", "pictures"])
class TestWrongFiles:
    def test_that_are_missing_are_named_with_what_to_do(self, name: str, embed: _Embed, folder: Path) -> None:
        (folder / name).unlink()

        with pytest.raises(SettingsError) as caught:
            embed(ClipEmbedder(_CLIP, folder))

        assert str(folder / name) in str(caught.value)
        assert "`pixseek weights pull`" in str(caught.value)
        assert "CLIP_MODEL_DIR" in str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"no onnx",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            b"\x08\x09",
        ],
        ids=["empty", "text", "pointer", "hollow"],
    )
    def test_that_are_no_onnx_file_are_named(
        self, content: bytes, name: str, embed: _Embed, folder: Path
    ) -> None:
        (folder / name).write_bytes(content)

        with pytest.raises(SettingsError, match=f"{name} is no ONNX file that can be run"):
            embed(ClipEmbedder(_CLIP, folder))

    def test_that_were_cut_off_are_named(self, name: str, embed: _Embed, folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

        with pytest.raises(SettingsError, match=f"{name} is no ONNX file that can be run"):
            embed(ClipEmbedder(_CLIP, folder))

    def test_of_the_other_tower_are_refused(self, name: str, embed: _Embed, folder: Path) -> None:
        [other] = {"text_model.onnx", "vision_model.onnx"} - {name}
        (folder / other).replace(folder / name)

        with pytest.raises(SettingsError, match=name):
            embed(ClipEmbedder(_CLIP, folder))


@pytest.mark.parametrize("embed", _CALLS.values(), ids=["texts", "pictures"])
class TestWrongWeights:
    def test_of_another_dimension_are_refused(self, embed: _Embed, tmp_path: Path) -> None:
        shape = replace(TINY, dimensions=256)
        write_vision(tmp_path / "vision_model.onnx", shape, random_weights(shape))
        write_text(tmp_path / "text_model.onnx", shape, random_weights(shape))

        with pytest.raises(SettingsError, match=r"\(256,\).* has 512 dimensions.*other weights"):
            embed(ClipEmbedder(_CLIP, tmp_path))

    @pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
    def test_that_give_no_direction_are_refused(self, value: float, embed: _Embed, tmp_path: Path) -> None:
        weights = random_weights(TINY)
        weights["visual_projection.weight"].fill(value)
        weights["text_projection.weight"].fill(value)
        write_vision(tmp_path / "vision_model.onnx", TINY, weights)
        write_text(tmp_path / "text_model.onnx", TINY, weights)

        with pytest.raises(SettingsError, match="point nowhere"):
            embed(ClipEmbedder(_CLIP, tmp_path))

    def test_that_are_not_part_of_the_model_are_named(self, embed: _Embed, folder: Path) -> None:
        manifest = _CLIP.model_copy(update={"text": None, "vision": None})

        with pytest.raises(SettingsError, match=rf"{_CLIP.id} have no \w+ tower"):
            embed(ClipEmbedder(manifest, folder))


def test_a_picture_tower_of_another_size_is_refused(tmp_path: Path) -> None:
    shape = replace(TINY, image_px=256)
    write_vision(tmp_path / "vision_model.onnx", shape, random_weights(shape))

    with pytest.raises(SettingsError, match=r"vision_model\.onnx"):
        ClipEmbedder(_CLIP, tmp_path).embed_pictures([_drawn(0)])


def test_a_file_of_both_towers_is_no_picture_tower(folder: Path) -> None:
    path = folder / "vision_model.onnx"
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "length"]))
    onnx.save(model, path)

    with pytest.raises(SettingsError, match="no picture tower: it takes pixel_values, input_ids"):
        ClipEmbedder(_CLIP, folder).embed_pictures([_drawn(0)])


def test_a_text_tower_that_is_too_short_is_refused(folder: Path) -> None:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", 32])
    same = helper.make_node("Identity", ["input_ids"], ["made"])
    _put_first(folder / "text_model.onnx", [ids], [same], read="input_ids")

    with pytest.raises(SettingsError, match=r"text_model\.onnx.*32.*77"):
        ClipEmbedder(_CLIP, folder).embed_texts(["a cat"])


def test_an_output_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    path = folder / "text_model.onnx"
    model = onnx.load(path)
    model.graph.output[0].name = "pooled"
    model.graph.node[-1].output[0] = "pooled"
    model.graph.output.append(helper.make_tensor_value_info("length", TensorProto.INT64, None))
    model.graph.node.append(helper.make_node("Shape", ["input_ids"], ["length"]))
    onnx.save(model, path)

    with pytest.raises(SettingsError, match="has no output text_embeds: it has pooled, length"):
        ClipEmbedder(_CLIP, folder).embed_texts(["a cat"])


def test_the_only_output_is_taken_whatever_its_name(folder: Path, tiny: ClipEmbedder) -> None:
    path = folder / "text_model.onnx"
    model = onnx.load(path)
    model.graph.output[0].name = "pooled"
    model.graph.node[-1].output[0] = "pooled"
    onnx.save(model, path)

    [vector] = ClipEmbedder(_CLIP, folder).embed_texts(["a cat"])

    assert vector == _like(tiny.embed_texts(["a cat"])[0])


class TestATokenizer:
    def test_of_the_folder_is_taken_before_clips_own(self, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("{}")

        with pytest.raises(SettingsError, match=r"tokenizer\.json is no tokenizer"):
            ClipEmbedder(_CLIP, folder).embed_texts(["a cat"])

    def test_that_is_missing_is_named_when_clips_own_does_not_fit(self, tmp_path: Path) -> None:
        write_multilingual_tower(tmp_path)
        (tmp_path / "tokenizer.json").unlink()

        with pytest.raises(SettingsError, match=r"cannot read the tokenizer .*tokenizer\.json"):
            ClipEmbedder(manifest_of(tmp_path, ""), tmp_path).embed_texts(["红"])


class TestWhatATextTowerWasTrainedOn:
    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Callable[..., Manifest]:
        """The colour CLIP with a tokenizer that knows small letters only, and padded in white."""
        write_colour_clip(tmp_path)
        [[_, red, _], [_, white, _]] = clip_tokens(context_tokens=None).ids(["red", "white"])
        words = Tokenizer(WordLevel({"?": 0, "red": red}, unk_token="?"))
        words.save(str(tmp_path / "tokenizer.json"))

        def trained(**on: bool) -> Manifest:
            assert _CLIP.text
            return _CLIP.model_copy(update={"text": _CLIP.text.model_copy(update={"pad_id": white, **on})})

        return trained

    def test_texts_padded_to_the_whole_context(
        self, manifest: Callable[..., Manifest], tmp_path: Path, colour: ClipEmbedder
    ) -> None:
        [short] = ClipEmbedder(manifest(), tmp_path).embed_texts(["red"])
        [padded] = ClipEmbedder(manifest(pads_to_context=True), tmp_path).embed_texts(["red"])

        red, white = colour.embed_texts(["red", "white"])
        assert np.dot(short, red) == pytest.approx(1, abs=1e-3)
        assert np.dot(padded, white) == pytest.approx(1, abs=1e-3)

    def test_texts_in_small_letters(
        self, manifest: Callable[..., Manifest], tmp_path: Path, colour: ClipEmbedder
    ) -> None:
        [vector] = ClipEmbedder(manifest(is_lower_case=True), tmp_path).embed_texts(["RED"])

        assert np.dot(vector, colour.embed_texts(["red"])[0]) == pytest.approx(1, abs=1e-3)


def test_a_model_for_chinese_comes_in_by_its_manifest(tmp_path: Path) -> None:
    write_chinese_clip(tmp_path)
    embedder = ClipEmbedder(manifest_of(tmp_path, ""), tmp_path)

    words = embedder.embed_texts(["红", "绿 绿 绿", "蓝"])

    pictures = embedder.embed_pictures([_plain(COLOURS[name]) for name in ("red", "green", "blue")])
    assert (np.array(words) @ np.array(pictures).T).argmax(axis=1).tolist() == [0, 1, 2]
    assert np.sum(np.multiply(words, pictures), axis=1) == pytest.approx(1, abs=0.01)
    assert embedder.model.languages == ("zh",)


def test_what_a_manifest_says_of_the_view_decides_what_a_picture_is(tmp_path: Path) -> None:
    """The ends of a wide picture are cut off, or are not."""
    write_chinese_clip(tmp_path)
    whole = manifest_of(tmp_path, "")
    assert whole.vision
    middle = whole.model_copy(update={"vision": whole.vision.model_copy(update={"view": "shorter_side"})})
    blue_ends = Image.new("RGB", (300, 100), COLOURS["blue"])
    blue_ends.paste(COLOURS["red"], (100, 0, 200, 100))
    picture = Picture(blue_ends, content_type="image/png")

    seen = [ClipEmbedder(manifest, tmp_path).embed_pictures([picture])[0] for manifest in (whole, middle)]

    red, blue = ClipEmbedder(whole, tmp_path).embed_pictures([_plain(COLOURS[c]) for c in ("red", "blue")])
    assert np.dot(seen[0], blue) > np.dot(seen[0], red)
    assert np.dot(seen[1], red) == pytest.approx(1, abs=0.01)


class TestAProjection:
    def test_that_is_missing_is_named(self, tmp_path: Path) -> None:
        write_multilingual_tower(tmp_path)
        (tmp_path / "model.safetensors").unlink()

        with pytest.raises(SettingsError, match=r"model\.safetensors holds no projection"):
            ClipEmbedder(manifest_of(tmp_path, ""), tmp_path).embed_texts(["红"])

    def test_that_is_no_safetensors_file_is_named(self, tmp_path: Path) -> None:
        write_multilingual_tower(tmp_path)
        (tmp_path / "model.safetensors").write_bytes(b"PK\3\4 a file of torch")

        with pytest.raises(SettingsError, match=r"model\.safetensors holds no projection"):
            ClipEmbedder(manifest_of(tmp_path, ""), tmp_path).embed_texts(["红"])

    def test_under_another_name_is_named(self, tmp_path: Path) -> None:
        write_multilingual_tower(tmp_path)
        save_file({"weight": np.ones((512, 4), np.float32)}, tmp_path / "model.safetensors")

        with pytest.raises(SettingsError, match=r"model\.safetensors holds no projection"):
            ClipEmbedder(manifest_of(tmp_path, ""), tmp_path).embed_texts(["红"])

    def test_of_another_shape_is_named(self, tmp_path: Path) -> None:
        write_multilingual_tower(tmp_path)
        save_file({"linear.weight": np.ones((512, 7), np.float32)}, tmp_path / "model.safetensors")

        with pytest.raises(SettingsError, match=r"the projection .* shape \(7,\), and .* gives \(4,\)"):
            ClipEmbedder(manifest_of(tmp_path, ""), tmp_path).embed_texts(["红"])


def test_a_tower_without_states_of_tokens_cannot_be_pooled(folder: Path) -> None:
    assert _CLIP.text
    text = _CLIP.text.model_copy(update={"pooling": "mean"})

    with pytest.raises(SettingsError, match=r"text_model\.onnx gives no states of tokens"):
        ClipEmbedder(_CLIP.model_copy(update={"text": text}), folder).embed_texts(["a cat"])
