"""What every embedder keeps, whoever runs its model: one suite for all of them."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.embedding.clip import ClipEmbedder
from shared.embedding.manifest import manifest_named, manifest_of
from shared.embedding.multilingual import MultilingualEmbedder
from shared.embedding.offline import OfflineEmbedder
from shared.embedding.roboflow import RoboflowEmbedder
from shared.errors import InputError, Unavailable
from shared.images import Picture
from shared.permits import Unlimited
from shared.ports import Embedder
from tests.clip_models import write_colour_clip, write_multilingual_tower, write_tiny_clip
from tests.roboflow_api import delayed, serving
from tests.roboflow_faults import embeddings

_TEXTS = ("a cat", "红", "two workers with yellow hard hats", "red", "a cat")


@pytest.fixture(scope="module", params=["offline", "clip", "roboflow", "multilingual"])
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    build: dict[str, Callable[[Path], Embedder]] = {
        "offline": lambda _: OfflineEmbedder(),
        "clip": _clip,
        "multilingual": _multilingual,
        "roboflow": lambda _: RoboflowEmbedder(
            manifest_named("openai/clip-vit-base-patch16"), guard=Unlimited(), url=api.url, api_key="rf_key"
        ),
    }
    with serving() as api:
        yield build[request.param](tmp_path_factory.mktemp("weights"))


def _clip(folder: Path) -> Embedder:
    write_tiny_clip(folder)
    return ClipEmbedder(manifest_named("openai/clip-vit-base-patch16"), folder)


def _multilingual(folder: Path) -> Embedder:
    write_colour_clip(folder / "clip")
    write_multilingual_tower(folder / "tower")
    first = ClipEmbedder(manifest_named("openai/clip-vit-base-patch32"), folder / "clip")
    return MultilingualEmbedder(
        first, ClipEmbedder(manifest_of(folder / "tower", "unused"), folder / "tower")
    )


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """Of several shapes; the last is the first again."""
    images = [
        Image.radial_gradient("L").resize((300, 200)).convert("RGB"),
        Image.new("RGB", (50, 700), "navy"),
        Image.linear_gradient("L").resize((224, 224)).convert("RGB"),
        Image.new("RGB", (1, 1), "orange"),
    ]
    return [Picture(image, content_type="image/png") for image in (*images, images[0])]


def test_texts_become_unit_vectors_of_the_models_length(embedder: Embedder) -> None:
    vectors = np.asarray(embedder.embed_texts(_TEXTS))

    assert vectors.shape == (len(_TEXTS), embedder.model.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_pictures_become_unit_vectors_of_the_models_length(
    embedder: Embedder, pictures: list[Picture]
) -> None:
    vectors = np.asarray(embedder.embed_pictures(pictures))

    assert vectors.shape == (len(pictures), embedder.model.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_vectors_are_plain_floats(embedder: Embedder, pictures: list[Picture]) -> None:
    vectors = [*embedder.embed_texts(_TEXTS[:1]), *embedder.embed_pictures(pictures[:1])]

    assert {type(number) for vector in vectors for number in vector} == {float}


def test_texts_keep_their_order(embedder: Embedder) -> None:
    together = embedder.embed_texts(_TEXTS)

    assert np.asarray(together) == pytest.approx(
        np.asarray([embedder.embed_texts([text])[0] for text in _TEXTS]), abs=1e-5
    )


def test_pictures_keep_their_order(embedder: Embedder, pictures: list[Picture]) -> None:
    together = embedder.embed_pictures(pictures)

    assert np.asarray(together) == pytest.approx(
        np.asarray([embedder.embed_pictures([picture])[0] for picture in pictures]), abs=1e-5
    )


def test_views_are_to_it_what_their_pictures_are(embedder: Embedder, pictures: list[Picture]) -> None:
    views = [embedder.view(picture) for picture in pictures]

    embedded = embedder.embed_views(views)

    assert {type(view) for view in views} == {bytes}
    assert views[0] == views[-1] != views[1]
    assert np.asarray(embedded) == pytest.approx(np.asarray(embedder.embed_pictures(pictures)), abs=1e-5)


def test_views_keep_their_order(embedder: Embedder, pictures: list[Picture]) -> None:
    views = [embedder.view(picture) for picture in pictures] * 3

    together = embedder.embed_views(views)

    assert np.asarray(together) == pytest.approx(
        np.asarray([embedder.embed_views([view])[0] for view in views]), abs=1e-5
    )


def test_a_view_that_fails_costs_only_itself(pictures: list[Picture]) -> None:
    """Of those that each have a request of their own."""
    with serving() as api:
        embedder = RoboflowEmbedder(
            manifest_named("openai/clip-vit-base-patch16"), guard=Unlimited(), url=api.url, concurrency=1
        )
        views = [embedder.view(picture) for picture in pictures]
        whole = embedder.embed_views(views)
        api.next.extend([delayed(0), delayed(0), embeddings([])])

        embedded = embedder.embed_views(views)

    assert isinstance(embedded[2], Unavailable)
    assert [*embedded[:2], *embedded[3:]] == [*whole[:2], *whole[3:]]


def test_nothing_becomes_nothing(embedder: Embedder) -> None:
    assert embedder.embed_texts([]) == []
    assert embedder.embed_pictures([]) == []
    assert embedder.embed_views([]) == []


def test_threads_may_share_it(embedder: Embedder, pictures: list[Picture]) -> None:
    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda text: embedder.embed_texts([text])[0], _TEXTS * 4))
        seen = list(threads.map(lambda picture: embedder.embed_pictures([picture])[0], pictures * 2))

    assert np.asarray(texts) == pytest.approx(np.asarray(embedder.embed_texts(_TEXTS * 4)), abs=1e-5)
    assert np.asarray(seen) == pytest.approx(np.asarray(embedder.embed_pictures(pictures * 2)), abs=1e-5)


def test_broken_unicode_is_the_askers_fault(embedder: Embedder) -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        embedder.embed_texts(["a cat", "half a pair \ud83d"])


def test_texts_are_not_begun_after_the_deadline(embedder: Embedder) -> None:
    with pytest.raises(Unavailable):
        embedder.embed_texts(_TEXTS, deadline=time.monotonic() - 1)


def test_pictures_are_not_begun_after_the_deadline(embedder: Embedder, pictures: list[Picture]) -> None:
    with pytest.raises(Unavailable):
        embedder.embed_pictures(pictures, deadline=time.monotonic() - 1)


def test_views_are_not_begun_after_the_deadline(embedder: Embedder, pictures: list[Picture]) -> None:
    views = [embedder.view(picture) for picture in pictures]

    embedded = embedder.embed_views(views, deadline=time.monotonic() - 1)

    assert [type(error) for error in embedded] == [Unavailable] * len(pictures)


def test_the_model_says_what_the_index_has_to_know(embedder: Embedder) -> None:
    model = embedder.model

    assert model.dimensions in {384, 512, 640, 768, 1024}
    assert "en" in model.languages
    assert -1 <= model.similarity_floor <= 1
