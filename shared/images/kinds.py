"""What a file is, told from its first bytes; its name and declared type may say anything."""

import codecs
import re
from typing import Final

from shared.errors import PictureError

FORMATS: Final = {
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "HEIC": "image/heic",
    "HEIF": "image/heif",
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}
"""The content type of each kind that is read. HEIC is HEIF whose pictures are known to be HEVC."""

_BEGINNINGS: Final = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"BM.{12}[\x0c-\x7c]\0\0\0", "BMP"),
)
_OTHERS: Final = (
    (rb".{0,1023}%PDF-", "a PDF document"),
    (rb"RIFF....AVI |\x1aE\xdf\xa3|FLV\x01|\0\0\x01[\xb3\xba]|OggS", "a video"),
    (rb".{4}(moov|mdat|wide|free|skip|pnot)", "a video"),
    (rb"ID3|fLaC|RIFF....WAVE|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "a sound"),
    (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive or an office document"),
    (rb"\x1f\x8b|7z\xbc\xaf\x27\x1c|Rar!|BZh|\xfd7zXZ", "an archive"),
    (rb"8BPS", "a Photoshop document"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture, which is not read"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture, which is not read"),
    (rb"\0\0[\x01\x02]\0[^\0]\0", "an icon, which is not read"),
    (rb"\s*(<\?xml|<!--|<!DOCTYPE svg|<svg)(?=.{0,3000}<svg[\s>])", "an SVG drawing"),
    (rb"\s*(<svg)[\s>/]", "an SVG drawing"),
    (rb"(?i:\s*(<!--.{0,500}?-->\s*)?<(!doctype html|html|head|body))", "an HTML page"),
)
_HEIC_BRANDS: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS: Final = {b"avif", b"avis"}
_HEIF_BRANDS: Final = {b"mif1", b"mif2", b"msf1"}
_SOUND_BRANDS: Final = {b"M4A ", b"M4B ", b"M4P "}
_LONGEST_BRAND_LIST: Final = 512
_LOOKED_AT: Final = 4096
_UTF_8: Final = codecs.getincrementaldecoder("utf-8")


def kind_of(data: bytes) -> str:
    """The key of `FORMATS`. Raises `PictureError` with what it is instead, if that can be told."""
    start = data[:_LOOKED_AT]
    for pattern, kind in _BEGINNINGS:
        if re.match(pattern, start, re.DOTALL):
            return kind
    if start[4:8] == b"ftyp":
        return _kind_of_box_file(start)
    text = start.removeprefix(b"\xef\xbb\xbf")
    for pattern, name in _OTHERS:
        if re.match(pattern, text, re.DOTALL):
            raise PictureError(f"not a picture: it is {name}")
    if _is_text(start):
        raise PictureError("not a picture: it is text")
    raise PictureError("not a picture: none of " + ", ".join(FORMATS))


def _kind_of_box_file(start: bytes) -> str:
    """HEIF, AVIF and films all begin with a list of brands, of which the first says most."""
    end = min(int.from_bytes(start[:4]), _LONGEST_BRAND_LIST)
    first = start[8:12]
    brands = {start[at : at + 4] for at in range(16, end - 3, 4)} | {first}
    if first in _HEIC_BRANDS:
        return "HEIC"
    if first in _AVIF_BRANDS:
        return "AVIF"
    if first in _HEIF_BRANDS:
        if brands & _AVIF_BRANDS:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS else "HEIF"
    raise PictureError(f"not a picture: it is a {'sound' if first in _SOUND_BRANDS else 'video'}")


def _is_text(start: bytes) -> bool:
    try:
        text = _UTF_8().decode(start)  # which may end amid a letter
    except UnicodeDecodeError:
        return False
    return text.isprintable() or all(letter.isprintable() or letter in "\r\n\t\f" for letter in text)
