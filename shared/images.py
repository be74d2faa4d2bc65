"""Safe decoding of untrusted pictures. The only module that touches Pillow."""

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from shared.errors import PictureError

if TYPE_CHECKING:
    from PIL import Image

Resample: TypeAlias = Literal["bicubic", "bilinear"]

MAX_BYTES: Final = 25_000_000
MAX_PIXELS: Final = 40_000_000
MAX_SCANS: Final = 100
"""Of a progressive JPEG. An encoder makes about ten; each costs a pass over all pixels."""
_LONGEST_VIEW: Final = 8
"""Times as long as wide."""
FORMATS: Final = {
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}

# In the coded data of a scan every 0xff is followed by a zero or a restart mark.
_JPEG_MARK: Final = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_START_OF_SCAN: Final = b"\xda"
_START_OF_IMAGE: Final = b"\xd8"
_END_OF_IMAGE: Final = b"\xd9"
_MAX_SEGMENTS: Final = 5000
_BROKEN: Final = (
    # Pillow's decoders raise all of these on broken files.
    ArithmeticError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


class Picture:
    """A decoded picture: upright, opaque, 8-bit RGB, whatever it was before."""

    def __init__(self, rgb: "Image.Image", *, content_type: str) -> None:
        self._rgb = rgb
        self.content_type = content_type

    @property
    def width(self) -> int:
        """In pixels, after EXIF rotation."""
        return self._rgb.width

    @property
    def height(self) -> int:
        """In pixels, after EXIF rotation."""
        return self._rgb.height

    def centre_square(self, size: int) -> bytes:
        """The middle of the picture, `size` x `size` RGB bytes, row by row."""
        from PIL import Image, ImageOps

        return ImageOps.fit(self._rgb, (size, size), Image.Resampling.BICUBIC).tobytes()

    def model_view(self, size: int, resample: Resample = "bicubic") -> bytes:
        """What CLIP looks at, `size` x `size` RGB bytes, row by row.

        The shorter side is scaled to `size`, then the middle is taken, as CLIP's reference does it.
        """
        return self._model_view(size, resample).tobytes()

    def model_view_png(self, size: int) -> bytes:
        """The same, bicubic, as a PNG."""
        buffer = io.BytesIO()
        # On photographs as small as the default is, in a quarter of its time.
        self._model_view(size, "bicubic").save(buffer, "PNG", compress_type=zlib.Z_RLE)
        return buffer.getvalue()

    def _model_view(self, size: int, resample: Resample) -> "Image.Image":
        way = _resampling(resample)
        sides = (self.width, self.height)
        scaled = (size * self.width // min(sides), size * self.height // min(sides))
        left, top = ((side - size) // 2 for side in scaled)
        if max(scaled) <= _LONGEST_VIEW * size:
            whole = self._rgb.resize(scaled, way)
            return whole.crop((left, top, left + size, top + size))
        # Of a long strip only the middle is computed; it differs from the other way by rounding.
        box = (left, top, left + size, top + size)
        x0, y0, x1, y1 = (
            min(edge * side / new, side) for edge, side, new in zip(box, 2 * sides, 2 * scaled, strict=True)
        )
        return self._rgb.resize((size, size), way, box=(x0, y0, x1, y1))

    def stretched(self, size: int, resample: Resample) -> bytes:
        """The whole picture, `size` x `size` RGB bytes, whatever its shape was: what SigLIP looks at."""
        return self._rgb.resize((size, size), _resampling(resample)).tobytes()

    def padded_square(self, size: int) -> bytes:
        """The whole picture on a white square, `size` x `size` RGB bytes, row by row."""
        from PIL import Image, ImageOps

        padded = ImageOps.pad(self._rgb, (size, size), Image.Resampling.BICUBIC, color="white")
        return padded.tobytes()

    def thumbnail(self, longest_px: int) -> bytes:
        """The whole picture as a WebP without metadata, no side longer than `longest_px`."""
        small = self._rgb.copy()
        small.thumbnail((longest_px, longest_px))
        buffer = io.BytesIO()
        small.save(buffer, "WEBP")
        return buffer.getvalue()


def decode(data: bytes) -> Picture:
    """Decode a picture of unknown origin; its content decides, not its name or declared type.

    Raises `PictureError` with the reason: empty, too large, not a picture, truncated, or a decompression bomb
    (refused before any pixel is decoded).
    """
    from PIL import Image, UnidentifiedImageError

    check_size(len(data))
    if data.startswith(b"\xff" + _START_OF_IMAGE):
        _check_scans(data)
    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                size = f"{opened.width} x {opened.height}"
                raise PictureError(f"too many pixels: {size}, at most {MAX_PIXELS // 1_000_000} million")
            return Picture(_upright_rgb(opened), content_type=FORMATS[str(opened.format)])
    except UnidentifiedImageError as exc:
        raise PictureError("not a picture: none of " + ", ".join(FORMATS)) from exc
    except _BROKEN as exc:
        raise PictureError(f"broken picture: {exc}") from exc
    except (Image.DecompressionBombError, MemoryError) as exc:
        raise PictureError("too many pixels to decode") from exc


def check_size(size_bytes: int) -> None:
    """Refuse what need not even be read. Raises `PictureError`."""
    if size_bytes == 0:
        raise PictureError("empty: the file has 0 bytes")
    if size_bytes > MAX_BYTES:
        raise PictureError(f"too large: {size_bytes} bytes, at most {MAX_BYTES // 1_000_000} MB")


def _check_scans(jpeg: bytes) -> None:
    """Refuse a JPEG whose scans would keep a decoder busy for minutes. Raises `PictureError`."""
    scans, at = 0, 0
    for _ in range(_MAX_SEGMENTS):
        mark = _JPEG_MARK.search(jpeg, at)
        if mark is None or mark[1] == _END_OF_IMAGE:
            return
        scans += mark[1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise PictureError(f"too many scans to decode: at most {MAX_SCANS}")
        at = mark.end()
        if mark[1] != _START_OF_IMAGE:
            at += int.from_bytes(jpeg[at : at + 2])
    raise PictureError(f"too many segments to decode: at most {_MAX_SEGMENTS}")


def _resampling(resample: Resample) -> "Image.Resampling":
    from PIL import Image

    return Image.Resampling[resample.upper()]


def _upright_rgb(opened: "Image.Image") -> "Image.Image":
    from PIL import Image, ImageOps

    if opened.mode in {"I", "I;16", "I;16B", "I;16L"}:  # 16-bit grey: Pillow would clip, not scale
        opened = opened.convert("I").point(lambda level: level / 256).convert("L")
    image = ImageOps.exif_transpose(opened)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
