"""Pictures at the limits of what is let in, one of each kind that a decoder holds in another way."""

import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from PIL import Image, ImageCms

from benchmarks import report
from infra import photographs
from shared.images import MAX_BYTES

FOLDER: Final = report.FOLDER / "worst"
_FORTY: Final = (7300, 5470)
_SIXTEEN: Final = (4870, 3280)
_HEIF_ENCODER: Final = "pillow-heif==1.4.0"
"""pi_heif with an encoder; only here, in an environment of its own."""
_HEIF_PROGRAM: Final = """
import sys, pillow_heif
from PIL import Image
pillow_heif.register_heif_opener()
source, target, mode, chroma = sys.argv[1:]
Image.open(source).convert(mode).save(target, quality=50, chroma=chroma, enc_params={"preset": "ultrafast"})
"""


def written() -> dict[str, Path]:
    """The file of each kind, kept for the next time. HEIC is missing where no encoder can be fetched."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {}
    for kind, write in _KINDS.items():
        path = FOLDER / kind.replace(" ", "-").replace(",", "").replace(":", "")
        if not path.exists():
            with report.step(f"writing {kind}"):
                write(path)
        if path.exists():
            _fill(path)
            files[kind] = path
    return files


def _fill(path: Path) -> None:
    """Up to the largest file that is read: decoders do not mind what follows, and it lies in memory."""
    with path.open("ab") as file:
        file.truncate(MAX_BYTES)


@lru_cache(maxsize=3)
def _photograph(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    [path] = [photo.path for photo in photographs.packaged() if photo.path.name == "china.jpg"]
    with Image.open(path) as opened:
        image = opened.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(size))
    return image if image.mode == mode else image.convert(mode)


@lru_cache(maxsize=3)
def _poster(mode: str, size: tuple[int, int] = _FORTY) -> Image.Image:
    """Of few colours, so that lossless coding stays below the limit of bytes."""
    image = _photograph(size).quantize(32, dither=Image.Dither.NONE)
    if mode == "RGBA":
        image = image.convert("RGB")
        image.putalpha(Image.linear_gradient("L").resize(size).point(lambda level: level // 32 * 32))
    return image.convert(mode) if mode != image.mode else image


def _jpeg(path: Path, size: tuple[int, int], mode: str = "RGB", *, progressive: bool = False) -> None:
    image = _photograph(size, mode)
    image.save(path, "JPEG", quality=90, subsampling=0, progressive=progressive)


def _png(path: Path, mode: str, **options: object) -> None:
    _poster(mode).save(path, "PNG", compress_level=1, **options)


def _png_of_16_bits(path: Path) -> None:
    grey = _poster("RGB").convert("L")
    levels = Image.frombytes("I;16B", grey.size, Image.merge("LA", (grey, grey)).tobytes())
    levels.convert("I;16").save(path, "PNG", compress_level=1)


def _profiled(path: Path) -> None:
    """Another space than sRGB: a profile with red and blue exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.find(b"rXYZ"), profile.find(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    _poster("RGB").save(path, "PNG", compress_level=1, icc_profile=bytes(profile))


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _poster("RGB").save(path, "PNG", compress_level=1, exif=exif)


def _tiff(path: Path, mode: str, compression: str, strip_bytes: int | None = None) -> None:
    options = {} if strip_bytes is None else {"strip_size": strip_bytes}
    _poster(mode).save(path, "TIFF", compression=compression, **options)


def _webp(path: Path, *, lossless: bool) -> None:
    size = (4900, 3670)
    image = _poster("RGBA", size) if lossless else _photograph(size, "RGBA")
    image.save(path, "WEBP", lossless=lossless, quality=0 if lossless else 70, method=0)


def _avif(path: Path, size: tuple[int, int], subsampling: str, mode: str = "RGB") -> None:
    _photograph(size, mode).save(path, "AVIF", quality=50, speed=10, subsampling=subsampling)


def _heic(path: Path, size: tuple[int, int], chroma: str, mode: str = "RGB") -> None:
    python = FOLDER / "heif-encoder" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)  # noqa: S603
        fetch: list[str | Path] = [python, "-m", "pip", "install", "--quiet", _HEIF_ENCODER]
        if subprocess.run(fetch, check=False).returncode:  # noqa: S603
            return
    source, target = path.with_suffix(".png"), path.with_suffix(".heic")
    _poster(mode, size).save(source, compress_level=1)
    command: list[str | Path] = [python, "-c", _HEIF_PROGRAM, source, target, mode, chroma]
    subprocess.run(command, check=True)  # noqa: S603
    source.unlink()
    target.rename(path)


_KINDS: Final[dict[str, Callable[[Path], None]]] = {
    "baseline JPEG": partial(_jpeg, size=(11500, 8690)),
    "baseline JPEG, a strip": partial(_jpeg, size=(65500, 895)),
    "baseline JPEG of inks": partial(_jpeg, size=(11500, 8690), mode="CMYK"),
    "progressive JPEG": partial(_jpeg, size=_FORTY, progressive=True),
    "progressive JPEG of inks": partial(_jpeg, size=_FORTY, mode="CMYK", progressive=True),
    "progressive JPEG of inks, a strip": partial(_jpeg, size=(65500, 610), mode="CMYK", progressive=True),
    "PNG": partial(_png, mode="RGB"),
    "PNG with alpha": partial(_png, mode="RGBA"),
    "PNG with a transparent palette": partial(_png, mode="P", transparency=bytes(range(0, 256, 8))),
    "PNG of 16 bits": _png_of_16_bits,
    "PNG with a profile": _profiled,
    "PNG on its side": _turned,
    "GIF": lambda path: _poster("P").save(path, "GIF"),
    "TIFF of inks": partial(_tiff, mode="CMYK", compression="tiff_lzw"),
    "TIFF of inks, large strips": partial(
        _tiff, mode="CMYK", compression="tiff_lzw", strip_bytes=120_000_000
    ),
    "TIFF with alpha": partial(_tiff, mode="RGBA", compression="tiff_adobe_deflate"),
    "TIFF of Lab colours": partial(_tiff, mode="LAB", compression="tiff_adobe_deflate"),
    "WebP with alpha": partial(_webp, lossless=False),
    "WebP, lossless with alpha": partial(_webp, lossless=True),
    "AVIF 4:2:0": partial(_avif, size=(6500, 4900), subsampling="4:2:0"),
    "AVIF 4:4:4": partial(_avif, size=(6100, 4580), subsampling="4:4:4"),
    "AVIF 4:4:4 with alpha": partial(_avif, size=(5500, 4170), subsampling="4:4:4", mode="RGBA"),
    "HEIC 4:2:0": partial(_heic, size=_FORTY, chroma="420"),
    "HEIC 4:4:4": partial(_heic, size=(6400, 4830), chroma="444"),
    "HEIC 4:4:4 with alpha": partial(_heic, size=(5500, 4350), chroma="444", mode="RGBA"),
}
