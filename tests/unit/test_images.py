"""Decoding: every kind of picture, its colours, its facts, what is made of it."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from shared.errors import PictureError
from shared.images import FORMATS, PREVIEW_PX, Picture, decode, one_at_a_time
from tests import picture_files
from tests.picture_files import BLUE, KINDS, NO_PICTURES, RED, SIZE, encoded, halves

_NEAR = 6
"""Levels that a lossy coding may be off on an even patch."""


def _patch(data: bytes) -> tuple[int, ...]:
    """The colour of a picture that has only one."""
    return tuple(decode(data).centre_square(1))


def _is_near(found: tuple[int, ...], expected: tuple[int, ...], by: int = _NEAR) -> bool:
    return all(abs(one - other) <= by for one, other in zip(found, expected, strict=True))


def _turned_jpeg(orientation: int) -> bytes:
    """The halves as a camera stores them that was held in this way."""
    exif = picture_files.exif_block({0x0112: orientation})
    return encoded(halves(), "JPEG", exif=exif, quality=95, subsampling=0)


def _corners(picture: Picture) -> tuple[tuple[int, ...], ...]:
    """Top left, and bottom right."""
    square = picture.stretched(8, "bilinear")
    return tuple(square[:3]), tuple(square[-3:])


class TestKinds:
    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_every_kind_is_known_by_its_content(self, kind: str) -> None:
        content_type, write = KINDS[kind]

        picture = decode(write())

        assert picture.content_type == content_type
        assert (picture.width, picture.height) == SIZE

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_every_kind_shows_the_same_and_of_an_animation_the_first_frame(self, kind: str) -> None:
        _, write = KINDS[kind]

        left, right = _corners(decode(write()))

        assert _is_near(left, RED)
        assert _is_near(right, BLUE)

    def test_every_content_type_is_among_the_formats(self) -> None:
        found = {content_type for content_type, _ in KINDS.values()}

        assert found == set(FORMATS.values())

    @pytest.mark.parametrize("kind", sorted(NO_PICTURES))
    def test_what_is_no_picture_is_called_by_its_name(self, kind: str) -> None:
        data, name = NO_PICTURES[kind]

        with pytest.raises(PictureError, match=f"^not a picture: it is {re.escape(name)}"):
            decode(data)

    def test_what_nobody_knows_is_told_what_is_read(self) -> None:
        with pytest.raises(PictureError, match=r"not a picture: none of AVIF, BMP, GIF, HEIC, .*WEBP"):
            decode(b"\xfe\xca\xad\xde" * 100)

    def test_importing_the_package_loads_no_decoder(self) -> None:
        program = "import shared.images, sys; print({'PIL', 'pi_heif'} & set(sys.modules))"

        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )

        assert run.stdout.strip() == "set()"

    def test_a_jpeg_with_a_film_behind_it_is_read(self) -> None:
        """Cameras append the film of a moving picture, whose bytes may be anything."""
        jpeg = encoded(halves(), "JPEG", progressive=True)

        picture = decode(jpeg + b"\xff\xda" * 1000)

        assert (picture.width, picture.height) == SIZE

    def test_a_jpeg_with_a_second_picture_in_it_is_a_jpeg(self) -> None:
        first, second = halves(), Image.new("RGB", SIZE)

        picture = decode(encoded(first, "MPO", save_all=True, append_images=[second], quality=95))

        assert picture.content_type == "image/jpeg"
        assert _is_near(_corners(picture)[0], RED)


class TestOrientation:
    @pytest.mark.parametrize(
        ("orientation", "size", "is_red_first"),
        [
            (1, (64, 32), True),
            (2, (64, 32), False),
            (3, (64, 32), False),
            (4, (64, 32), True),
            (5, (32, 64), True),
            (6, (32, 64), True),
            (7, (32, 64), False),
            (8, (32, 64), False),
            (9, (64, 32), True),
        ],
    )
    def test_of_exif_is_applied(self, orientation: int, size: tuple[int, int], is_red_first: bool) -> None:
        picture = decode(_turned_jpeg(orientation))

        first, last = _corners(picture)

        assert (picture.width, picture.height) == size
        assert _is_near(first, RED if is_red_first else BLUE)
        assert _is_near(last, BLUE if is_red_first else RED)

    @pytest.mark.parametrize("form", ["AVIF", "PNG", "TIFF", "WEBP"])
    def test_is_applied_whatever_the_format(self, form: str) -> None:
        exif = Image.Exif()
        exif[0x0112] = 8

        picture = decode(encoded(halves(), form, exif=exif, quality=95))

        assert (picture.width, picture.height) == (32, 64)
        assert _is_near(_corners(picture)[0], BLUE, by=20)

    def test_of_a_heic_is_applied_once(self) -> None:
        picture = decode(picture_files.heic_turned())

        assert (picture.width, picture.height) == (32, 64)
        assert _is_near(_corners(picture)[0], RED)


class TestTransparency:
    @pytest.mark.parametrize(
        "data",
        [
            encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 0))),
            encoded(Image.new("LA", (8, 8), (0, 0))),
            encoded(Image.new("RGB", (8, 8), RED), transparency=RED),
            encoded(Image.new("L", (8, 8), 7), transparency=7),
            encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 0)), "WEBP", lossless=True, exact=True),
            encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 0)), "TIFF"),
            encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 0)), "AVIF"),
            picture_files.heic_transparent(),
        ],
        ids=["colour", "grey", "one colour", "one grey", "webp", "tiff", "avif", "heic"],
    )
    def test_becomes_white(self, data: bytes) -> None:
        assert _patch(data) == (255, 255, 255)

    @pytest.mark.parametrize("form", ["GIF", "PNG"])
    def test_of_a_palette_becomes_white(self, form: str) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([0, 0, 0, 200, 0, 0])

        assert _patch(encoded(image, form, transparency=1)) == (255, 255, 255)

    def test_of_a_half_is_half_white(self) -> None:
        found = _patch(encoded(Image.new("RGBA", (8, 8), (200, 0, 0, 128))))

        assert _is_near(found, (227, 127, 127), by=1)

    def test_hides_the_colour_beneath_it_in_a_large_picture_too(self) -> None:
        image = Image.new("RGBA", (8100, 2000), (255, 0, 0, 0))
        image.paste((0, 0, 0, 255), (0, 0, 4000, 2000))

        picture = decode(encoded(image, compress_level=1))

        assert _corners(picture) == ((0, 0, 0), (255, 255, 255))
        assert picture._rgb.size == (2025, 500)


class TestDepth:
    @pytest.mark.parametrize("form", ["PNG", "TIFF"])
    def test_of_16_bits_is_scaled_not_clipped(self, form: str) -> None:
        assert _patch(encoded(Image.new("I;16", (8, 8), 128 * 256), form)) == (128, 128, 128)

    def test_of_16_bits_of_colour_is_scaled(self) -> None:
        header = picture_files.png_chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x10\2\0\0\0")
        pixel = picture_files.png_chunk(b"IDAT", picture_files.packed(b"\0\x80\xff\x40\xff\x00\xff"))
        end = picture_files.png_chunk(b"IEND", b"")

        assert _patch(b"\x89PNG\r\n\x1a\n" + header + pixel + end) == (0x80, 0x40, 0)

    def test_of_a_grey_heic_is_kept(self) -> None:
        assert _patch(picture_files.heic_grey()) == (99, 99, 99)

    def test_of_one_bit_is_black_and_white(self) -> None:
        assert _patch(encoded(Image.new("1", (8, 8), 1))) == (255, 255, 255)


class TestColours:
    @pytest.mark.parametrize("form", ["JPEG", "TIFF"])
    def test_of_inks_become_light(self, form: str) -> None:
        assert _is_near(_patch(encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 255)), form)), (0, 0, 0))

    @pytest.mark.parametrize("form", ["JPEG", "TIFF"])
    def test_of_inks_are_what_their_profile_says(self, form: str) -> None:
        cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))

        found = _patch(encoded(cyan, form, icc_profile=picture_files.ink_profile()))

        assert _is_near(found, (119, 119, 119))

    def test_of_inks_count_ink_unless_the_file_is_adobes(self) -> None:
        adobes = encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG")
        mark = adobes.index(b"\xff\xee\0\x0eAdobe")
        others = adobes[:mark] + adobes[mark + 16 :]

        assert _is_near(_patch(adobes), (255, 255, 255))
        assert _is_near(_patch(others), (0, 0, 0))

    @pytest.mark.parametrize(
        ("lab", "expected"),
        [
            ((255, 128, 128), (255, 255, 255)),
            ((128, 128, 128), (119, 119, 119)),
            ((128, 208, 128), (222, 0, 124)),
        ],
        ids=["white", "grey", "red"],
    )
    def test_of_a_lab_tiff_are_converted(
        self, lab: tuple[int, int, int], expected: tuple[int, int, int]
    ) -> None:
        found = _patch(encoded(Image.new("LAB", (8, 8), lab), "TIFF"))

        assert _is_near(found, expected, by=12)

    @pytest.mark.parametrize("form", ["AVIF", "JPEG", "PNG", "TIFF", "WEBP"])
    def test_of_another_space_become_srgb(self, form: str) -> None:
        data = encoded(
            Image.new("RGB", (16, 16), RED),
            form,
            icc_profile=picture_files.exchanged_profile(),
            quality=95,
        )

        assert _is_near(_patch(data), BLUE)

    def test_of_another_space_become_srgb_in_a_palette_too(self) -> None:
        image = Image.new("RGB", (16, 16), RED).quantize(2)

        assert _is_near(_patch(encoded(image, icc_profile=picture_files.exchanged_profile())), BLUE)

    def test_of_a_grey_picture_with_a_profile_for_colours_stay_grey(self) -> None:
        data = encoded(Image.new("L", (8, 8), 77), icc_profile=picture_files.exchanged_profile())

        assert _is_near(_patch(data), (77, 77, 77), by=1)

    def test_of_srgb_are_not_touched(self) -> None:
        image = picture_files.noise()

        picture = decode(encoded(image, icc_profile=picture_files.srgb_profile()))

        assert picture.stretched(32, "bilinear") == Picture(image, content_type="").stretched(32, "bilinear")

    @pytest.mark.parametrize(
        "profile",
        [b"no profile", picture_files.exchanged_profile()[:200], picture_files.ink_profile()],
        ids=["nonsense", "cut", "for inks"],
    )
    def test_with_a_broken_profile_are_taken_as_they_are(self, profile: bytes) -> None:
        assert _patch(encoded(Image.new("RGB", (8, 8), RED), icc_profile=profile)) == RED


class TestTakenAt:
    @staticmethod
    def _of(main: dict[int, object], taken: dict[int, object] | None = None) -> datetime | None:
        exif = picture_files.exif_block(main, taken)
        return decode(encoded(halves(), "JPEG", exif=exif)).facts.taken_at

    def test_is_when_the_shutter_opened(self) -> None:
        found = self._of({0x0132: "2022:01:01 00:00:00"}, {0x9003: "2020:05:06 07:08:09", 0x9291: "55"})

        assert found == datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC)

    def test_has_the_zone_that_the_camera_names(self) -> None:
        found = self._of({}, {0x9003: "2020:05:06 07:08:09", 0x9011: "+05:30"})

        assert found == datetime(2020, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=5.5)))

    def test_is_in_utc_where_the_zone_is_nonsense(self) -> None:
        found = self._of({}, {0x9003: "2020:05:06 07:08:09", 0x9011: "noon"})

        assert found == datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("main", "taken"),
        [
            ({}, {0x9004: "1999:12:31 23:59:59"}),
            ({0x0132: "1999:12:31 23:59:59"}, None),
            ({0x0132: "1999:12:31 23:59:59"}, {0x9003: "0000:00:00 00:00:00"}),
            ({0x0132: "1999:12:31 23:59:59"}, {0x9003: "1825:12:31 23:59:59"}),
        ],
        ids=["digitised", "changed", "first is nonsense", "first is too early"],
    )
    def test_is_the_next_best_time_otherwise(
        self, main: dict[int, object], taken: dict[int, object] | None
    ) -> None:
        assert self._of(main, taken) == datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)

    @pytest.mark.parametrize(
        "time",
        [
            "",
            "yesterday",
            "2020-05-06 07:08:09",
            "2020:13:01 00:00:00",
            "    :  :     :  :  ",
            "1825:12:31 23:59:59",
            "9999:12:31 23:59:59",
            "2020:05:06 07:08:09" * 20,
        ],
    )
    def test_is_unknown_where_it_is_nonsense(self, time: str) -> None:
        assert self._of({}, {0x9003: time}) is None

    @pytest.mark.parametrize(("days", "is_known"), [(0, True), (3, False)])
    def test_may_be_a_day_ahead_and_no_more(self, days: int, is_known: bool) -> None:
        time = datetime.now(UTC) + timedelta(days=days)

        found = self._of({}, {0x9003: time.strftime("%Y:%m:%d %H:%M:%S")})

        assert (found is not None) == is_known

    def test_at_the_edge_of_time_is_no_error(self) -> None:
        assert self._of({}, {0x9003: "0001:01:01 00:00:00", 0x9011: "+14:00"}) is None

    @pytest.mark.parametrize("form", ["AVIF", "PNG", "TIFF", "WEBP"])
    def test_is_read_whatever_the_format(self, form: str) -> None:
        exif = picture_files.exif_block({0x010F: "a camera"}, {0x9003: "2020:05:06 07:08:09"})

        facts = decode(encoded(halves(), form, exif=exif)).facts

        assert facts.taken_at == datetime(2020, 5, 6, 7, 8, 9, tzinfo=UTC)

    def test_is_read_of_a_heic(self) -> None:
        facts = decode(picture_files.heic_turned()).facts

        assert facts.taken_at == datetime(2020, 5, 6, 5, 8, 9, tzinfo=UTC)

    def test_is_unknown_without_exif(self) -> None:
        assert decode(encoded(halves())).facts.taken_at is None


class TestFacts:
    def test_are_those_of_the_original(self) -> None:
        exif = picture_files.exif_block({0x0112: 6})

        facts = decode(encoded(Image.new("RGB", (4000, 3000), RED), "JPEG", exif=exif)).facts

        assert (facts.content_type, facts.width, facts.height) == ("image/jpeg", 3000, 4000)

    def test_tell_the_average_colour(self) -> None:
        facts = decode(encoded(halves())).facts

        assert facts.average_colour == "#640064"

    @pytest.mark.parametrize("form", ["AVIF", "JPEG", "PNG", "TIFF", "WEBP"])
    def test_and_outputs_know_nothing_of_the_place(self, form: str) -> None:
        place: dict[int, object] = {1: "N", 2: (48.0, 51.0, 29.0), 29: "2020:05:06"}
        exif = picture_files.exif_block({0x010F: "a camera"}, place=place)
        data = encoded(halves(), form, exif=exif)

        picture = decode(data)

        assert picture.facts.taken_at is None
        assert picture._rgb.getexif() == {}
        assert not {"exif", "xmp", "icc_profile"} & picture._rgb.info.keys()
        assert b"EXIF" not in picture.preview()


class TestPixelsAtHand:
    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((4000, 3000), (1000, 750)),
            ((3000, 4000), (750, 1000)),
            ((2000, 1000), (1000, 500)),
            ((1500, 890), (1500, 890)),
            ((640, 480), (640, 480)),
        ],
    )
    @pytest.mark.parametrize("is_progressive", [False, True], ids=["baseline", "progressive"])
    def test_of_a_large_jpeg_are_fewer(
        self, size: tuple[int, int], expected: tuple[int, int], is_progressive: bool
    ) -> None:
        data = encoded(Image.new("RGB", size, RED), "JPEG", progressive=is_progressive)

        picture = decode(data)

        assert picture._rgb.size == expected
        assert (picture.width, picture.height) == size

    def test_of_a_drafted_jpeg_look_the_same_to_a_model(self) -> None:
        image = picture_files.photograph((2400, 1800))
        data = encoded(image, "JPEG", quality=92, subsampling=0)

        drafted = decode(data).model_view(224)

        whole = Picture(image, content_type="").model_view(224)
        pair = (Image.frombytes("RGB", (224, 224), view) for view in (drafted, whole))
        difference = ImageChops.difference(*pair).tobytes()
        assert sum(difference) / len(difference) < 1
        assert max(difference) < 10

    def test_of_other_formats_are_all_there(self) -> None:
        image = picture_files.noise((2000, 1500))

        picture = decode(encoded(image, compress_level=1))

        assert picture._rgb.tobytes() == image.tobytes()

    def test_of_a_strip_are_never_too_many(self) -> None:
        picture = decode(encoded(Image.new("RGB", (60_000, 400), RED), "JPEG"))

        assert picture._rgb.size == (30_000, 200)

    def test_are_decoded_one_picture_at_a_time_by_who_holds_the_lock(self) -> None:
        with one_at_a_time:
            is_free = one_at_a_time.acquire(blocking=False)

        assert not is_free


class TestOutputs:
    def test_the_centre_square_is_the_middle_and_the_padded_square_the_whole(self) -> None:
        picture = decode(encoded(halves()))

        assert len(picture.centre_square(16)) == len(picture.padded_square(16)) == 16 * 16 * 3
        assert picture.padded_square(16)[:3] == b"\xff\xff\xff"
        assert tuple(picture.centre_square(16)[:3]) == RED

    def test_a_thumbnail_keeps_the_shape(self) -> None:
        thumbnail = decode(decode(encoded(halves())).thumbnail(16))

        assert (thumbnail.width, thumbnail.height) == (16, 8)

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((1024, 600), (512, 300)),
            ((600, 1024), (300, 512)),
            ((4000, 3000), (512, 384)),
            ((200, 100), (200, 100)),
            ((5000, 2), (512, 1)),
        ],
    )
    def test_a_preview_has_at_most_512_pixels_and_is_never_enlarged(
        self, size: tuple[int, int], expected: tuple[int, int]
    ) -> None:
        preview = decode(decode(encoded(Image.new("RGB", size, RED), "JPEG")).preview())

        assert preview.content_type == "image/webp"
        assert (preview.width, preview.height) == expected
        assert max(expected) <= PREVIEW_PX

    def test_a_preview_shows_the_picture(self) -> None:
        preview = decode(decode(encoded(halves())).preview())

        assert _is_near(_corners(preview)[0], RED, by=12)
        assert _is_near(_corners(preview)[1], BLUE, by=12)

    def test_a_preview_has_no_metadata(self) -> None:
        exif = picture_files.exif_block({0x010F: "Secretcamera"})
        profile = picture_files.exchanged_profile()

        preview = decode(encoded(halves(), "JPEG", exif=exif, icc_profile=profile)).preview()

        assert preview[12:16] == b"VP8 "
        assert b"Secretcamera" not in preview
