"""What Roboflow's CLIP API answers: as its server 1.8, or the older 1.5, does, also where that is odd."""

import base64
import hashlib
import io
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps
from pydantic import BaseModel, ValidationError

from shared.embedding.local import Once
from shared.embedding.tokens import clip_tokens
from shared.embedding.vocabulary import surely_fits

_DIMENSIONS: Final = {"RN50": 1024, "RN101": 512, "ViT-B-16": 512, "ViT-B-32": 512, "ViT-L-14": 768}
_CONTEXT_TOKENS: Final = 77
_MAX_PICTURES: Final = 8
_tokens = Once(lambda: clip_tokens(context_tokens=None))


class _Image(BaseModel):
    type: str
    value: str | None = None


class _Request(BaseModel):
    api_key: str | None = None
    clip_version_id: str = "ViT-B-16"


class _TextRequest(_Request):
    text: str | list[str]


class _ImageRequest(_Request):
    image: _Image | list[_Image]


_REQUESTS: Final[Mapping[str, type[_Request]]] = {
    "/clip/embed_text": _TextRequest,
    "/clip/embed_image": _ImageRequest,
}


@dataclass(frozen=True)
class Reply:
    """A status, its headers and what comes with it."""

    status: int
    content: bytes
    headers: Mapping[str, str]


class _RefusedError(Exception):
    def __init__(self, status: int, message: str = "Internal error.") -> None:
        self.reply = as_json(status, {"message": message})


def as_json(status: int, body: object, **headers: str) -> Reply:
    """A reply of that body."""
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})


def of_embeddings(embeddings: object, engine: str = "inference-models") -> Reply:
    """The reply with these."""
    body = {"inference_id": None, "frame_id": None, "time": 0.004, "embeddings": embeddings}
    return as_json(200, body, **{"x-inference-engine": engine})


def embedding(content: bytes, dimensions: int = 512) -> list[float]:
    """Of a text or of RGB pixels: the same every time, and about as long as CLIP's, which is not one."""
    numbers = struct.unpack(f"<{dimensions}h", hashlib.shake_256(content).digest(2 * dimensions))
    return [number / 44_000 for number in numbers]


class Replies:
    """To each request its own. Without a key it asks for none, as a server of one's own may."""

    def __init__(self, *, key: str | None, is_old: bool) -> None:
        self._key = key
        self._is_old = is_old

    def to(self, route: str, keys: Sequence[str | None], content: bytes) -> Reply:
        """`keys` came in the query and in the header, and go before that in the body."""
        if route not in _REQUESTS:
            return as_json(404, {"detail": "Not Found"})
        try:
            request = _REQUESTS[route].model_validate_json(content)
            self._check_key(next(filter(None, [*keys, request.api_key]), None))
            embeddings = self._embeddings(request)
        except ValidationError as exc:
            # The whole body comes back, key included; of the server, when a field is missing.
            errors = exc.errors(include_context=False, include_url=False)
            return as_json(422, {"detail": [{**error, "input": content.decode()} for error in errors]})
        except _RefusedError as exc:
            return exc.reply
        return of_embeddings(embeddings, "old-inference" if self._is_old else "inference-models")

    def _check_key(self, key: str | None) -> None:
        if self._key is not None and key is None:
            raise _RefusedError(400, "Required Roboflow API key is missing.")
        if self._key not in {None, key}:
            raise _RefusedError(401, "Unauthorized api_key.")

    def _embeddings(self, request: _Request) -> list[list[float]]:
        version = request.clip_version_id
        if version not in _DIMENSIONS:
            raise _RefusedError(400 if "/" in version else 404, "Invalid Model ID sent in request.")
        if isinstance(request, _TextRequest):
            seen = self._texts([request.text] if isinstance(request.text, str) else request.text)
        else:
            assert isinstance(request, _ImageRequest)
            seen = self._pictures(request.image if isinstance(request.image, list) else [request.image])
        return [embedding(content, _DIMENSIONS[version]) for content in seen]

    def _texts(self, texts: Sequence[str]) -> list[bytes]:
        if not texts and self._is_old:
            raise _RefusedError(500)
        if not all(map(_fits, texts)):
            raise _RefusedError(500) if self._is_old else _RefusedError(400, "Text input is too long.")
        return [text.encode() for text in texts]

    def _pictures(self, images: Sequence[_Image]) -> list[bytes]:
        if not 0 < len(images) <= _MAX_PICTURES:
            raise _RefusedError(500)
        pictures = [_decoded(image) for image in images]
        pixels = [picture.tobytes() for picture in pictures]
        if self._is_old:
            return pixels
        # The newer engine takes a list for the parts of one tall picture.
        if len({picture.width for picture in pictures}) > 1:
            raise _RefusedError(500)
        return [b"".join(pixels)]


def _fits(text: str) -> bool:
    return surely_fits(text, _CONTEXT_TOKENS) or len(_tokens.get().ids([text])[0]) <= _CONTEXT_TOKENS


def _decoded(image: _Image) -> Image.Image:
    if image.type != "base64":
        raise _RefusedError(400, f"Images of type {image.type} are not accepted.")
    if image.value is None:
        raise _RefusedError(500)
    try:
        with Image.open(io.BytesIO(base64.b64decode(image.value))) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError) as exc:
        raise _RefusedError(400, f"Could not load input image. Cause: {exc}") from exc
