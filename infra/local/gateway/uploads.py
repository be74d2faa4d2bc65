"""The body of an upload: a form as storage3 sends it, or the bare bytes; never more than the limit."""

import json
import re
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from infra.local.gateway.errors import StorageError, invalid_request, too_large
from infra.local.gateway.rows import Json

_FORM_OVERHEAD_BYTES = 2 * 1024 * 1024
_IN_MEMORY_BYTES = 1024 * 1024
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a bucket takes."""

    size_bytes: int
    mime_types: tuple[str, ...]

    def check_type(self, mime_type: str) -> None:
        """Raises `StorageError`. The type is what the uploader says; nobody looks inside."""
        wildcard = f"{mime_type.partition('/')[0]}/*"
        if self.mime_types and mime_type not in self.mime_types and wildcard not in self.mime_types:
            message = f"mime type {mime_type} is not supported"
            raise StorageError(415, "InvalidMimeType", message, "invalid_mime_type")


@dataclass(frozen=True, slots=True)
class Upload:
    """Received bytes with what the uploader says of them."""

    file: IO[bytes]
    mime_type: str
    cache_control: str
    user_metadata: Json


async def receive(request: Request, limits: Limits) -> Upload:
    """The whole upload, on disk when it is large. The caller closes the file. Raises `StorageError`."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        upload = await _receive_form(request, limits.size_bytes)
    else:
        upload = await _receive_bytes(request, limits.size_bytes)
    with _closed_on_error(upload.file):
        for value in (upload.mime_type, upload.cache_control):
            if not _HEADER_VALUE.fullmatch(value):  # downloads carry it as a header
                raise invalid_request(f"not a header's value: {value!a}")
        limits.check_type(upload.mime_type)
        if upload.file.seek(0, 2) > limits.size_bytes:
            raise too_large()
    return upload


async def _receive_form(request: Request, limit_bytes: int) -> Upload:
    stream = _at_most(request, limit_bytes + _FORM_OVERHEAD_BYTES)
    try:
        form = await MultiPartParser(request.headers, stream, max_files=1, max_fields=10).parse()
    except (MultiPartException, KeyError) as exc:
        raise invalid_request("No content provided") from exc
    file = next((part for _, part in form.multi_items() if isinstance(part, UploadFile)), None)
    if file is None:
        raise invalid_request("No content provided")
    seconds = form.get("cacheControl")
    return Upload(
        file.file,
        _field(form, "contentType") or file.content_type or "application/octet-stream",
        f"max-age={seconds}" if seconds else "no-cache",
        _metadata(_field(form, "metadata")),
    )


async def _receive_bytes(request: Request, limit_bytes: int) -> Upload:
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 -- the caller closes it
    with _closed_on_error(file):
        async for chunk in _at_most(request, limit_bytes):
            file.write(chunk)
    return Upload(
        file,
        request.headers.get("content-type") or "application/octet-stream",
        request.headers.get("cache-control") or "no-cache",
        {},
    )


async def _at_most(request: Request, limit_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body, read to its end even when it is too large: a client listens only once it has sent all."""
    received_bytes = 0
    async for chunk in request.stream():
        received_bytes += len(chunk)
        if received_bytes <= limit_bytes:
            yield chunk
    if received_bytes > limit_bytes:
        raise too_large()


@contextmanager
def _closed_on_error(file: IO[bytes]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.close()
        raise


def _field(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) else None


def _metadata(text: str | None) -> Json:
    """What is not a JSON object counts as none, as in Storage."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
