"""Pictures that may have fewer pixels than others, for what they are decoded for."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import PictureError
from shared.images import decode, limits
from tests import picture_files
from tests.picture_files import encoded, halves

_PIXELS = 64 * 32
_FILES = {
    "PNG": encoded(halves()),
    "JPEG": encoded(halves(), "JPEG"),
    "progressive JPEG": encoded(halves(), "JPEG", progressive=True),
    "WebP": encoded(halves(), "WEBP"),
    "AVIF": encoded(halves(), "AVIF"),
    "TIFF": encoded(halves(), "TIFF"),
    "HEIC": picture_files.heic(),
}


@pytest.mark.parametrize("kind", sorted(_FILES))
def test_a_picture_of_more_pixels_than_are_allowed_is_refused(kind: str) -> None:
    with pytest.raises(PictureError, match=r"too many pixels: 64 x \d+, at most 0 million for this use"):
        decode(_FILES[kind], most_pixels=_PIXELS - 1)


@pytest.mark.parametrize("kind", sorted(_FILES.keys() - {"HEIC"}))
def test_a_picture_of_as_many_pixels_as_are_allowed_is_read(kind: str) -> None:
    picture = decode(_FILES[kind], most_pixels=_PIXELS)

    assert (picture.width, picture.height) == (64, 32)


def test_a_heic_is_measured_as_it_is_coded_not_as_it_is_cut() -> None:
    assert decode(_FILES["HEIC"], most_pixels=2 * _PIXELS).height == 32


@pytest.mark.parametrize("kind", sorted(_FILES))
def test_the_next_picture_is_not_limited(kind: str) -> None:
    with pytest.raises(PictureError):
        decode(_FILES[kind], most_pixels=1)

    assert decode(_FILES[kind]).width == 64


def test_more_pixels_than_a_kind_may_have_are_never_allowed() -> None:
    with pytest.raises(PictureError, match="at most 40 million for PNG"):
        decode(picture_files.png_header(9000, 9000), most_pixels=10**9)


def test_a_limit_within_another_ends_with_it() -> None:
    with limits.at_most(10):
        with limits.at_most(5), pytest.raises(PictureError):
            limits.check_pixels(6, 1, 100, "PNG")
        limits.check_pixels(6, 1, 100, "PNG")
        with pytest.raises(PictureError):
            limits.check_pixels(11, 1, 100, "PNG")


def test_a_limit_holds_in_its_own_thread_only() -> None:
    with limits.at_most(1), ThreadPoolExecutor(1) as threads:
        picture = threads.submit(decode, _FILES["PNG"]).result(60)

    assert picture.width == 64
