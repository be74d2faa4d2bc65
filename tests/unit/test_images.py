"""Decoding of pictures that nobody vouches for."""

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.errors import PictureError
from shared.images import FORMATS, MAX_BYTES, decode

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::RuntimeWarning"
)  # Pillow, of broken files

_RED, _BLUE = (200, 0, 0), (0, 0, 200)


def _encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _halves() -> Image.Image:
    """64 x 32: the left half red, the right half blue."""
    image = Image.new("RGB", (64, 32), _RED)
    image.paste(_BLUE, (32, 0, 64, 32))
    return image


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_is_known_by_its_content(form: str) -> None:
    picture = decode(_encoded(_halves(), form))

    assert (picture.width, picture.height) == (64, 32)
    assert picture.content_type == FORMATS[form]


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees

    picture = decode(_encoded(_halves(), "JPEG", exif=exif))

    assert (picture.width, picture.height) == (32, 64)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (8, 8), (200, 0, 0, 0)),
        Image.new("LA", (8, 8), (0, 0)),
    ],
    ids=["colour", "grey"],
)
def test_transparency_becomes_white(image: Image.Image) -> None:
    picture = decode(_encoded(image))

    assert picture.centre_square(1) == b"\xff\xff\xff"


def test_a_transparent_palette_becomes_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([200, 0, 0])

    picture = decode(_encoded(image, "PNG", transparency=0))

    assert picture.centre_square(1) == b"\xff\xff\xff"


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    picture = decode(_encoded(Image.new("I;16", (8, 8), 128 * 256)))

    assert picture.centre_square(1) == b"\x80\x80\x80"


def test_cmyk_becomes_rgb() -> None:
    picture = decode(_encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "JPEG"))

    assert max(picture.centre_square(1)) < 10


def test_the_centre_square_is_the_middle_and_the_padded_square_the_whole() -> None:
    picture = decode(_encoded(_halves()))

    assert len(picture.centre_square(16)) == len(picture.padded_square(16)) == 16 * 16 * 3
    assert picture.padded_square(16)[:3] == b"\xff\xff\xff"
    assert tuple(picture.centre_square(16)[:3]) == _RED


def test_a_thumbnail_keeps_the_shape() -> None:
    picture = decode(_encoded(_halves()))

    thumbnail = decode(picture.thumbnail(16))

    assert (thumbnail.width, thumbnail.height) == (16, 8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%PDF-1.7", "not a picture"),
        (_encoded(_halves(), "JPEG")[:300], "broken picture"),
        (_encoded(_halves())[:60], "broken picture"),
        (_png_header(20_000, 20_000), "too many pixels"),
        (_png_header(2**31 - 1, 2**31 - 1), "too many pixels|broken picture"),
        (_png_header(100, 100), "broken picture"),
        (b"\0" * (MAX_BYTES + 1), "too large"),
    ],
    ids=["empty", "text", "svg", "pdf", "cut jpeg", "cut png", "bomb", "monster", "hollow png", "large"],
)
def test_what_cannot_be_embedded_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        decode(data)


def _progressive() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 80).convert("RGB").save(buffer, "JPEG", progressive=True)
    return buffer.getvalue()


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    jpeg = _progressive()
    last_scan = jpeg.rindex(b"\xff\xda")
    bomb = jpeg[:last_scan] + jpeg[last_scan:-2] * 200 + b"\xff\xd9"

    with pytest.raises(PictureError, match="too many scans"):
        decode(bomb)


def test_a_jpeg_of_endless_comments_is_refused() -> None:
    jpeg = _progressive()

    with pytest.raises(PictureError, match="too many segments"):
        decode(jpeg[:2] + b"\xff\xfe\x00\x02" * 10_000 + jpeg[2:])


def test_what_follows_a_jpeg_in_its_file_does_not_count() -> None:
    """Cameras append the film of a moving picture, whose bytes may be anything."""
    picture = decode(_progressive() + b"\xff\xda" * 1000)

    assert (picture.width, picture.height) == (64, 64)


@given(position=st.integers(0, 10_000), value=st.integers(0, 255), form=st.sampled_from(sorted(FORMATS)))
def test_a_flipped_byte_never_crashes(position: int, value: int, form: str) -> None:
    data = bytearray(_encoded(_halves(), form))
    data[position % len(data)] = value

    try:
        picture = decode(bytes(data))
    except PictureError:
        return
    assert picture.width > 0
