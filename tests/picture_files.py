"""Picture files of every kind, and files that are none, written here."""

import base64
import io
import struct
import zlib
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageCms

from infra import photographs

RED, BLUE = (200, 0, 0), (0, 0, 200)
SIZE: Final = (64, 32)

# Our halves, encoded by pillow-heif 1.4.0 (x265, quality 60, 4:4:4): `halves().save(file, "HEIF", ...)`.
_HEIC: Final = """
AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAX5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9j
AAAAAERAAAEAAQAAAAABogABAAAAAAAAAIUAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/mlw
cnAAAADeaXBjbwAAAHdodmNDAQQIAAAAnjgAAAAAHvAA/P/4+AAADwNgAAEAF0ABDAH//wQIAAADAJ44AAADAAAeugJAYQABACpCAQEECAAA
AwCeOAAAAwAAHpAEECCy3VyU1zcBDQYEAAADAGQAAAMABCBiAAEACEQBwXMYMAiQAAAAE2NvbHJuY2x4AAEADQAGgAAAABRpc3BlAAAAAAAA
AEAAAABAAAAAKGNsYXAAAABAAAAAAQAAACAAAAABAAAAAAAAAAL////gAAAAAgAAABBwaXhpAAAAAAMICAgAAAAYaXBtYQAAAAAAAAABAAEF
gQIDBYQAAACNbWRhdAAAAIEoAa8J4DkjJL//+9Qv//5Fu5D+MORwX/+RtV9/kjm//7zddRGNYsptRSf1GfV+jznFWIxzHVNDMejllIzxQ4wA
pxlRCsh5UjAkFsoaObAAdvimd/JrSlawPbzua18NZyItpxh2y6iJk73TAiuRCkylHWPtDC6lnRrCYTPe8D4V+QY=
"""
# The same with an EXIF orientation of 6, which the encoder also writes as a HEIF rotation, and a time.
_HEIC_TURNED: Final = """
AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAcltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9j
AAAAAERAAAIAAQAAAAAB7QABAAAAAAAAAIUAAgAAAAACcgABAAAAAAAAAGoAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAA
ABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABCGlwcnAAAADnaXBjbwAAAHdodmNDAQQIAAAAnjgAAAAAHvAA/P/4+AAADwNg
AAEAF0ABDAH//wQIAAADAJ44AAADAAAeugJAYQABACpCAQEECAAAAwCeOAAAAwAAHpAEECCy3VyU1zcBDQYEAAADAGQAAAMABCBiAAEACEQB
wXMYMAiQAAAAE2NvbHJuY2x4AAEADQAGgAAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNsYXAAAABAAAAAAQAAACAAAAABAAAAAAAAAAL////g
AAAAAgAAABBwaXhpAAAAAAMICAgAAAAJaXJvdAMAAAAZaXBtYQAAAAAAAAABAAEGgQIDBYSGAAAAGmlyZWYAAAAAAAAADmNkc2MAAgABAAEA
AAD3bWRhdAAAAIEoAa8J4DkjJL//+9Qv//5Fu5D+MORwX/+RtV9/kjm//7zddRGNYsptRSf1GfV+jznFWIxzHVNDMejllIzxQ4wApxlRCsh5
UjAkFsoaObAAdvimd/JrSlawPbzua18NZyItpxh2y6iJk73TAiuRCkylHWPtDC6lnRrCYTPe8D4V+QYAAAAGRXhpZgAATU0AKgAAAAgAAgES
AAMAAAABAAYAAIdpAAQAAAABAAAAJgAAAAAAApADAAIAAAAUAAAARJARAAIAAAAHAAAAWAAAAAAyMDIwOjA1OjA2IDA3OjA4OjA5ACswMjow
MAAA
"""
# The same, quite transparent.
_HEIC_TRANSPARENT: Final = """
AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAmxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9j
AAAAAERAAAIAAQAAAAACkAABAAAAAAAAAIUAAgAAAAADFQABAAAAAAAAABQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAA
ABVpbmZlAgAAAAACAABodmMxAAAAAA5waXRtAAAAAAABAAABq2lwcnAAAAGDaXBjbwAAAHdodmNDAQQIAAAAnjgAAAAAHvAA/P/4+AAADwNg
AAEAF0ABDAH//wQIAAADAJ44AAADAAAeugJAYQABACpCAQEECAAAAwCeOAAAAwAAHpAEECCy3VyU1zcBDQYEAAADAGQAAAMABCBiAAEACEQB
wXMYMAiQAAAAE2NvbHJuY2x4AAEADQAGgAAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNsYXAAAABAAAAAAQAAACAAAAABAAAAAAAAAAL////g
AAAAAgAAABBwaXhpAAAAAAMICAgAAABwaHZjQwEECAAAAJ/4AAAAAB7wAPz8+PgAAA8DYAABABdAAQwB//8ECAAAAwCf+AAAAwAAHroCQGEA
AQAlQgEBBAgAAAMAn/gAAAMAAB7AggQWW6uSmubAgAAADIAAAAMAhGIAAQAGRAHBc8CJAAAADnBpeGkAAAAAAQgAAAAnYXV4QwAAAAB1cm46
bXBlZzpoZXZjOjIwMTU6YXV4aWQ6MQAAAAAgaXBtYQAAAAAAAAACAAEFgQIDBYQAAgWGAweIhAAAABppcmVmAAAAAAAAAA5hdXhsAAIAAQAB
AAAAoW1kYXQAAACBKAGvCeA5IyS///vUL//+RbuQ/jDkcF//kbVff5I5v/+83XURjWLKbUUn9Rn1fo85xViMcx1TQzHo5ZSM8UOMAKcZUQrI
eVIwJBbKGjmwAHb4pnfya0pWsD287mtfDWciLacYdsuoiZO90wIrkQpMpR1j7QwupZ0awmEz3vA+FfkGAAAAECgBrhPAa3xD///FEDPTkVw=
"""

# `Image.new("L", (64, 64), 99)`, encoded in the same way.
_HEIC_GREY: Final = """
AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAU5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9j
AAAAAERAAAEAAQAAAAABcgABAAAAAAAAABMAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAAzmlw
cnAAAACvaXBjbwAAAHJodmNDAQQIAAAAn/gAAAAAHvAA/Pz4+AAADwNgAAEAF0ABDAH//wQIAAADAJ/4AAADAAAeugJAYQABACZCAQEECAAA
AwCf+AAAAwAAHsCCBBZbqSSmubAgAAADAyAAAAMAIWIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAA
QAAAAA5waXhpAAAAAAEIAAAAF2lwbWEAAAAAAAAAAQABBIECAwQAAAAbbWRhdAAAAA8oAa4TwDuI6///tVjFIq4=
"""


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """An image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def halves() -> Image.Image:
    """The left half red, the right half blue."""
    image = Image.new("RGB", SIZE, RED)
    image.paste(BLUE, (SIZE[0] // 2, 0, *SIZE))
    return image


def noise(size: tuple[int, int] = SIZE) -> Image.Image:
    """Nothing that compresses well."""
    return Image.effect_noise(size, 80).convert("RGB")


def _film() -> list[Image.Image]:
    """The halves first, then something else."""
    return [halves(), Image.new("RGB", SIZE, (0, 200, 0)), Image.new("RGB", SIZE, "black")]


def _animated(form: str, **options: object) -> bytes:
    first, *others = _film()
    return encoded(first, form, save_all=True, append_images=others, duration=100, **options)


def heic() -> bytes:
    """The halves."""
    return base64.b64decode(_HEIC)


def heic_turned() -> bytes:
    """On end, taken at 2020-05-06 07:08:09 in a zone two hours before UTC."""
    return base64.b64decode(_HEIC_TURNED)


def heic_transparent() -> bytes:
    """Nothing but alpha."""
    return base64.b64decode(_HEIC_TRANSPARENT)


def heic_grey() -> bytes:
    """Even grey of level 99, 64 x 64, of 8 bits."""
    return base64.b64decode(_HEIC_GREY)


def with_brands(file: bytes, first: bytes, *others: bytes) -> bytes:
    """A HEIF or AVIF file that calls itself something else; the length of the list stays."""
    length = int.from_bytes(file[:4])
    brands = b"".join(others).ljust(length - 16, b"\0")[: length - 16]
    return file[:8] + first + file[12:16] + brands + file[length:]


KINDS: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "JPEG": ("image/jpeg", lambda: encoded(halves(), "JPEG", quality=95, subsampling=0)),
    "progressive JPEG": (
        "image/jpeg",
        lambda: encoded(halves(), "JPEG", quality=95, subsampling=0, progressive=True),
    ),
    "PNG": ("image/png", lambda: encoded(halves())),
    "APNG": ("image/png", lambda: _animated("PNG")),
    "palette PNG": ("image/png", lambda: encoded(halves().quantize(2))),
    "WebP": ("image/webp", lambda: encoded(halves(), "WEBP", quality=95)),
    "lossless WebP": ("image/webp", lambda: encoded(halves(), "WEBP", lossless=True)),
    "animated WebP": ("image/webp", lambda: _animated("WEBP", lossless=True)),
    "GIF": ("image/gif", lambda: encoded(halves(), "GIF")),
    "animated GIF": ("image/gif", lambda: _animated("GIF")),
    "BMP": ("image/bmp", lambda: encoded(halves(), "BMP")),
    "TIFF": ("image/tiff", lambda: encoded(halves(), "TIFF")),
    "LZW TIFF": ("image/tiff", lambda: encoded(halves(), "TIFF", compression="tiff_lzw")),
    "deflated TIFF": ("image/tiff", lambda: encoded(halves(), "TIFF", compression="tiff_adobe_deflate")),
    "TIFF of pages": ("image/tiff", lambda: _animated("TIFF")),
    "AVIF": ("image/avif", lambda: encoded(halves(), "AVIF", quality=95, subsampling="4:4:4")),
    "AVIF sequence": ("image/avif", lambda: _animated("AVIF", quality=95, subsampling="4:4:4")),
    "HEIC": ("image/heic", heic),
    "HEIF of HEVC": ("image/heic", lambda: with_brands(heic(), b"mif1", b"mif1", b"heic")),
    "HEIF": ("image/heif", lambda: with_brands(heic(), b"mif1", b"mif1", b"miaf")),
}
"""Of each kind its content type, and the halves in it; of the moving ones, as the first frame."""


def _film_file(brand: bytes) -> bytes:
    return struct.pack(">L4s4sL", 24, b"ftyp", brand, 512) + b"isommp42" + b"\0\0\0\x08moov"


NO_PICTURES: Final[dict[str, tuple[bytes, str]]] = {
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9'/>", "an SVG drawing"),
    "svg with a prologue": (
        b"<?xml version='1.0'?>\n<!-- drawn -->\n<!DOCTYPE svg>\n<svg width='9'></svg>",
        "an SVG drawing",
    ),
    "svg with a byte order mark": (b"\xef\xbb\xbf <svg></svg>", "an SVG drawing"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "pdf after junk": (b"\0junk\n%PDF-1.4\n", "a PDF document"),
    "mp4": (_film_file(b"isom"), "a video"),
    "mp4 of another brand": (_film_file(b"avc1"), "a video"),
    "mov": (_film_file(b"qt  "), "a video"),
    "old mov": (b"\0\0\0\x08wide\0\0\1\0mdat", "a video"),
    "webm": (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1webm", "a video"),
    "mkv": (b"\x1aE\xdf\xa3\xa3B\x86\x81\1matroska", "a video"),
    "avi": (b"RIFF\0\1\0\0AVI LIST", "a video"),
    "m4a": (_film_file(b"M4A "), "a sound"),
    "mp3": (b"ID3\4\0\0\0\0\0\0", "a sound"),
    "zip": (b"PK\3\4\x14\0\0\0\x08\0", "a ZIP archive"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", "an archive"),
    "html": (b"\n<!DOCTYPE html>\n<html><body><svg></svg></body></html>", "an HTML page"),
    "text": (b"no picture at all", "text"),
    "text in Chinese": ("\u5b89\u5168\u5e3d".encode() * 2000, "text"),
    "psd": (b"8BPS\0\1\0\0\0\0\0\0", "a Photoshop document"),
    "jxl": (b"\xff\x0a\xfa\x7f", "a JPEG XL picture"),
    "jp2": (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    "ico": (b"\0\0\1\0\1\0\x10\x10\0\0", "an icon"),
}
"""Of each kind its first bytes, and what it is called."""


def with_metadata(form: str) -> bytes:
    """The halves with EXIF data and another colour space."""
    exif = exif_block({0x0112: 6, 0x010F: "a camera"}, {0x9003: "2020:05:06 07:08:09", 0x9011: "+02:00"})
    return encoded(halves(), form, exif=exif, icc_profile=exchanged_profile())


def photograph(size: tuple[int, int]) -> Image.Image:
    """A cat."""
    [path] = [photo.path for photo in photographs.packaged() if photo.path.name == "chelsea.png"]
    with Image.open(path) as opened:
        return opened.convert("RGB").resize(size)


def packed(rows: bytes) -> bytes:
    """As a PNG has its pixels: rows, each with its filter before it."""
    return zlib.compress(rows)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png_header(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that promises a picture and holds a hundred bytes of it."""
    header = png_chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def gif_header(width: int, height: int) -> bytes:
    """A GIF that promises a frame of this size."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x4c\1\0;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame


def bmp_header(width: int, height: int) -> bytes:
    """A BMP that promises a picture of this size in run lengths."""
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<LHHL", 1078, 0, 0, 1078) + header + bytes(1024) + b"\0\1"


def webp_header(width: int, height: int) -> bytes:
    """A WebP that promises a canvas of this size, and a picture that is smaller."""
    body = encoded(halves(), "WEBP", lossless=True)[12:]
    canvas = struct.pack("<L", width - 1)[:3] + struct.pack("<L", height - 1)[:3]
    chunks = b"WEBP" + b"VP8X" + struct.pack("<LL", 10, 2) + canvas + body
    return b"RIFF" + struct.pack("<L", len(chunks)) + chunks


def tiff(entries: dict[int, tuple[int, int, int]], rest: bytes = b"") -> bytes:
    """A directory of tag: type, count, value or place; then whatever else. The directory begins at 8."""
    body = b"".join(struct.pack("<HHLL", tag, *entry) for tag, entry in sorted(entries.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4) + rest


def tiff_header(
    width: int, height: int, compression: int = 5, more: dict[int, tuple[int, int, int]] | None = None
) -> bytes:
    """A TIFF that promises a grey picture of this size, in one strip."""
    entries = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, compression),
        262: (3, 1, 1),
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (4, 1, height),
        279: (4, 1, 100),
    }
    return tiff(entries | (more or {}), bytes(200))


def resized_jpeg(width: int, height: int, *, progressive: bool = False) -> bytes:
    """A JPEG whose header promises another size."""
    jpeg = encoded(noise(), "JPEG", progressive=progressive)
    at = jpeg.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def box(kind: bytes, *parts: bytes) -> bytes:
    """A part of a HEIF, AVIF or MP4 file."""
    body = b"".join(parts)
    return struct.pack(">L4s", 8 + len(body), kind) + body


def exif_block(
    main: dict[int, object] | None = None,
    taken: dict[int, object] | None = None,
    place: dict[int, object] | None = None,
) -> bytes:
    """EXIF data: the main directory, that of the camera, that of the place."""
    exif = Image.Exif()
    exif.update(main or {})
    if taken is not None:
        exif.get_ifd(0x8769).update(taken)
    if place is not None:
        exif.get_ifd(0x8825).update(place)
    return exif.tobytes()


def srgb_profile() -> bytes:
    """The one that changes nothing."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exchanged_profile() -> bytes:
    """Of a space whose red is sRGB's blue."""
    profile = bytearray(srgb_profile())
    red, blue = profile.find(b"rXYZ"), profile.find(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def ink_profile() -> bytes:
    """Of a press on which every ink is grey: none of it is white, and any is of lightness 50."""
    levels = bytes(range(256))
    corners = bytes([255, 128, 128]) + bytes([128, 128, 128]) * 15
    matrix = struct.pack(">9L", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + levels * 4 + corners + levels * 3
    header = bytearray(128)
    header[8:24] = struct.pack(">L4s4s4s", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">LLL", 0xF6D6, 0x10000, 0xD32D)
    tags = struct.pack(">L4sLL", 1, b"A2B0", 128 + 16, len(table))
    header[:4] = struct.pack(">L", 128 + len(tags) + len(table))
    return bytes(header) + tags + table
