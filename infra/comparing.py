"""Two providers of the same weights, compared on pictures and sentences that are made here."""

import random
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw

from shared.errors import SettingsError
from shared.images import Picture
from shared.models import Vector
from shared.ports import Embedder

LEAST_COSINE: Final = 0.999
_SIZES: Final = (
    (224, 224),
    (640, 480),
    (480, 640),
    (1200, 300),
    (97, 350),
    (1920, 1080),
    (33, 40),
    (224, 500),
)
_SENTENCES: Final = (
    "a dog on a beach",
    "two workers with yellow hard hats",
    "an old castle by the water",
    "red",
    "a bowl of soup, seen from above",
    "the skyline of a city at night, with the lights of cars",
    "a diagram with arrows",
    "winter",
)


def compare(first: Embedder, second: Embedder) -> tuple[list[float], list[float]]:
    """The cosines of their vectors, one a picture and one a sentence.

    Raises `SettingsError` for models of two names, and what the embedders raise.
    """
    if first.model.name != second.model.name:
        raise SettingsError(f"two models by their names: {first.model.name} and {second.model.name}")
    pictures = [_drawing(seed, size) for seed, size in enumerate(_SIZES)]
    return (
        _cosines(first.embed_pictures(pictures), second.embed_pictures(pictures)),
        _cosines(first.embed_texts(_SENTENCES), second.embed_texts(_SENTENCES)),
    )


def _cosines(first: Sequence[Vector], second: Sequence[Vector]) -> list[float]:
    return [
        sum(x * y for x, y in zip(one, other, strict=True)) for one, other in zip(first, second, strict=True)
    ]


def _drawing(seed: int, size: tuple[int, int]) -> Picture:
    """Shapes of many colours on a ramp: edges, areas and fine lines."""
    drawn = random.Random(seed)  # noqa: S311 # the same for both providers
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    canvas = ImageDraw.Draw(image)
    for _ in range(40):
        x0, x1 = sorted(drawn.sample(range(size[0]), 2))
        y0, y1 = sorted(drawn.sample(range(size[1]), 2))
        colour = tuple(drawn.randrange(256) for _ in range(3))
        shape = drawn.choice((canvas.ellipse, canvas.rectangle, canvas.line))
        shape((x0, y0, x1, y1), fill=colour)
    return Picture(image, content_type="image/png")
