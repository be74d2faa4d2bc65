"""HEIF, which Pillow does not read: by pi_heif, loaded when the first of them comes."""

from typing import TYPE_CHECKING, Final

from shared.errors import PictureError
from shared.images import boxes, limits
from shared.images.colour import Raster

if TYPE_CHECKING:
    from PIL import Image

_MODES: Final = {"L", "RGB", "RGBA", "RGBa"}
_BYTES_A_PIXEL: Final = 1.6
_COPIES: Final = 2.75
"""Of its planes, that the decoder holds on the way to RGB. Measured: `benchmarks.ingest_parts.decoding`."""


def decode(data: bytes) -> tuple[Raster, bytes]:
    """The main picture, which is turned upright already, and its EXIF data.

    Raises `PictureError`, and what pi_heif raises of broken files.
    """
    import pi_heif
    from PIL import Image

    coding = boxes.look_at(data)
    most = limits.pixels_in_memory(_COPIES * coding.bytes_a_pixel + _BYTES_A_PIXEL)
    file = pi_heif.open_heif(data, convert_hdr_to_8bit=True, remove_stride=False, hdr_to_16bit=False)
    limits.check_frames(len(file))
    main = file[file.primary_index]
    if (
        main.mode not in _MODES
    ):  # nor could pi_heif be trusted to decode it: it believes the depth that is named
        raise PictureError("not read: a grey HEIF of more than 8 bits")
    width, height = main.size
    limits.check_pixels(width, height, most, f"HEIF of {coding}")
    main.load()
    width, height = main.size  # only now it is sure
    limits.check_pixels(width, height, most, f"HEIF of {coding}")

    def rows(top: int, end: int) -> "Image.Image":
        # Of `main` itself: its data do not keep it, and are gone with it.
        part = bytes(main.data[top * main.stride : end * main.stride])
        return Image.frombytes(main.mode, (width, end - top), part, "raw", main.mode, main.stride)

    block = main.info.get("exif") or b""
    limits.check_exif(len(block))
    profile = main.info.get("icc_profile") or b""
    limits.check_profile(len(profile))
    return Raster((width, height), rows, profile), block
