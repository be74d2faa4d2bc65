"""What CLIP looks at, beside a plain account of its reference's preprocessing."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from infra import photographs
from shared.embedding.clip import ClipEmbedder, VisionTower
from shared.embedding.manifest import Vision, manifest_named
from shared.images import Picture, decode
from tests.clip_models import write_colour_clip

_SIZE = 224


def _noise(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(width * 10_000 + height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(levels)


def _photograph() -> Image.Image:
    paths = {photograph.path.name: photograph.path for photograph in photographs.packaged()}
    with Image.open(paths["chelsea.png"]) as opened:
        return opened.convert("RGB")


def _picture(image: Image.Image) -> Picture:
    return Picture(image, content_type="image/png")


def _reference(image: Image.Image, size: int = _SIZE) -> bytes:
    """As transformers' `CLIPImageProcessor` does it: the shorter side to the size, then the centre."""
    shorter = min(image.size)
    width, height = (int(size * side / shorter) for side in image.size)
    whole = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return whole.crop((left, top, left + size, top + size)).tobytes()


def _levels(view: bytes) -> NDArray[np.int16]:
    return np.frombuffer(view, np.uint8).astype(np.int16)


_side = st.integers(1, 300)


@given(shorter=_side, times=st.floats(1, 8), is_wide=st.booleans())
@example(shorter=224, times=1, is_wide=True)
@example(shorter=224, times=8, is_wide=True)
@example(shorter=223, times=8, is_wide=False)
@example(shorter=1, times=8, is_wide=False)
@example(shorter=225, times=1.005, is_wide=True)
@settings(max_examples=60, deadline=None)
def test_the_view_is_that_of_the_reference_bit_for_bit(shorter: int, times: float, is_wide: bool) -> None:
    image = _noise(*sorted((shorter, int(shorter * times)), reverse=is_wide))

    assert _picture(image).model_view(_SIZE) == _reference(image)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1920, 1080), (33, 40), (97, 350), (451, 300)])
def test_the_view_of_a_photograph_is_that_of_the_reference(size: tuple[int, int]) -> None:
    image = _photograph().resize(size)

    assert _picture(image).model_view(_SIZE) == _reference(image)


@pytest.mark.parametrize("px", [16, 225, 336])
def test_a_model_may_look_at_another_size(px: int) -> None:
    image = _noise(200, 131)

    assert _picture(image).model_view(px) == _reference(image, px)


@pytest.mark.parametrize("size", [(2000, 249), (100, 1000), (3000, 90), (30, 1000), (2000, 20)])
def test_of_a_longer_strip_only_the_middle_is_computed_and_looks_the_same(size: tuple[int, int]) -> None:
    image = _photograph().resize(size)

    difference = np.abs(_levels(_picture(image).model_view(_SIZE)) - _levels(_reference(image)))

    assert difference.max() <= 3
    assert difference.mean() < 0.1


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1), (1, 65_000)])
def test_the_view_of_the_thinnest_strip_is_its_middle(size: tuple[int, int]) -> None:
    (x0, x1), (y0, y1) = ((max(side // 2 - 3, 0), side // 2 + 4) for side in size)
    image = Image.new("RGB", size, "red")
    image.paste("blue", (x0, y0, x1, y1))

    view = _levels(_picture(image).model_view(_SIZE)).reshape(_SIZE, _SIZE, 3)

    assert (view == (0, 0, 255)).all()


def test_the_view_as_a_png_shows_the_same() -> None:
    picture = _picture(_noise(301, 200))

    png = decode(picture.model_view_png(_SIZE))

    assert png.content_type == "image/png"
    assert png.model_view(_SIZE) == picture.model_view(_SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colour")
    write_colour_clip(folder)
    return folder


@pytest.fixture(scope="module")
def vision() -> Vision:
    vision = manifest_named("openai/clip-vit-base-patch16").vision
    assert vision
    return vision


@pytest.fixture(scope="module")
def every_level() -> Image.Image:
    """As large as the view, so that it is the view."""
    levels = np.arange(_SIZE * _SIZE * 3).astype(np.uint8).reshape(_SIZE, _SIZE, 3)
    return Image.fromarray(levels)


class TestPixels:
    def test_are_normalised_as_the_formula_says(
        self, folder: Path, vision: Vision, every_level: Image.Image
    ) -> None:
        view = np.asarray(every_level).astype(np.float64)

        pixels = VisionTower(vision, folder, 1).pixels([every_level.tobytes()])

        expected = ((view / 255 - vision.mean) / vision.std).transpose(2, 0, 1)[None]
        assert pixels.dtype == np.float32
        assert np.array_equal(pixels, expected.astype(np.float32))

    def test_are_those_of_a_computation_in_32_bits_but_for_rounding(
        self, folder: Path, vision: Vision, every_level: Image.Image
    ) -> None:
        view, mean, std = (
            np.asarray(values, np.float32) for values in (every_level, vision.mean, vision.std)
        )

        pixels = VisionTower(vision, folder, 1).pixels([every_level.tobytes()])

        expected = ((view * np.float32(1 / 255) - mean) / std).transpose(2, 0, 1)[None]
        assert np.abs(pixels - expected).max() <= 1e-6

    def test_of_several_pictures_keep_their_order(self, folder: Path, vision: Vision) -> None:
        tower = VisionTower(vision, folder, 1)
        views = [_picture(_noise(width, 100)).model_view(_SIZE) for width in (100, 120, 140)]

        together = tower.pixels(views)

        assert together.shape == (3, 3, _SIZE, _SIZE)
        assert np.array_equal(together, np.concatenate([tower.pixels([view]) for view in views]))

    def test_of_a_model_that_stretches_show_the_whole_picture(self, folder: Path) -> None:
        manifest = manifest_named("google/siglip2-base-patch16-224")
        assert manifest.vision
        image = _noise(300, 100)

        view = ClipEmbedder(manifest, folder).view(_picture(image))
        pixels = VisionTower(manifest.vision, folder, 1).pixels([view])

        whole = np.asarray(image.resize((_SIZE, _SIZE), Image.Resampling.BILINEAR))
        assert np.abs(pixels - (whole / 127.5 - 1).transpose(2, 0, 1)[None]).max() <= 1e-6
