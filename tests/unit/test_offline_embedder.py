"""The embedder that needs no key and no download, with its real weights."""

import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from infra import photographs
from shared import images
from shared.embedding import offline
from shared.embedding.offline import LABEL_VECTORS, MODEL, OfflineEmbedder
from shared.errors import InputError, SettingsError
from shared.images import Picture
from shared.models import Vector

Photo = Callable[[str], Image.Image]


@pytest.fixture(scope="module")
def embedder() -> OfflineEmbedder:
    return OfflineEmbedder()


@pytest.fixture(scope="module")
def photo() -> Photo:
    """A packaged photograph by its file's name, small: that is quicker to decode."""
    paths = {photograph.path.name: photograph.path for photograph in photographs.packaged()}

    @cache
    def opened(name: str) -> Image.Image:
        with Image.open(paths[name]) as image:
            small = image.convert("RGB")
            small.thumbnail((256, 256))
            return small

    return opened


def _picture(image: Image.Image, form: str = "PNG", **options: object) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return images.decode(buffer.getvalue())


def _likeness(one: Vector, other: Vector) -> float:
    return float(np.dot(one, other))


def _like(vector: Vector) -> object:
    """Equal but for the last bits, which depend on what is computed together."""
    return pytest.approx(vector, abs=1e-5)


class TestTexts:
    def test_become_unit_vectors_of_512_floats(self, embedder: OfflineEmbedder) -> None:
        vectors = embedder.embed_texts(["a cat", "一杯咖啡"])

        assert [len(vector) for vector in vectors] == [MODEL.dimensions] * 2 == [512] * 2
        assert {type(number) for vector in vectors for number in vector} == {float}
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)

    def test_keep_their_order(self, embedder: OfflineEmbedder) -> None:
        texts = ["a cat", "a cup of coffee", "猫", "a much longer sentence about nothing at all"]

        together = embedder.embed_texts(texts)

        assert together == [_like(embedder.embed_texts([text])[0]) for text in texts]

    def test_that_are_alike_have_the_same_vector(self, embedder: OfflineEmbedder) -> None:
        first, _, copy = embedder.embed_texts(["a cat", "a cup of coffee", "a cat"])

        assert copy == _like(first)

    def test_may_be_none(self, embedder: OfflineEmbedder) -> None:
        assert embedder.embed_texts([]) == []

    @pytest.mark.parametrize(
        "text",
        ["", " ", "\0", "🐱", "\u202e", "a" * 2_000, "猫" * 500],
        ids=["empty", "space", "nul", "emoji", "mark", "long", "long Chinese"],
    )
    def test_have_a_direction_whatever_they_say(self, text: str, embedder: OfflineEmbedder) -> None:
        [vector] = embedder.embed_texts([text])

        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize(
        "text", ["\ud800", "a cat \udc00", "\udfff\ud800"], ids=["first half", "second half", "turned round"]
    )
    def test_of_broken_unicode_are_refused(self, text: str, embedder: OfflineEmbedder) -> None:
        with pytest.raises(InputError, match="not valid Unicode"):
            embedder.embed_texts(["a cat", text])

    def test_are_embedded_after_a_refused_one(self, embedder: OfflineEmbedder) -> None:
        before = embedder.embed_texts(["a cat"])
        with pytest.raises(InputError):
            embedder.embed_texts(["\ud800"])

        assert embedder.embed_texts(["a cat"]) == before


class TestPictures:
    def test_become_unit_vectors_of_512_floats(self, embedder: OfflineEmbedder, photo: Photo) -> None:
        [vector] = embedder.embed_pictures([_picture(photo("chelsea.png"))])

        assert len(vector) == MODEL.dimensions
        assert {type(number) for number in vector} == {float}
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)

    def test_keep_their_order_however_many_there_are(self, embedder: OfflineEmbedder, photo: Photo) -> None:
        cat, coffee, rocket = (_picture(photo(name)) for name in ("chelsea.png", "coffee.png", "rocket.jpg"))

        together = embedder.embed_pictures([cat, coffee, cat, cat, rocket, cat, coffee, cat, coffee, rocket])

        one, two, three = (embedder.embed_pictures([picture])[0] for picture in (cat, coffee, rocket))
        expected = [one, two, one, one, three, one, two, one, two, three]
        assert together == [_like(vector) for vector in expected]

    def test_may_be_none(self, embedder: OfflineEmbedder) -> None:
        assert embedder.embed_pictures([]) == []

    def test_are_kept_as_two_squares(self, embedder: OfflineEmbedder, photo: Photo) -> None:
        cat = _picture(photo("chelsea.png"))

        view = embedder.view(cat)

        assert view == cat.centre_square(288) + cat.padded_square(288)

    @pytest.mark.parametrize(
        "image",
        [
            Image.new("RGB", (1, 1)),
            Image.new("RGB", (1, 3000)),
            Image.new("RGB", (3000, 1), "white"),
            Image.new("1", (5, 5)),
            Image.new("RGBA", (8, 8)),
            Image.new("I;16", (8, 8), 65535),
        ],
        ids=["one pixel", "a column", "a row", "black and white", "nothing to see", "deep white"],
    )
    def test_have_a_direction_whatever_they_show(self, image: Image.Image, embedder: OfflineEmbedder) -> None:
        [vector] = embedder.embed_pictures([_picture(image)])

        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)

    def test_are_seen_in_their_middle_and_as_a_whole(self, embedder: OfflineEmbedder, photo: Photo) -> None:
        cat, coffee = photo("chelsea.png"), photo("coffee.png")
        wide = Image.fromarray(
            np.hstack([np.asarray(image.resize((256, 170))) for image in (cat, coffee, cat)])
        )

        [shown] = embedder.embed_pictures([_picture(wide)])

        of_cat, of_coffee = embedder.embed_texts(["a cat", "a cup of coffee"])
        assert _likeness(shown, of_cat) >= MODEL.similarity_floor
        assert _likeness(shown, of_coffee) >= MODEL.similarity_floor

    def test_are_seen_on_white_where_they_are_transparent(
        self, embedder: OfflineEmbedder, photo: Photo
    ) -> None:
        cat = photo("chelsea.png")
        mask = Image.new("L", cat.size, 0)
        mask.paste(255, (60, 30, 200, 160))
        hidden = Image.composite(cat, Image.new("RGB", cat.size, "red"), mask)
        hidden.putalpha(mask)
        on_white = Image.composite(cat, Image.new("RGB", cat.size, "white"), mask)

        transparent, white = embedder.embed_pictures([_picture(hidden), _picture(on_white)])

        assert transparent == _like(white)

    def test_are_seen_upright(self, embedder: OfflineEmbedder, photo: Photo) -> None:
        cat = photo("chelsea.png")
        lying = cat.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6  # turn right by 90 degrees

        upright, turned, left_lying = embedder.embed_pictures(
            [_picture(cat), _picture(lying, exif=exif.tobytes()), _picture(lying)]
        )

        assert turned == _like(upright)
        assert left_lying != _like(upright)

    def test_of_sixteen_bits_show_the_same_as_of_eight(self, embedder: OfflineEmbedder, photo: Photo) -> None:
        grey = photo("chelsea.png").convert("L")
        deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)

        eight, sixteen = embedder.embed_pictures([_picture(grey), _picture(deep)])

        assert deep.mode == "I;16"
        assert _likeness(eight, sixteen) > 0.999


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("chelsea.png", "a cat", "a cup of coffee"),
        ("chelsea.png", "猫", "一杯咖啡"),
        ("coffee.png", "a cup of coffee", "a cat"),
        ("coffee.png", "一杯咖啡", "猫"),
        ("motorcycle_left.png", "a motorcycle", "a flower"),
        ("motorcycle_left.png", "摩托车", "花"),
        ("flower.jpg", "a flower", "a motorcycle"),
        ("rocket.jpg", "a rocket", "a dog"),
    ],
)
def test_a_picture_is_nearer_to_what_it_shows_than_to_something_else(
    name: str, right: str, wrong: str, embedder: OfflineEmbedder, photo: Photo
) -> None:
    [shown] = embedder.embed_pictures([_picture(photo(name))])

    near, far = embedder.embed_texts([right, wrong])

    assert _likeness(shown, near) >= MODEL.similarity_floor
    assert _likeness(shown, far) < MODEL.similarity_floor


class TestThreads:
    def test_that_ask_first_at_once_load_everything_once(
        self, monkeypatch: pytest.MonkeyPatch, photo: Photo
    ) -> None:
        loads: list[str] = []

        class SlowLite0:
            def __init__(self, threads: int) -> None:
                time.sleep(0.02)
                loads.append(f"pictures by {threads}")

            def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
                return np.tile(np.arange(1000, dtype=np.float32), (len(views), 1))

        class SlowUse3:
            def __init__(self, threads: int) -> None:
                time.sleep(0.02)
                loads.append(f"texts by {threads}")

            def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
                return np.ones((len(texts), 512), np.float32)

        monkeypatch.setattr(offline, "Lite0", SlowLite0)
        monkeypatch.setattr(offline, "Use3", SlowUse3)
        embedder = OfflineEmbedder(threads=3)
        picture = _picture(photo("chelsea.png"))
        together = threading.Barrier(8, timeout=30)

        def ask(_: int) -> tuple[list[Vector], list[Vector]]:
            together.wait()
            return embedder.embed_texts(["a cat"]), embedder.embed_pictures([picture])

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(8)))

        assert sorted(loads) == ["pictures by 3", "texts by 3"]
        assert answers == [answers[0]] * 8

    def test_get_the_answers_to_their_own_questions(self, embedder: OfflineEmbedder) -> None:
        texts = ["a cat", "a cup of coffee", "火箭", "a motorcycle"] * 8
        expected = embedder.embed_texts(texts)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda text: embedder.embed_texts([text])[0], texts))

        assert answers == [_like(vector) for vector in expected]


def test_nothing_is_loaded_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "Lite0", None)
    monkeypatch.setattr(offline, "Use3", None)

    embedder = OfflineEmbedder()

    assert embedder.model == MODEL
    assert embedder.embed_texts([]) == embedder.embed_pictures([]) == []


@pytest.mark.parametrize("module", ["lite0", "use3"])
def test_a_missing_package_of_weights_is_named_with_what_to_do(
    module: str, monkeypatch: pytest.MonkeyPatch, photo: Photo
) -> None:
    monkeypatch.setattr(f"shared.embedding.{module}._PACKAGE", "absent_package")
    embedder = OfflineEmbedder()
    calls = {
        "lite0": lambda: embedder.embed_pictures([_picture(photo("chelsea.png"))]),
        "use3": lambda: embedder.embed_texts(["a cat"]),
    }

    with pytest.raises(SettingsError, match="absent_package, which is not installed: install pixseek"):
        calls[module]()


def test_missing_weights_are_the_result_of_all_views(monkeypatch: pytest.MonkeyPatch, photo: Photo) -> None:
    monkeypatch.setattr("shared.embedding.lite0._PACKAGE", "absent_package")
    embedder = OfflineEmbedder()

    embedded = embedder.embed_views([embedder.view(_picture(photo("chelsea.png")))] * 10)

    assert isinstance(embedded[0], SettingsError)
    assert embedded == [embedded[0]] * 10


def test_the_label_vectors_are_a_direction_for_each_of_1000_classes() -> None:
    labels = np.load(LABEL_VECTORS, allow_pickle=False)

    assert labels.shape == (1000, 512)
    assert labels.dtype == np.float16
    assert np.isfinite(labels).all()
    assert np.linalg.norm(labels.astype(np.float32), axis=1) == pytest.approx(1, abs=2e-3)
