"""A decoded picture and what is made of it."""

import importlib
import io
import struct
import threading
import zlib
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from shared.models import PictureFacts

if TYPE_CHECKING:
    from PIL import Image

Resample: TypeAlias = Literal["bicubic", "bilinear"]

PREVIEW_PX: Final = 512
"""The longest side of a preview."""
_PREVIEW_QUALITY: Final = 78
_LONGEST_VIEW: Final = 8
"""Times as long as wide."""

one_at_a_time: Final = threading.Lock()
"""A process decodes one picture at a time: hold this from `decode` until the last output is made, and let go
of the picture before it is released. The limits keep one within 370 MB; they say nothing of two."""


class Picture:
    """A decoded picture: upright, opaque, 8-bit sRGB, whatever it was before."""

    def __init__(
        self,
        rgb: "Image.Image",
        *,
        content_type: str,
        size: tuple[int, int] | None = None,
        taken_at: datetime | None = None,
    ) -> None:
        """`size`: of the original, upright, where the pixels at hand are fewer."""
        self._rgb = rgb
        self._size = size or rgb.size
        self._taken_at = taken_at
        self.content_type = content_type

    @property
    def width(self) -> int:
        """Of the original in pixels, upright."""
        return self._size[0]

    @property
    def height(self) -> int:
        """Of the original in pixels, upright."""
        return self._size[1]

    @cached_property
    def facts(self) -> PictureFacts:
        """What is kept of it beside its vector."""
        from PIL import Image

        average = self._small.resize((1, 1), Image.Resampling.BOX).tobytes()
        return PictureFacts(self.content_type, self.width, self.height, f"#{average.hex()}", self._taken_at)

    @cached_property
    def _small(self) -> "Image.Image":
        from PIL import Image

        times = min(1, PREVIEW_PX / max(self._rgb.size))
        width, height = (max(1, round(side * times)) for side in self._rgb.size)
        small = self._rgb.resize((width, height), Image.Resampling.HAMMING, reducing_gap=2)
        small.info.clear()
        return small

    def preview(self) -> bytes:
        """The whole picture as a WebP without metadata, no side longer than `PREVIEW_PX`, never enlarged."""
        return _webp(self._small)

    def thumbnail(self, longest_px: int) -> bytes:
        """The same in another size."""
        small = self._rgb.copy()
        small.info.clear()
        small.thumbnail((longest_px, longest_px))
        return _webp(small)

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
        return _png(self._model_view(size, "bicubic"))

    def _model_view(self, size: int, resample: Resample) -> "Image.Image":
        way = _resampling(resample)
        sides = self._rgb.size
        scaled = (size * sides[0] // min(sides), size * sides[1] // min(sides))
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


def _resampling(resample: Resample) -> "Image.Resampling":
    from PIL import Image

    return Image.Resampling[resample.upper()]


def _webp(image: "Image.Image") -> bytes:
    importlib.import_module("PIL.WebPImagePlugin")  # registers itself; else Pillow would load all that it has
    buffer = io.BytesIO()
    # A quarter of the time of the default method, for a few bytes more.
    image.save(buffer, "WEBP", quality=_PREVIEW_QUALITY, method=0)
    return buffer.getvalue()


def _png(rgb: "Image.Image") -> bytes:
    """In half of Pillow's time: it tries five filters on each row, where this takes one for all."""
    from PIL import Image, ImageChops

    above = Image.new("RGB", rgb.size)
    above.paste(rgb, (0, 1))
    filtered = ImageChops.subtract_modulo(rgb, above).tobytes()
    stride = 3 * rgb.width
    rows = b"".join(b"\2" + filtered[at : at + stride] for at in range(0, len(filtered), stride))
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    header = struct.pack(">LLBBBBB", *rgb.size, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", packer.compress(rows) + packer.flush()), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, body) for kind, body in chunks)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
