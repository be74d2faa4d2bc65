"""Decoding of pictures that nobody vouches for."""

import importlib
import math
import struct
import warnings
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.errors import PictureError
from shared.images import boxes, exif, heif, jpeg, limits, png, tiff
from shared.images.colour import Raster, is_srgb, upright_srgb
from shared.images.kinds import FORMATS, kind_of
from shared.images.picture import Picture

if TYPE_CHECKING:
    from PIL import ImageFile

_LONGER_PX: Final = 768
_SHORTER_PX: Final = 448
"""Left at least of a picture that is decoded smaller: twice a model's view, and more than a preview."""
_STRIP_PIXELS: Final = 4_000_000
"""About what is kept of a picture so large, long and thin that a model sees less than enough of it."""
_ON_THEIR_SIDE: Final = {5, 6, 7, 8}
"""EXIF's orientations with width and height exchanged."""
_MANY_PIXELS: Final = 16_000_000
"""More are never kept, however little of them a model looks at."""
_WEBP_BYTES_A_PIXEL: Final = 17
"""Two canvases, a copy and the picture."""
_AVIF_BYTES_A_PIXEL: Final = 8
"""A copy and the picture, beside the decoder's planes."""
_PLUGINS: Final = {"AVIF": "Avif", "TIFF": "Tiff", "WEBP": "WebP"}
"""Those that Pillow does not load of itself: asked for one it would load all that it has."""
_BROKEN: Final = (
    # The decoders raise all of these on broken files.
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def decode(data: bytes, *, most_pixels: int = limits.MAX_PIXELS_BASELINE) -> Picture:
    """Decode a picture of unknown origin; its content decides, not its name or declared type.

    Of an animation the first frame. Large pictures are decoded smaller than they are, yet large enough for a
    model's view and a preview. One at a time in a process: see `one_at_a_time`.

    Raises `PictureError` with the reason: empty, too large, not a picture, truncated, or a decompression bomb
    (refused before any pixel is decoded).
    """
    from PIL import Image, UnidentifiedImageError

    limits.check_size(len(data))
    kind = kind_of(data)
    try:
        with warnings.catch_warnings(), limits.at_most(most_pixels):
            warnings.simplefilter("ignore")  # of what is odd in a file
            return _decode(data, kind)
    except UnidentifiedImageError as exc:
        raise PictureError(f"broken picture: it begins as {kind} but does not go on so") from exc
    except (Image.DecompressionBombError, MemoryError) as exc:
        most = f"at most {limits.MAX_PIXELS // 1_000_000} million"
        raise PictureError(f"too many pixels to decode: {most}") from exc
    except _BROKEN as exc:
        raise PictureError(f"broken picture: {exc}") from exc


def _decode(data: bytes, kind: str) -> Picture:
    """What can be known beforehand is looked at first: decoders trust what a file says of itself."""
    match kind:
        case "JPEG":
            return _decode_by_pillow(data, kind, most=jpeg.look_at(data).check_pixels())
        case "PNG":
            png.look_at(data)
        case "TIFF":
            return _decode_by_pillow(tiff.checked(data), kind, block=data)
        case "WEBP":
            return _decode_by_pillow(data, kind, most=limits.pixels_in_memory(_WEBP_BYTES_A_PIXEL))
        case "AVIF":
            coding = boxes.look_at(data)
            most = limits.pixels_in_memory(_AVIF_BYTES_A_PIXEL + coding.bytes_a_pixel + coding.has_alpha)
            return _decode_by_pillow(data, kind, most=most, of=f"AVIF of {coding}")
        case "HEIC" | "HEIF":
            raster, block = heif.decode(data)
            return _picture(raster, kind, raster.size, exif.read(block).taken_at)
    return _decode_by_pillow(data, kind)


def _decode_by_pillow(
    data: bytes, kind: str, *, most: int = limits.MAX_PIXELS, of: str = "", block: bytes | None = None
) -> Picture:
    """`most`: pixels. `block`: the EXIF data, if they are elsewhere than usual."""
    from PIL import Image

    if kind in _PLUGINS:
        importlib.import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
    with Image.open(limits.Source(data), formats=[kind]) as opened:
        limits.check_pixels(*opened.size, most, of or kind)
        if kind in {"AVIF", "PNG", "WEBP"}:  # where the header tells
            limits.check_frames(getattr(opened, "n_frames", 1))
        size = opened.size
        found = exif.read(_exif_block(opened) if block is None else block)
        profile = opened.info.get("icc_profile") or b""
        limits.check_profile(len(profile))
        if kind == "JPEG":
            times = _times_too_large(size)
            opened.draft(None, (size[0] // times, size[1] // times))
        opened.load()
        return _picture(_raster(opened, kind, profile, found.orientation), kind, size, found.taken_at)


def _exif_block(opened: "ImageFile.ImageFile") -> bytes:
    block = opened.info.get("exif") or b""
    limits.check_exif(len(block))
    return block


def _raster(opened: "ImageFile.ImageFile", kind: str, profile: bytes, orientation: int) -> Raster:
    width, height = opened.size
    # Pillow takes every JPEG of inks for one of Adobe's, which count the paper that is left.
    is_inverted = kind == "JPEG" and "adobe" not in opened.info
    return Raster(
        (width, height),
        lambda top, end: opened if end - top == height else opened.crop((0, top, width, end)),
        profile,
        orientation,
        is_inverted,
    )


def _picture(raster: Raster, kind: str, size: tuple[int, int], taken_at: datetime | None) -> Picture:
    """`size`: of the original, as it lies in the file."""
    width, height = raster.size
    has_many = width * height > _MANY_PIXELS
    shrink = _times_too_large(raster.size) if has_many or not is_srgb(raster.profile) else 1
    return Picture(
        upright_srgb(raster, shrink),
        content_type=FORMATS[kind],
        size=size[::-1] if raster.orientation in _ON_THEIR_SIDE else size,
        taken_at=taken_at,
    )


def _times_too_large(size: tuple[int, int]) -> int:
    enough = min(max(size) // _LONGER_PX, min(size) // _SHORTER_PX)
    pixels = math.prod(size)
    at_least = math.ceil(math.sqrt(pixels / _STRIP_PIXELS)) if pixels > _MANY_PIXELS else 1
    return max(1, enough, at_least)
