"""The database API: one remote procedure call an act, through postgrest."""

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import httpx
from postgrest import APIError, SyncPostgrestClient
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from shared.errors import (
    AccessDenied,
    InputError,
    OverBudget,
    PixseekError,
    SettingsError,
    Unavailable,
)
from shared.models import (
    Granted,
    Hit,
    ImageRecord,
    Lane,
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
# A worker that dies keeps its picture from others for so long; a slower one embeds it for nothing.
_LEASE_S = 15
_LONGEST_PERMIT_WAIT_S = 600.0
_NOT_REMEMBERED = "not_remembered"
_NOT_SET_UP = {"PGRST202", "42704", "42883", "42P01"}


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _HitRow(BaseModel):
    id: int
    bucket: str
    image: str
    similarity: float


class _Found(BaseModel):
    """Of a search; what it does not need of the reply is left unread."""

    path: str
    hits: list[_HitRow]


class _StoredRow(_Row):
    name: str
    version: str
    owner: str | None
    metadata: dict[str, JsonValue]
    size_bytes: int
    created_at: datetime
    updated_at: datetime


class _StandingRow(_Row):
    bucket: str
    name: str
    image_id: int | None
    standing: Standing


class _RecordedRow(_StandingRow):
    embed_in_s: float | None
    embed_until_s: float | None
    permits_at: datetime | None


_FOUND = TypeAdapter(_Found)
_GRANTED = TypeAdapter(Granted)
_NOTHING = TypeAdapter(object)
_RECORDED = TypeAdapter(list[_RecordedRow])
_STORED = TypeAdapter(list[_StoredRow])
_STANDINGS = TypeAdapter(list[_StandingRow])


class Database:
    """An `ImageIndex`, an `ImageSearch` and a `QueryMemory` over one Supabase project."""

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        anon_key: str,
        timeout_s: float,
        lane: Lane,
        keep_permits: Callable[[Granted], None] | None = None,
    ) -> None:
        """`keep_permits` gets the permits that come with a recorded picture; None for a model that costs
        nothing.
        """
        self._lane = lane
        self._keep_permits = keep_permits
        self._url = f"{url}/rest/v1"
        self._http = httpx.Client(timeout=timeout_s, event_hooks={"response": [_refuse_outage]})
        self._service = self._client(service_key, service_key)
        self._anon_key = anon_key

    def stored_object(self, ref: ObjectRef) -> StoredObject | None:
        """What Supabase Storage has under this name now. Raises `Unavailable`."""
        rows = self._write(
            "stored_objects_v1", {"bucket_name": ref.bucket, "object_names": [ref.name]}, _STORED
        )
        return next(
            (
                StoredObject(
                    ref,
                    row.version,
                    ordering_key(row.updated_at),
                    row.size_bytes,
                    row.owner,
                    row.metadata,
                    row.created_at,
                )
                for row in rows
            ),
            None,
        )

    def take_permits(self, count: int, max_wait_s: float, unused: int) -> Granted:
        """Permits to call a model that costs money, none later than in so many seconds; `unused` of before
        cost nothing.
        """
        arguments = {
            "lane": self._lane,
            "permit_count": count,
            "max_wait_s": min(max_wait_s, _LONGEST_PERMIT_WAIT_S),
            "unused_count": unused,
        }
        return self._write("take_permits_v1", arguments, _GRANTED)

    def record(self, image: ImageRecord, *, model: str, deadline: float = math.inf) -> Standing:
        """Put a picture on record, unless something newer is known; reuse a vector of the same bytes."""
        item = {
            **_object_item(image.stored),
            "content_hash": image.content_hash,
            "content_type": image.content_type,
            "width": image.width,
            "height": image.height,
        }
        arguments = {"images": [item], "model_name": model, "lease_s": _LEASE_S}
        if self._keep_permits:
            left_s = min(max(0.0, deadline - time.monotonic()), _LONGEST_PERMIT_WAIT_S)
            # Nobody pays for a picture again while its call may still be answered.
            arguments |= {"permit_wait_s": left_s, "lease_s": max(_LEASE_S, math.ceil(left_s))}
        [row] = self._write("record_images_v2", arguments, _RECORDED)
        if row.standing is Standing.PENDING and self._keep_permits:
            self._keep_permits(_permit(row))
        return row.standing

    def store(self, image: ImageRecord, vector: Vector, *, model: str) -> Standing:
        """Make a recorded picture searchable, unless it has changed since."""
        return self._store(image, {"embedding": list(vector)}, model)

    def give_back(self, image: ImageRecord, reason: str, *, may_retry: bool, model: str) -> Standing:
        """Say that a recorded picture could not be embedded, for now or for good."""
        return self._store(image, {"reason": reason, "may_retry": may_retry}, model)

    def release(self, image: ImageRecord, *, model: str) -> None:
        """Leave a recorded picture to whoever comes next: what hinders us is not its fault."""
        item = {**_ref_item(image.stored.ref), "content_hash": image.content_hash}
        self._write("release_images_v1", {"images": [item], "model_name": model}, _NOTHING)

    def fail(self, stored: StoredObject, *, content_hash: str | None, reason: str) -> Standing:
        """Keep an object that is no picture on record, with the reason."""
        item = {**_object_item(stored), "content_hash": content_hash, "reason": reason}
        return self._standing("record_images_v1", {"images": [item]})

    def remove(self, event: ObjectEvent) -> Standing:
        """Take an object out of the index; events older than its removal change nothing any more."""
        item = {**_ref_item(event.ref), "ordering_key": event.ordering_key}
        return self._standing("remove_images_v1", {"objects": [item]})

    def nearest(self, vector: Vector, *, model: str, limit: int, caller_token: str) -> list[Hit]:
        """At most `limit` pictures above the model's floor that the caller may see, best first."""
        found = self._search({"query_embedding": list(vector)}, model, limit, caller_token)
        return _hits(found)

    def nearest_to_text(self, text: str, *, model: str, limit: int, caller_token: str) -> list[Hit] | None:
        """As `nearest`, for a text whose vector is remembered; None for one that is not."""
        found = self._search({"query_text": text}, model, limit, caller_token)
        return None if found.path == _NOT_REMEMBERED else _hits(found)

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        """Spare the next search for this text the call to the model."""
        arguments = {"query_text": text, "query_embedding": list(vector), "model_name": model}
        self._write("remember_query_v1", arguments, _NOTHING)
        if self._keep_permits is None:  # no permit counted the call
            self._write("count_calls_v1", {"lane": self._lane, "made": 1}, _NOTHING)

    def count_spared(self) -> None:
        """Count a call that was spared."""
        self._write("count_calls_v1", {"lane": self._lane, "saved": 1}, _NOTHING)

    def _search(self, query: Mapping[str, object], model: str, limit: int, caller_token: str) -> _Found:
        if not caller_token.isascii():
            raise AccessDenied("the token is not one: it holds other than ASCII characters")
        arguments = {**query, "match_count": limit, "model_name": model}
        return _call(self._client(self._anon_key, caller_token), "search_images_v1", arguments, _FOUND)

    def _store(self, image: ImageRecord, result: Mapping[str, object], model: str) -> Standing:
        item = {**_ref_item(image.stored.ref), "content_hash": image.content_hash, **result}
        return self._standing("store_vectors_v1", {"vectors": [item], "model_name": model})

    def _standing(self, function: str, arguments: Mapping[str, object]) -> Standing:
        [row] = self._write(function, arguments, _STANDINGS)
        return row.standing

    def _write(self, function: str, arguments: Mapping[str, object], reply: TypeAdapter[_Reply]) -> _Reply:
        try:
            return _call(self._service, function, arguments, reply)
        except AccessDenied as exc:
            raise SettingsError("the database refuses SUPABASE_SERVICE_ROLE_KEY") from exc

    def _client(self, api_key: str, token: str) -> SyncPostgrestClient:
        headers = {"apikey": api_key, "Authorization": f"Bearer {token}"}
        return SyncPostgrestClient(self._url, headers=headers, http_client=self._http)


def _permit(row: _RecordedRow) -> Granted:
    if row.embed_in_s is None:
        raise OverBudget(row.permits_at)
    valid_s = None if row.embed_until_s is None else row.embed_until_s - row.embed_in_s
    return Granted([row.embed_in_s], valid_s, None)


def _hits(found: _Found) -> list[Hit]:
    return [Hit(row.id, ObjectRef(row.bucket, row.image), row.similarity) for row in found.hits]


def _ref_item(ref: ObjectRef) -> dict[str, object]:
    return {"bucket": ref.bucket, "name": ref.name}


def _object_item(stored: StoredObject) -> dict[str, object]:
    return {
        **_ref_item(stored.ref),
        "owner": stored.owner,
        "metadata": dict(stored.metadata),
        "version": stored.version,
        "ordering_key": stored.ordering_key,
        "size_bytes": stored.size_bytes,
        "created_at": stored.created_at and stored.created_at.isoformat(),
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
