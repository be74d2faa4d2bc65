"""The two things that are read of a picture's EXIF data: which side is up, and when it was taken.

Nothing else in it is looked at, least of all where.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_ORIENTATION: Final = 0x0112
_CHANGED_AT: Final = 0x0132
_EXIF_DIRECTORY: Final = 0x8769
_TAKEN_AT: Final = 0x9003
_DIGITISED_AT: Final = 0x9004
_ZONES: Final = {_TAKEN_AT: 0x9011, _DIGITISED_AT: 0x9012, _CHANGED_AT: 0x9010}
"""Each time's offset from UTC, in the order in which the times are asked for."""
_TIMES: Final = {_TAKEN_AT, _DIGITISED_AT, *_ZONES.values()}
"""What the EXIF directory has of them."""
_ASCII: Final = 2
_SHORT: Final = 3
_LONG: Final = 4
_LONGEST_TEXT: Final = 64
_MOST_ENTRIES: Final = 1000
_FIRST_PHOTOGRAPH: Final = 1826


@dataclass(frozen=True, slots=True)
class Exif:
    """What is known of how a picture was taken."""

    orientation: int = 1
    """As EXIF numbers them; 1 is upright, and so is what is not among 2 to 8."""
    taken_at: datetime | None = None


def read(block: bytes) -> Exif:
    """Of a block of EXIF data, which is a TIFF file without a picture. What is broken counts as absent."""
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return Exif()
    try:
        (first,) = struct.unpack_from(f"{order}L", block, 4)
        entries = _entries(block, order, first, {_ORIENTATION, _CHANGED_AT, _EXIF_DIRECTORY})
        if isinstance(deeper := entries.get(_EXIF_DIRECTORY), int):
            entries |= _entries(block, order, deeper, _TIMES)
    except struct.error:
        return Exif()
    orientation = entries.get(_ORIENTATION)
    return Exif(orientation if isinstance(orientation, int) else 1, _taken_at(entries))


def _entries(block: bytes, order: str, at: int, wanted: set[int]) -> dict[int, str | int]:
    """Of one directory: small numbers and short texts."""
    (count,) = struct.unpack_from(f"{order}H", block, at)
    found: dict[int, str | int] = {}
    for entry in range(at + 2, at + 2 + 12 * min(count, _MOST_ENTRIES), 12):
        tag, form, length = struct.unpack_from(f"{order}HHL", block, entry)
        if tag not in wanted or tag in found:
            continue
        if form == _ASCII and length <= _LONGEST_TEXT:
            (place,) = (entry + 8,) if length <= 4 else struct.unpack_from(f"{order}L", block, entry + 8)
            found[tag] = block[place : place + length].decode("latin-1").strip("\0 ")
        elif form in {_SHORT, _LONG} and length == 1:
            (found[tag],) = struct.unpack_from(f"{order}{'H' if form == _SHORT else 'L'}", block, entry + 8)
    return found


def _taken_at(entries: dict[int, str | int]) -> datetime | None:
    for time, zone in _ZONES.items():
        if (moment := _moment(str(entries.get(time, "")), str(entries.get(zone, "")))) is not None:
            return moment
    return None


def _moment(time: str, zone: str) -> datetime | None:
    """None for nonsense, and for what no camera has seen."""
    try:
        local = datetime.strptime(time, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    try:
        moment = local.replace(tzinfo=datetime.strptime(zone, "%z").tzinfo)
        utc = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        moment = utc = local
    is_possible = utc.year >= _FIRST_PHOTOGRAPH and utc <= datetime.now(UTC) + timedelta(days=1)
    return moment if is_possible else None
