"""Other people's payloads: bounded, parsed, and read into the shapes that are known."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from shared.errors import InputError

MAX_PAYLOAD_BYTES = 1024 * 1024
"""No sender's own bound is above it: SQS and Lambda take 1 MB, Eventarc 512 KB."""

_Shape = TypeVar("_Shape", bound="Payload")


class Payload(BaseModel):
    """A part of a payload. Senders add fields at will."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def parse(payload: bytes | str | Mapping[str, object], what: str) -> dict[str, object]:
    """A JSON object, from text or parsed already by a runtime.

    Raises `InputError` that says it is not `what`, and why; nothing is quoted from the payload.
    """
    parsed: object = payload
    if isinstance(payload, str):
        payload = payload.encode(errors="surrogatepass")
    if isinstance(payload, bytes):
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InputError(f"not {what}: {len(payload)} bytes are too many, at most {MAX_PAYLOAD_BYTES}")
        try:
            parsed = from_json(payload)
        except ValueError as exc:
            raise InputError(f"not {what}: not JSON: {exc}") from None
    if not isinstance(parsed, Mapping):
        raise InputError(f"not {what}: not a JSON object")
    return dict(parsed)


def read(shape: type[_Shape], payload: object, what: str) -> _Shape:
    """Raises `InputError` that names each wrong field; nothing is quoted from the payload."""
    try:
        return shape.model_validate(payload)
    except ValidationError as exc:
        wrong = "; ".join(_fault(error["loc"], error["msg"]) for error in exc.errors(include_input=False))
        raise InputError(f"not {what}: {wrong}") from None


def _fault(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, place)) or 'body'}: {message.removeprefix('Value error, ')}"
