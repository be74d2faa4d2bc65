"""Files that can never be embedded, each with the words that its reason must hold."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Final

from PIL import Image

from benchmarks.chaos_parts.pictures import picture_file
from shared.images import MAX_BYTES

_MANY_SCANS: Final = 120
_MANY_PIXELS: Final = 50_000


def poisoned_file(number: int) -> bytes:
    """Of another kind each time; no two of a kind are of equal bytes, but the empty ones."""
    make, _ = KINDS[number % len(KINDS)]
    return make(number)


def words_of(number: int) -> str:
    """What the reason must hold."""
    _, words = KINDS[number % len(KINDS)]
    return words


def _text(number: int) -> bytes:
    return f"no picture at all, number {number}\n".encode()


def _truncated_jpeg(number: int) -> bytes:
    jpeg = _recoded(number, "JPEG")
    return jpeg[: len(jpeg) // 2]


def _broken_png(number: int) -> bytes:
    """Some bytes in the middle of its pixels are others."""
    png = bytearray(_recoded(number, "PNG"))
    middle = len(png) // 2
    png[middle : middle + 64] = bytes(64)
    return bytes(png)


def _bomb(number: int) -> bytes:
    """It says that it has 2.5 thousand million pixels."""
    header = struct.pack(">LLBBBBB", _MANY_PIXELS, _MANY_PIXELS + number, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def _svg(number: int) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg"><circle r="{number}"/></svg>'.encode()


def _pdf(number: int) -> bytes:
    return f"%PDF-1.7\n% number {number}\n%%EOF\n".encode()


def _film(number: int) -> bytes:
    return b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + struct.pack(">L4sL", 12, b"mdat", number)


def _archive(number: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("picture.jpg", _text(number))
    return buffer.getvalue()


def _page(number: int) -> bytes:
    return f"<!DOCTYPE html><html><body>number {number}</body></html>".encode()


def _scans(number: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    jpeg = _recoded(number, "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * _MANY_SCANS + jpeg[-2:]


def _too_large(number: int) -> bytes:
    return picture_file(number) + bytes(MAX_BYTES)


def _recoded(number: int, kind: str, **options: bool) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture_file(number))) as opened:
        opened.convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


KINDS: Final[tuple[tuple[Callable[[int], bytes], str], ...]] = (
    (lambda _: b"", "empty"),
    (_text, "it is text"),
    (_truncated_jpeg, "broken picture"),
    (_broken_png, "broken picture"),
    (_bomb, "too many pixels"),
    (_svg, "an SVG drawing"),
    (_pdf, "a PDF document"),
    (_film, "a video"),
    (_archive, "a ZIP archive"),
    (_page, "an HTML page"),
    (_scans, "too many scans"),
    (_too_large, "too large"),
    # Once more, the cheap ones: of those that are too large there is one a flavour.
    (_truncated_jpeg, "broken picture"),
    (_broken_png, "broken picture"),
    (_scans, "too many scans"),
)
