"""Safe decoding of untrusted pictures. The only package that touches Pillow."""

from shared.images.decoding import decode
from shared.images.kinds import FORMATS
from shared.images.limits import MAX_BYTES, MAX_PIXELS, MAX_PIXELS_BASELINE, check_size
from shared.images.picture import PREVIEW_PX, Picture, Resample, one_at_a_time

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_PIXELS_BASELINE",
    "PREVIEW_PX",
    "Picture",
    "Resample",
    "check_size",
    "decode",
    "one_at_a_time",
]
