"""The database API: one remote procedure call an act, through postgrest."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import httpx
import stamina
from postgrest import APIError, SyncPostgrestClient
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from shared.errors import (
    AccessDenied,
    InputError,
    PixseekError,
    SettingsError,
    Unavailable,
)
from shared.models import (
    Failure,
    Granted,
    Hit,
    ImageRecord,
    IndexedObject,
    Lane,
    ObjectEvent,
    ObjectRef,
    Provider,
    Recorded,
    Result,
    Standing,
    StoredObject,
    Vector,
    ordering_key,
    preview_ref,
)

_Reply = TypeVar("_Reply")
_DENIED = {"42501", "PGRST301", "PGRST302", "PGRST303"}
_WRONG_CLASSES = {"22", "23", "P0"}
_OUTAGE = {408, 429, *range(500, 600)}
# A worker that dies keeps its picture from others for so long; a slower one embeds it for nothing.
_LEASE_S = 15
# A call that hangs until the deadline keeps the vectors of its batch from being stored before.
_STORING_S = 5
_LONGEST_PERMIT_WAIT_S = 600.0
# How long a vector is held out to a database that does not answer.
_LEAST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
_NOT_REMEMBERED = "not_remembered"
# A generation that has a tombstone never comes back, so that what a sweep still saw of it is gone.
_NUMBERED = {"gcs"}
_KEPT = {Standing.INDEXED, Standing.BLOCKED}
# Of a unit vector; halfvec keeps fewer.
_DECIMALS = 6
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
    etag: str | None = None
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


class _RemovedRow(_StandingRow):
    old_preview: str | None


class _RecordedRow(_RemovedRow):
    embed_in_s: float | None
    embed_until_s: float | None
    permits_at: datetime | None
    preview: str | None
    has_preview: bool


class _IndexedRow(_Row):
    name: str
    version: str | None
    size_bytes: int | None
    ordering_key: str
    state: Standing
    has_preview: bool


class _StateRow(_Row):
    name: str
    state: Standing
    content_hash: str | None
    reason: str | None


class _FailedRow(_Row):
    image_id: int
    bucket: str
    image: str
    reason: str
    ordering_key: str
    updated_at: datetime


_FAILED = TypeAdapter(list[_FailedRow])
_FOUND = TypeAdapter(_Found)
_GRANTED = TypeAdapter(Granted)
_INDEXED = TypeAdapter(list[_IndexedRow])
_NAMES = TypeAdapter(list[str])
_NOTHING = TypeAdapter(object)
_RECORDED = TypeAdapter(list[_RecordedRow])
_REMOVED = TypeAdapter(list[_RemovedRow])
_STATES = TypeAdapter(list[_StateRow])
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
        provider: Provider = "supabase",
        keep_permits: Callable[[Granted], None] | None = None,
    ) -> None:
        """`provider` is where the pictures lie. `keep_permits` gets the permits that come with recorded
        pictures; None for a model that costs nothing.
        """
        self._lane = lane
        self._provider = provider
        self._keep_permits = keep_permits
        self._url = f"{url}/rest/v1"
        self._http = httpx.Client(timeout=timeout_s, event_hooks={"response": [_refuse_outage]})
        self._service = self._client(service_key, service_key)
        self._anon_key = anon_key

    def stored_objects(self, refs: Sequence[ObjectRef]) -> list[StoredObject | None]:
        """What Supabase Storage has under these names now, in order. Raises `Unavailable`."""
        found = {
            ObjectRef(bucket, row.name): row
            for bucket, wanted in _by_bucket(refs).items()
            for row in self._write(
                "stored_objects_v1", {"bucket_name": bucket, "object_names": wanted}, _STORED
            )
        }
        return [_stored(ref, found[ref]) if ref in found else None for ref in refs]

    def list_objects(self, bucket: str, after: str, limit: int) -> list[StoredObject]:
        """A page of what Supabase Storage has in a bucket, by the bytes of the names."""
        arguments = {"bucket_name": bucket, "after": after, "page_size": limit}
        rows = self._write("list_objects_v1", arguments, _STORED)
        return [_stored(ObjectRef(bucket, row.name), row) for row in rows]

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

    def record(
        self, images: Sequence[ImageRecord], *, model: str, deadline: float = math.inf
    ) -> list[Recorded]:
        """Put objects on record, unless something newer is known; reuse vectors of the same bytes."""
        arguments = {
            "images": [_image_item(image, self._provider) for image in images],
            "model_name": model,
            "lease_s": _LEASE_S,
            "provider": self._provider,
        }
        if self._keep_permits:
            left_s = min(max(0.0, deadline - time.monotonic()), _LONGEST_PERMIT_WAIT_S)
            # Nobody pays for a picture again while its call may still be answered, or its vector be stored.
            lease_s = max(_LEASE_S, math.ceil(left_s + _STORING_S))
            arguments |= {"permit_wait_s": left_s, "lease_s": lease_s}
        rows = self._write("record_images_v3", arguments, _RECORDED)
        if self._keep_permits:
            self._keep_permits(_permits(rows))
        return [_recorded(row) for row in rows]

    def store(self, results: Sequence[Result], *, model: str, deadline: float = math.inf) -> list[Standing]:
        """Make recorded pictures searchable, unless they have changed since, or say why they are not.

        Vectors are paid for: until the deadline it is tried again.
        """
        arguments = {"vectors": [_result_item(result) for result in results], "model_name": model}
        left_s = min(max(_LEAST_RETRY_S, deadline - time.monotonic()), _LONGEST_RETRY_S)
        for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=left_s, wait_max=2.0):
            with attempt:
                rows = self._write("store_vectors_v2", arguments, _STANDINGS)
        return [row.standing for row in rows]

    def release(self, images: Sequence[ImageRecord], *, model: str) -> None:
        """Leave recorded pictures to whoever comes next: what hinders us is not their fault."""
        items = [{**_ref_item(image.stored.ref), "content_hash": image.content_hash} for image in images]
        self._write("release_images_v1", {"images": items, "model_name": model}, _NOTHING)

    def fail_unread(self, events: Sequence[ObjectEvent], reason: str) -> None:
        """Keep objects that we may not read on record as failed; what can be searched stays so."""
        states = {
            ObjectRef(bucket, row.name): row.state
            for bucket, names in _by_bucket(event.ref for event in events).items()
            for row in self._write("image_states_v1", {"bucket_name": bucket, "object_names": names}, _STATES)
        }
        items = [
            {**_event_item(event), "reason": reason, "is_of_sweep": event.is_of_sweep}
            for event in events
            if states.get(event.ref) not in _KEPT
        ]
        if items:
            self._write("record_images_v3", {"images": items, "provider": self._provider}, _RECORDED)

    def remove(self, events: Sequence[ObjectEvent]) -> list[Recorded]:
        """Take objects out of the index; events older than their removal change nothing any more."""
        items = [_event_item(event) for event in events]
        rows = self._write("remove_images_v2", {"objects": items, "provider": self._provider}, _REMOVED)
        return [Recorded(row.standing, old_preview=_preview(row.bucket, row.old_preview)) for row in rows]

    def list_images(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[IndexedObject]:
        """A page of what the index has of a bucket, by the bytes of the names, tombstones too."""
        arguments = {"bucket_name": bucket, "after": after, "page_size": limit}
        rows = self._write("list_images_v1", arguments, _INDEXED)
        return [
            IndexedObject(
                ObjectRef(bucket, row.name),
                row.state,
                row.version,
                row.size_bytes,
                row.ordering_key,
                row.has_preview,
            )
            for row in rows
        ]

    def orphan_previews(self, bucket: str, names: Sequence[str]) -> list[ObjectRef]:
        """Those of some previews of a bucket's pictures, at most 1000, that no picture needs."""
        arguments = {"bucket_name": bucket, "preview_names": list(names)}
        found = self._write("orphan_previews_v1", arguments, _NAMES)
        return [preview_ref(bucket, name) for name in found]

    def failures(
        self, limit: int, *, bucket: str | None = None, reason_part: str | None = None
    ) -> list[Failure]:
        """What failed, the latest first; of one bucket, or for a reason that holds some words."""
        arguments = {"match_count": limit, "bucket_name": bucket, "reason_part": reason_part}
        rows = self._write("failed_images_v2", arguments, _FAILED)
        return [
            Failure(
                row.image_id, ObjectRef(row.bucket, row.image), row.reason, row.ordering_key, row.updated_at
            )
            for row in rows
        ]

    def requeue(self, failures: Sequence[Failure], *, model: str) -> None:
        """Give pictures that failed under a model all their tries again."""
        arguments = {"model_name": model, "image_ids": [failure.image_id for failure in failures]}
        self._write("requeue_images_v1", arguments, _NOTHING)

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

    def _write(self, function: str, arguments: Mapping[str, object], reply: TypeAdapter[_Reply]) -> _Reply:
        try:
            return _call(self._service, function, arguments, reply)
        except AccessDenied as exc:
            raise SettingsError("the database refuses SUPABASE_SERVICE_ROLE_KEY") from exc

    def _client(self, api_key: str, token: str) -> SyncPostgrestClient:
        headers = {"apikey": api_key, "Authorization": f"Bearer {token}"}
        return SyncPostgrestClient(self._url, headers=headers, http_client=self._http)


def _permits(rows: Sequence[_RecordedRow]) -> Granted:
    waits_s = sorted(row.embed_in_s for row in rows if row.embed_in_s is not None)
    valid_s = next(
        (
            row.embed_until_s - row.embed_in_s
            for row in rows
            if row.embed_until_s is not None and row.embed_in_s is not None
        ),
        None,
    )
    return Granted(waits_s, valid_s, None)


def _recorded(row: _RecordedRow) -> Recorded:
    return Recorded(
        row.standing,
        preview=_preview(row.bucket, row.preview),
        has_preview=row.has_preview,
        old_preview=_preview(row.bucket, row.old_preview),
        is_permitted=row.embed_in_s is not None,
        permits_at=row.permits_at,
    )


def _preview(bucket: str, name: str | None) -> ObjectRef | None:
    return None if name is None else preview_ref(bucket, name)


def _stored(ref: ObjectRef, row: _StoredRow) -> StoredObject:
    return StoredObject(
        ref,
        row.version,
        row.size_bytes,
        etag=row.etag,
        ordering_key=ordering_key(row.updated_at),
        owner=row.owner,
        metadata=row.metadata,
        created_at=row.created_at,
    )


def _hits(found: _Found) -> list[Hit]:
    return [Hit(row.id, ObjectRef(row.bucket, row.image), row.similarity) for row in found.hits]


def _by_bucket(refs: Iterable[ObjectRef]) -> dict[str, list[str]]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for ref in refs:
        names[ref.bucket].append(ref.name)
    return names


def _event_item(event: ObjectEvent) -> dict[str, object]:
    return {**_ref_item(event.ref), "ordering_key": event.ordering_key}


def _ref_item(ref: ObjectRef) -> dict[str, object]:
    return {"bucket": ref.bucket, "name": ref.name}


def _image_item(image: ImageRecord, provider: Provider) -> dict[str, object]:
    stored, facts = image.stored, image.facts
    item = {
        **_ref_item(stored.ref),
        "owner": stored.owner,
        "metadata": dict(stored.metadata),
        "version": stored.version,
        "etag": stored.etag,
        "ordering_key": _key_of(image),
        "size_bytes": stored.size_bytes,
        "created_at": stored.created_at and stored.created_at.isoformat(),
        "content_hash": image.content_hash,
        "reason": image.reason,
        "is_of_sweep": image.is_of_sweep and provider not in _NUMBERED,
    }
    if facts is None:
        return item
    return item | {
        "content_type": facts.content_type,
        "width": facts.width,
        "height": facts.height,
        "average_colour": facts.average_colour,
        "taken_at": facts.taken_at and facts.taken_at.isoformat(),
    }


def _key_of(image: ImageRecord) -> str:
    known = image.stored.ordering_key
    if known is None:
        return image.ordering_key
    # A file may be older than the tombstone that a sweep found in its place.
    return max(known, image.ordering_key) if image.is_of_sweep else known


def _result_item(result: Result) -> dict[str, object]:
    return {
        **_ref_item(result.image.stored.ref),
        "content_hash": result.image.content_hash,
        "embedding": result.vector and [round(number, _DECIMALS) for number in result.vector],
        "reason": result.reason,
        "may_retry": result.may_retry,
        "preview": result.preview and result.preview.name,
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
