"""The database API: one remote procedure call an act, through postgrest."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import httpx
from postgrest import APIError, SyncPostgrestClient
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.errors import AccessDenied, InputError, PixseekError, SettingsError, Unavailable
from shared.models import (
    Hit,
    ImageRecord,
    ObjectEvent,
    ObjectRef,
    Standing,
    StoredObject,
    Vector,
    ordering_key,
)

_Reply = TypeVar("_Reply")
_DENIED = {"42501", "PGRST301", "PGRST302", "PGRST303"}
_WRONG_CLASSES = {"22", "23", "P0"}
_OUTAGE = {408, 429, *range(500, 600)}
_NOT_SET_UP = {"PGRST202", "42704", "42883", "42P01"}


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _HitRow(_Row):
    id: int
    bucket: str
    image: str
    similarity: float


class _StoredRow(_Row):
    version: str
    owner: str | None
    size_bytes: int
    updated_at: datetime


_HITS = TypeAdapter(list[_HitRow])
_STORED = TypeAdapter(list[_StoredRow])
_STANDING = TypeAdapter(Standing)


class Database:
    """An `ImageIndex` and an `ImageSearch` over one Supabase project."""

    def __init__(self, url: str, *, service_key: str, anon_key: str, timeout_s: float) -> None:
        self._url = f"{url}/rest/v1"
        self._http = httpx.Client(timeout=timeout_s, event_hooks={"response": [_refuse_outage]})
        self._service = self._client(service_key, service_key)
        self._anon_key = anon_key

    def stored_object(self, ref: ObjectRef) -> StoredObject | None:
        """What Supabase Storage has under this name now. Raises `Unavailable`."""
        rows = self._write("stored_object_v1", {"bucket_name": ref.bucket, "object_name": ref.name}, _STORED)
        return next(
            (
                StoredObject(ref, row.version, ordering_key(row.updated_at), row.size_bytes, row.owner)
                for row in rows
            ),
            None,
        )

    def record(self, image: ImageRecord, *, model: str) -> Standing:
        """Put a picture on record, unless something newer is known; reuse a vector of the same bytes."""
        return self._write(
            "record_image_v1",
            {
                **_object_arguments(image.stored),
                "object_hash": image.content_hash,
                "object_type": image.content_type,
                "image_width": image.width,
                "image_height": image.height,
                "model_name": model,
            },
            _STANDING,
        )

    def store(self, image: ImageRecord, vector: Vector, *, model: str) -> Standing:
        """Make a recorded picture searchable, unless it has changed since."""
        return self._write(
            "store_vector_v1",
            {
                "bucket_name": image.stored.ref.bucket,
                "object_name": image.stored.ref.name,
                "object_hash": image.content_hash,
                "model_name": model,
                "embedding": list(vector),
            },
            _STANDING,
        )

    def fail(self, stored: StoredObject, *, content_hash: str | None, reason: str) -> Standing:
        """Keep an object that cannot be embedded on record, with the reason."""
        return self._write(
            "fail_image_v1",
            {**_object_arguments(stored), "object_hash": content_hash, "failure_reason": reason},
            _STANDING,
        )

    def remove(self, event: ObjectEvent) -> Standing:
        """Take an object out of the index; events older than its removal change nothing any more."""
        return self._write(
            "remove_image_v1",
            {
                "bucket_name": event.ref.bucket,
                "object_name": event.ref.name,
                "object_key": event.ordering_key,
            },
            _STANDING,
        )

    def nearest(self, vector: Vector, *, model: str, limit: int, caller_token: str) -> list[Hit]:
        """At most `limit` pictures above the model's floor that the caller may see, best first."""
        if not caller_token.isascii():
            raise AccessDenied("the token is not one: it holds other than ASCII characters")
        arguments = {"query_embedding": list(vector), "match_count": limit, "model_name": model}
        rows = _call(self._client(self._anon_key, caller_token), "search_images_v1", arguments, _HITS)
        return [Hit(row.id, ObjectRef(row.bucket, row.image), row.similarity) for row in rows]

    def _write(self, function: str, arguments: Mapping[str, object], reply: TypeAdapter[_Reply]) -> _Reply:
        try:
            return _call(self._service, function, arguments, reply)
        except AccessDenied as exc:
            raise SettingsError("the database refuses SUPABASE_SERVICE_ROLE_KEY") from exc

    def _client(self, api_key: str, token: str) -> SyncPostgrestClient:
        headers = {"apikey": api_key, "Authorization": f"Bearer {token}"}
        return SyncPostgrestClient(self._url, headers=headers, http_client=self._http)


def _object_arguments(stored: StoredObject) -> dict[str, object]:
    return {
        "bucket_name": stored.ref.bucket,
        "object_name": stored.ref.name,
        "object_owner": stored.owner,
        "object_version": stored.version,
        "object_key": stored.ordering_key,
        "object_size": stored.size_bytes,
    }


def _call(
    client: SyncPostgrestClient, function: str, arguments: Mapping[str, object], reply: TypeAdapter[_Reply]
) -> _Reply:
    try:
        # postgrest types arguments as text; its wire format is any JSON.
        answer = client.rpc(function, dict(arguments)).execute()  # type: ignore[arg-type]
        return reply.validate_python(answer.data)
    except APIError as exc:
        raise _translated(exc) from exc
    except httpx.HTTPError as exc:
        raise Unavailable(f"the database does not answer ({function})") from exc
    except ValidationError as exc:
        raise SettingsError(f"{function} answered in an unknown form: are all migrations applied?") from exc


def _refuse_outage(response: httpx.Response) -> None:
    """What stands before PostgREST answers without a code, so that only the status tells an outage from a
    wrong key, and postgrest does not keep the status."""
    if response.status_code in _OUTAGE:
        raise Unavailable(f"the database API answered {response.status_code}")


def _translated(error: APIError) -> PixseekError:
    code = error.code or ""
    if code in _DENIED or not code:  # the gateway refuses a key without a code
        return AccessDenied(error.message or "the database refuses this caller")
    if code in _NOT_SET_UP:
        return SettingsError(f"the database is not set up: {error.message}")
    if code[:2] in _WRONG_CLASSES:
        return InputError(error.message or "the database refuses this input")
    return Unavailable(f"the database answered {code}")
