"""From whatever a file holds to upright, opaque, 8-bit sRGB."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image, ImageCms

_STRIP_PIXELS: Final = 1_000_000
_SIXTEEN_BITS: Final = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
_KEPT: Final = {"L", "RGB", "CMYK", "LAB"}
"""Modes that become RGB at the end, when the picture is small and its profile can say how."""
_SAME: Final = 2
"""Levels by which a profile may differ from sRGB and still be called that."""


@dataclass(frozen=True, slots=True)
class Raster:
    """Decoded pixels, as they are in the file."""

    size: tuple[int, int]
    rows: "Callable[[int, int], Image.Image]"
    """Those from the first to before the second."""
    profile: bytes = b""
    orientation: int = 1
    is_inverted: bool = False
    """A CMYK picture that counts light, not ink."""


def upright_srgb(raster: Raster, shrink: int = 1) -> "Image.Image":
    """Never more than a strip is held beside the raster and the result. `shrink`: how many times smaller."""
    from PIL import ImageChops

    image = _opaque(raster, shrink)
    if raster.is_inverted and image.mode == "CMYK":
        image = ImageChops.invert(image)
    return _upright(_srgb(image, raster.profile), raster.orientation)


def is_srgb(profile: bytes) -> bool:
    """Whether the profile changes nothing of an RGB picture; so does one that is broken."""
    return not profile or _transform(profile, "RGB") is None


def _opaque(raster: Raster, shrink: int) -> "Image.Image":
    from PIL import Image

    width, height = raster.size
    step = shrink * max(1, _STRIP_PIXELS // width // shrink)
    strips = (
        _reduced(_opaque_strip(raster.rows(top, min(top + step, height))), shrink)
        for top in range(0, height, step)
    )
    first = next(strips)
    whole = Image.new(first.mode, (first.width, -(-height // shrink)))
    for number, strip in enumerate(chain([first], strips)):
        whole.paste(strip, (0, number * step // shrink))
    return whole


def _reduced(strip: "Image.Image", shrink: int) -> "Image.Image":
    return strip.reduce(shrink) if shrink > 1 else strip


def _opaque_strip(strip: "Image.Image") -> "Image.Image":
    from PIL import Image

    if strip.mode in _SIXTEEN_BITS:  # Pillow would clip, not scale
        return strip.convert("I").point(lambda level: level / 256).convert("L")
    if strip.has_transparency_data:
        rgba = strip.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return strip if strip.mode in _KEPT else strip.convert("RGB")


def _srgb(image: "Image.Image", profile: bytes) -> "Image.Image":
    transform = _transform(profile, image.mode) if profile or image.mode == "LAB" else None
    if transform is None and image.mode == "L" and profile:
        image = image.convert("RGB")
        transform = _transform(profile, "RGB")
    if transform is None:
        return image.convert("RGB")
    if image.mode == "RGB":
        transform.apply_in_place(image)
        return image
    return transform.apply(image)


@lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str) -> "ImageCms.ImageCmsTransform | None":
    """None where the profile is broken, is none for this mode, or would change nothing."""
    from PIL import ImageCms

    try:
        source = (
            ImageCms.createProfile("LAB") if mode == "LAB" else ImageCms.getOpenProfile(io.BytesIO(profile))
        )
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if mode in {"L", "RGB"} and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _changes_nothing(transform: "ImageCms.ImageCmsTransform", mode: str) -> bool:
    from PIL import Image, ImageChops

    steps = range(0, 256, 17)
    if mode == "L":
        probe = Image.frombytes("L", (16, 1), bytes(steps))
    else:
        colours = bytes(level for r in steps for g in steps for b in steps for level in (r, g, b))
        probe = Image.frombytes("RGB", (256, 16), colours)
    difference = ImageChops.difference(probe.convert("RGB"), transform.apply(probe)).tobytes()
    return max(difference) <= _SAME


def _upright(image: "Image.Image", orientation: int) -> "Image.Image":
    from PIL import Image

    turn = Image.Transpose
    way = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }.get(orientation)
    return image if way is None else image.transpose(way)
