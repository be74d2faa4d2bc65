"""A model that knows colours and nothing else, in the place of Roboflow's: it sees them, and their names."""

import base64
import io
import json
from typing import Final

from PIL import Image, ImageColor

from tests.roboflow_api import Exchange
from tests.roboflow_replies import Reply, of_embeddings

_DIMENSIONS: Final = {"ViT-B-16": 512, "ViT-L-14": 768}


def knows_colours(exchange: Exchange, reply: Reply) -> None:
    """Answers a text with the vector of the colour that is its last word, a picture with that of its own."""
    body = json.loads(exchange.content)
    if reply.status != 200:
        exchange.send(reply)
        return
    seen = _named(body["text"]) if "text" in body else [_shown(body["image"])]
    dimensions = _DIMENSIONS[body.get("clip_version_id", "ViT-B-16")]
    exchange.send(of_embeddings([_vector(colour, dimensions) for colour in seen]))


def painted(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def _named(texts: str | list[str]) -> list[tuple[int, ...]]:
    words = [text.split()[-1] for text in ([texts] if isinstance(texts, str) else texts)]
    return [ImageColor.getrgb(word if word in ImageColor.colormap else "grey") for word in words]


def _shown(image: dict[str, str] | list[dict[str, str]]) -> tuple[int, ...]:
    one = image[0] if isinstance(image, list) else image
    with Image.open(io.BytesIO(base64.b64decode(one["value"]))) as opened:
        small = opened.convert("RGB").resize((1, 1))
    return tuple(small.tobytes())


def _vector(colour: tuple[int, ...], dimensions: int) -> list[float]:
    return [(value - 127) / 128 for value in colour] + [0.01] * (dimensions - len(colour))
