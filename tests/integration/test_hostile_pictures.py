"""Pictures made to break a decoder, to fill the memory, or to take for ever."""

import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from shared.errors import PictureError
from shared.images import MAX_BYTES, check_size, decode, limits
from tests import damaged_pictures, picture_files
from tests.picture_files import KINDS, box, encoded, halves, noise, tiff_header

_ROOT = Path(__file__).parents[2]
_MOVING = {"APNG", "AVIF sequence", "TIFF of pages", "animated GIF", "animated WebP"}
_RUN_TIMEOUT_S = 60


class TestDamage:
    @pytest.mark.parametrize("kind", sorted(damaged_pictures.KINDS))
    def test_of_any_kind_ends_in_a_picture_or_a_reason(self, kind: str) -> None:
        run = subprocess.run(
            [sys.executable, "-m", "tests.damaged_pictures", kind],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_TIMEOUT_S,
        )

        assert run.returncode == 0, run.stderr
        outcomes = json.loads(run.stdout)
        assert set(outcomes) <= {"decoded", "refused"}
        assert sum(outcomes.values()) == damaged_pictures.CUTS + damaged_pictures.FLIPS

    @pytest.mark.parametrize("kind", sorted(KINDS.keys() - _MOVING))
    @pytest.mark.parametrize("part", [0.3, 0.6])
    def test_by_a_cut_is_refused(self, kind: str, part: float) -> None:
        _, write = KINDS[kind]
        whole = write()

        with pytest.raises(PictureError, match=r"^broken picture: "):
            decode(whole[: int(len(whole) * part)])

    def test_that_leaves_only_the_beginning_is_called_by_its_kind(self) -> None:
        with pytest.raises(PictureError, match="broken picture: it begins as PNG but does not go on so"):
            decode(b"\x89PNG\r\n\x1a\n")


class TestSize:
    def test_of_nothing_is_refused(self) -> None:
        with pytest.raises(PictureError, match="empty: the file has 0 bytes"):
            decode(b"")

    def test_above_25_mb_is_refused_before_it_is_read(self) -> None:
        with pytest.raises(PictureError, match="too large: 25000001 bytes, at most 25 MB"):
            check_size(MAX_BYTES + 1)

    def test_of_25_mb_is_allowed(self) -> None:
        picture = decode(encoded(halves(), "JPEG").ljust(MAX_BYTES, b"\0"))

        assert picture.width == 64


class TestBombs:
    @pytest.mark.parametrize(
        "data",
        [
            picture_files.png_header(60_000, 60_000),
            picture_files.gif_header(60_000, 60_000),
            picture_files.bmp_header(60_000, 60_000),
            picture_files.webp_header(16_000, 16_000),
            picture_files.resized_jpeg(60_000, 60_000),
            tiff_header(60_000, 60_000, 1),
        ],
        ids=["png", "gif", "bmp", "webp", "jpeg", "tiff"],
    )
    def test_are_refused_by_their_headers(self, data: bytes) -> None:
        with pytest.raises(PictureError, match=r"^too many pixels.*: .*at most \d+ million"):
            decode(data)

    @pytest.mark.parametrize(
        ("data", "limit"),
        [
            (picture_files.png_header(8000, 5001), "8000 x 5001, at most 40 million for PNG"),
            (picture_files.gif_header(8000, 5001), "8000 x 5001, at most 40 million for GIF"),
            (picture_files.bmp_header(8000, 5001), "8000 x 5001, at most 40 million for BMP"),
            (tiff_header(8000, 5001, 1), "8000 x 5001, at most 40 million for TIFF"),
            (picture_files.resized_jpeg(10_000, 10_001), "10000 x 10001, at most 100 million for JPEG"),
            (
                picture_files.resized_jpeg(8000, 5001, progressive=True),
                "8000 x 5001, at most 40 million for progressive JPEG",
            ),
        ],
        ids=["png", "gif", "bmp", "tiff", "jpeg", "progressive jpeg"],
    )
    def test_just_above_the_limit_are_told_the_limit(self, data: bytes, limit: str) -> None:
        with pytest.raises(PictureError, match=f"^too many pixels: {limit}$"):
            decode(data)

    def test_of_webp_have_a_lower_limit(self) -> None:
        data = encoded(Image.new("RGB", (4300, 4300)), "WEBP", lossless=True, quality=0, method=0)

        with pytest.raises(PictureError, match="4300 x 4300, at most 18 million for WEBP"):
            decode(data)

    def test_of_avif_have_a_limit_that_goes_by_the_coding(self) -> None:
        avif = encoded(halves(), "AVIF", subsampling="4:4:4")
        size = avif.index(b"ispe") + 8
        bomb = avif[:size] + struct.pack(">LL", 6000, 5000) + avif[size + 8 :]

        with pytest.raises(PictureError, match="6000 x 5000, at most 28 million for AVIF of 8 bits 4:4:4"):
            decode(bomb)

    def test_of_heif_have_a_limit_that_goes_by_the_coding(self) -> None:
        heic = picture_files.heic()
        size, shape = heic.index(b"ispe") + 8, heic.index(b"clap") + 4
        bomb = bytearray(heic)
        bomb[size : size + 8] = struct.pack(">LL", 8000, 5000)
        bomb[shape : shape + 16] = struct.pack(">LLLL", 8000, 1, 5000, 1)

        with pytest.raises(PictureError, match="8000 x 5000, at most 31 million for HEIF of 8 bits 4:4:4"):
            decode(bytes(bomb))


class TestEndlessWork:
    def test_of_scans_is_refused_before_a_jpeg_is_decoded(self) -> None:
        jpeg = encoded(noise(), "JPEG", progressive=True)
        last_scan = jpeg.rindex(b"\xff\xda")

        with pytest.raises(PictureError, match="too many scans to decode: at most 100"):
            decode(jpeg[:last_scan] + jpeg[last_scan:-2] * 200 + b"\xff\xd9")

    def test_of_scans_is_less_for_a_large_jpeg(self) -> None:
        jpeg = picture_files.resized_jpeg(8000, 5000, progressive=True)
        last_scan = jpeg.rindex(b"\xff\xda")

        with pytest.raises(PictureError, match="too many scans to decode: 50 of 8000 x 5000"):
            decode(jpeg[:last_scan] + jpeg[last_scan:-2] * 41 + b"\xff\xd9")

    def test_of_comments_is_refused(self) -> None:
        jpeg = encoded(noise(), "JPEG")

        with pytest.raises(PictureError, match="too many segments to decode: at most 5000"):
            decode(jpeg[:2] + b"\xff\xfe\x00\x02" * 10_000 + jpeg[2:])

    def test_of_chunks_is_refused(self) -> None:
        chunks = [picture_files.png_chunk(b"abCd", b"")] * 20_000

        with pytest.raises(PictureError, match="too many chunks to decode: at most 10000"):
            decode(picture_files.png_header(8, 8, *chunks))

    @pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG"])
    def test_ends_when_its_time_is_over(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        _, write = KINDS[kind]
        monkeypatch.setattr(limits, "MAX_DECODING_S", -1)

        with pytest.raises(PictureError, match="takes too long to decode"):
            decode(write())

    def test_of_a_jpeg_in_unusual_colours_of_several_scans_counts_as_progressive(self) -> None:
        """A baseline JPEG with a scan for each colour is held as a whole, too."""
        jpeg = picture_files.resized_jpeg(8000, 5001)
        scan = jpeg.index(b"\xff\xda")
        of_one_colour = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"

        with pytest.raises(PictureError, match="at most 40 million for progressive JPEG"):
            decode(jpeg[:scan] + of_one_colour + jpeg[scan:])

    def test_of_a_lossless_jpeg_is_not_begun(self) -> None:
        jpeg = encoded(noise(), "JPEG").replace(b"\xff\xc0", b"\xff\xc3", 1)

        with pytest.raises(PictureError, match="not read: a lossless or hierarchical JPEG"):
            decode(jpeg)


class TestFrames:
    def test_above_2000_are_refused_where_the_header_tells(self) -> None:
        control = picture_files.png_chunk(b"acTL", struct.pack(">LL", 2001, 0))

        with pytest.raises(PictureError, match=r"too many frames: 200\d, at most 2000"):
            decode(picture_files.png_header(8, 8, control))

    def test_of_a_gif_are_not_counted(self) -> None:
        frame = encoded(halves(), "GIF")
        at = frame.index(b",\0\0\0\0")

        picture = decode(frame[:-1] + frame[at:-1] * 5000 + b";")

        assert picture.width == 64


class TestMetadata:
    def test_of_a_profile_that_unpacks_to_too_much_is_refused(self) -> None:
        bomb = picture_files.png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(50_000_000)))

        with pytest.raises(PictureError, match="too large a colour profile: more than 1 MB"):
            decode(picture_files.png_header(8, 8, bomb))

    @pytest.mark.parametrize("form", ["AVIF", "JPEG", "TIFF", "WEBP"])
    def test_of_a_profile_that_is_too_large_is_refused(self, form: str) -> None:
        data = encoded(halves(), form, icc_profile=bytes(4_000_001))

        with pytest.raises(PictureError, match="too large a colour profile: more than 4 MB"):
            decode(data)

    @pytest.mark.parametrize("form", ["AVIF", "PNG", "WEBP"])
    def test_of_exif_that_is_too_much_is_refused(self, form: str) -> None:
        block = b"II*\0\x08\0\0\0\0\0\0\0\0\0" + bytes(1_000_000)

        with pytest.raises(PictureError, match=r"too much EXIF data: 10000\d+ bytes, at most 1 MB"):
            decode(encoded(halves(), form, exif=block))

    @pytest.mark.parametrize(
        "block",
        [
            b"",
            b"II",
            b"II*\0",
            b"II*\0\xff\xff\xff\xff",
            b"MM\0*\0\0\0\x08\xff\xff",
            b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\xff\xff\xff\xff",
            b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0",
            b"II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0abcd",
            b"II*\0\x08\0\0\0\1\0\x32\1\2\0\x14\0\0\0\xf0\xff\xff\xff",
        ],
        ids=[
            "nothing",
            "two bytes",
            "no directory",
            "far away",
            "endless directory",
            "camera far away",
            "a circle",
            "words for a number",
            "text far away",
        ],
    )
    def test_of_exif_that_is_broken_is_ignored(self, block: bytes) -> None:
        picture = decode(encoded(halves(), "WEBP", exif=b"Exif\0\0" + block))

        assert (picture.width, picture.facts.taken_at) == (64, None)


class TestTiff:
    def test_with_strips_that_lie_over_each_other_is_refused(self) -> None:
        """Each would be unpacked to its end, however little of it is used."""
        data = tiff_header(100, 100, more={278: (4, 1, 1), 279: (4, 100, 140)})

        with pytest.raises(PictureError, match="larger than the file"):
            decode(data)

    def test_with_entries_that_lie_over_each_other_is_refused(self) -> None:
        """Each would be read and kept."""
        more = dict.fromkeys(range(40_000, 40_100), (1, 200, 8))

        with pytest.raises(PictureError, match="the entries of a TIFF directory are larger than the file"):
            decode(tiff_header(10, 10, more=more))

    def test_in_one_huge_strip_is_refused(self) -> None:
        with pytest.raises(PictureError, match="strips of 160000000 bytes, at most 125 MB"):
            decode(tiff_header(8000, 5000, more={277: (3, 1, 4)}))

    @pytest.mark.parametrize("compression", [34925, 50000, 50001, 6, 34712])
    def test_of_a_rare_compression_is_refused(self, compression: int) -> None:
        with pytest.raises(PictureError, match=f"not read: a TIFF of compression {compression}"):
            decode(tiff_header(8, 8, compression))

    def test_for_large_files_is_refused(self) -> None:
        with pytest.raises(PictureError, match="not read: a BigTIFF"):
            decode(b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0")


def _heif(*parts: bytes) -> bytes:
    return box(b"ftyp", b"heic", bytes(4), b"mif1heic") + box(b"meta", bytes(4), *parts)


def _item(number: int, kind: bytes) -> bytes:
    return box(b"infe", b"\2\0\0\0", struct.pack(">HH4s", number, 0, kind), b"\0")


def _items(*items: bytes) -> bytes:
    return box(b"iinf", bytes(4), struct.pack(">H", len(items)), *items)


def _places(*sizes: int) -> bytes:
    entries = (struct.pack(">HHHLL", n, 0, 1, 0, size) for n, size in enumerate(sizes, 1))
    return box(b"iloc", bytes(4), b"\x44\0", struct.pack(">H", len(sizes)), *entries)


class TestBoxes:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (_heif(_items(_item(1, b"Exif")), _places(1_000_001)).ljust(2_000_000), "too much EXIF data"),
            (_heif(_places(100_000, 100_000)).ljust(150_000), "its parts are larger than the file"),
            (_heif(_items(_item(1, b"iovl"))), "a collage"),
            (_heif(_items(*(_item(n, b"hvc1") for n in range(2001)))), "too many frames: 2001"),
            (
                _heif(
                    _items(*(_item(n, b"hvc1") for n in range(2, 100)), _item(1, b"mime")), _places(1_000_000)
                ).ljust(2_000_000),
                "too much metadata for 99 pictures",
            ),
            (_heif(box(b"iprp", box(b"ipco", box(b"colr", b"prof", bytes(4_000_001))))), "colour profile"),
            (_heif(b"\0\0\0\1free"), "broken picture"),
            (_heif(b"\0\0\0\4free"), "a box smaller than its header"),
            (_heif(b"\0\0\0\x08free" * 20_001), "more than 20000 boxes"),
            (_heif(_places(5)[:-4]), "broken picture"),
            (_heif(box(b"iloc", b"\2\0\0\0\x44\0\xff\xff\xff\xff")), "broken picture"),
            (_heif(), "broken picture"),
        ],
        ids=[
            "exif",
            "overlap",
            "collage",
            "pictures",
            "metadata",
            "profile",
            "no size",
            "small box",
            "boxes",
            "cut",
            "endless table",
            "empty",
        ],
    )
    def test_that_would_cost_too_much_are_refused(self, data: bytes, reason: str) -> None:
        with pytest.raises(PictureError, match=re.escape(reason)):
            decode(data)

    def test_with_an_item_of_no_known_type_are_refused(self) -> None:
        """pi_heif 1.4.0 crashes of it, and the process with it."""
        heic = picture_files.heic_turned()

        with pytest.raises(PictureError, match="broken picture: an item of no known type"):
            decode(heic.replace(b"Exif\0", b"\xdexif\0", 1))

    def test_with_an_item_whose_name_is_no_text_are_refused(self) -> None:
        with pytest.raises(PictureError, match=r"^broken picture: its boxes cannot be read"):
            decode(_heif(_items(box(b"infe", b"\2\0\0\0", b"\0\1\0\0mime\0\xff\xff\0"))))

    def test_of_grey_with_more_than_8_bits_are_refused(self) -> None:
        """pi_heif believes the depth that the file names, and would write past the end of fewer bits."""
        heic = bytearray(picture_files.heic_grey())
        heic[heic.index(b"hvcC") + 4 + 17] += 2

        with pytest.raises(PictureError, match="not read: a grey HEIF of more than 8 bits"):
            decode(bytes(heic))

    def test_of_a_film_under_a_picture_brand_are_refused(self) -> None:
        film = box(b"ftyp", b"mif1", bytes(4), b"mif1isom") + box(b"moov", bytes(100))

        with pytest.raises(PictureError, match=r"^broken picture"):
            decode(film)

    @pytest.mark.parametrize(("first", "others"), [(b"mif1", (b"avif", b"miaf")), (b"avif", ())])
    def test_of_an_avif_are_known_by_any_of_its_brands(self, first: bytes, others: tuple[bytes, ...]) -> None:
        _, write = KINDS["AVIF"]

        picture = decode(picture_files.with_brands(write(), first, *others))

        assert picture.content_type == "image/avif"
