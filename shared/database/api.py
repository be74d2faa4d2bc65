"""The adapter's part for indexing: the record of all pictures."""

import math
import time
from collections.abc import Callable, Sequence

from shared.database.answers import (
    FAILED,
    GRANTED,
    INDEXED,
    NAMES,
    NOTHING,
    RECORDED,
    REMOVED,
    STANDINGS,
    STATES,
    STORED,
    permits_of,
    recorded,
    removed,
    stored_object,
)
from shared.database.arguments import by_bucket, event_item, image_item, ref_item, result_item
from shared.database.search import SearchDatabase
from shared.errors import Unavailable
from shared.models import (
    Failure,
    Granted,
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
    preview_ref,
)

# A worker that dies keeps its picture from others for so long; a slower one embeds it for nothing.
_LEASE_S = 15
# A call that hangs until the deadline keeps the vectors of its batch from being stored before.
_STORING_S = 5
_LONGEST_PERMIT_WAIT_S = 600.0
# How long a vector is held out to a database that does not answer.
_LEAST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
_KEPT = {Standing.INDEXED, Standing.BLOCKED}


class Database(SearchDatabase):
    """An `ImageIndex` too, and an `ImageCatalogue`."""

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        anon_key: str,
        timeout_s: float,
        lane: Lane,
        provider: Provider = "supabase",
        costs: Callable[[str], bool] = lambda _: False,
        keep_permits: Callable[[Granted], None] = lambda _: None,
        keeps_asked_texts: bool = True,
    ) -> None:
        """`provider` is where the pictures lie. `keep_permits` gets the permits that come with pictures
        recorded for a model that costs.
        """
        super().__init__(
            url,
            service_key=service_key,
            anon_key=anon_key,
            timeout_s=timeout_s,
            lane=lane,
            costs=costs,
            keeps_asked_texts=keeps_asked_texts,
        )
        self._provider = provider
        self._keep_permits = keep_permits

    def stored_objects(self, refs: Sequence[ObjectRef]) -> list[StoredObject | None]:
        """What Supabase Storage has under these names now, in order. Raises `Unavailable`."""
        found = {
            ObjectRef(bucket, row.name): row
            for bucket, wanted in by_bucket(refs).items()
            for row in self.write(
                "stored_objects_v1", {"bucket_name": bucket, "object_names": wanted}, STORED
            )
        }
        return [stored_object(ref, found[ref]) if ref in found else None for ref in refs]

    def list_objects(self, bucket: str, after: str, limit: int) -> list[StoredObject]:
        """A page of what Supabase Storage has in a bucket, by the bytes of the names."""
        arguments = {"bucket_name": bucket, "after": after, "page_size": limit}
        rows = self.write("list_objects_v1", arguments, STORED)
        return [stored_object(ObjectRef(bucket, row.name), row) for row in rows]

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
        return self.write("take_permits_v1", arguments, GRANTED)

    def record(
        self, images: Sequence[ImageRecord], *, model: str, deadline: float = math.inf
    ) -> list[Recorded]:
        """Put objects on record, unless something newer is known; reuse vectors of the same bytes."""
        arguments = {
            "images": [image_item(image, self._provider) for image in images],
            "model_name": model,
            "lease_s": _LEASE_S,
            "provider": self._provider,
        }
        if self.costs(model):
            left_s = min(max(0.0, deadline - time.monotonic()), _LONGEST_PERMIT_WAIT_S)
            # Nobody pays for a picture again while its call may still be answered, or its vector be stored.
            lease_s = max(_LEASE_S, math.ceil(left_s + _STORING_S))
            arguments |= {"permit_wait_s": left_s, "lease_s": lease_s}
        rows = self.write("record_images_v3", arguments, RECORDED)
        if self.costs(model):
            self._keep_permits(permits_of(rows))
        return [recorded(row) for row in rows]

    def store(self, results: Sequence[Result], *, model: str, deadline: float = math.inf) -> list[Standing]:
        """Make recorded pictures searchable, unless they have changed since, or say why they are not.

        Vectors are paid for: until the deadline it is tried again.
        """
        import stamina  # 12 ms, and no search needs it

        arguments = {"vectors": [result_item(result) for result in results], "model_name": model}
        left_s = min(max(_LEAST_RETRY_S, deadline - time.monotonic()), _LONGEST_RETRY_S)
        for attempt in stamina.retry_context(on=Unavailable, attempts=None, timeout=left_s, wait_max=2.0):
            with attempt:
                rows = self.write("store_vectors_v2", arguments, STANDINGS)
        return [row.standing for row in rows]

    def release(self, images: Sequence[ImageRecord], *, model: str) -> None:
        """Leave recorded pictures to whoever comes next: what hinders us is not their fault."""
        items = [{**ref_item(image.stored.ref), "content_hash": image.content_hash} for image in images]
        self.write("release_images_v1", {"images": items, "model_name": model}, NOTHING)

    def fail_unread(self, events: Sequence[ObjectEvent], reason: str) -> None:
        """Keep objects that we may not read on record as failed; what can be searched stays so."""
        states = {
            ObjectRef(bucket, row.name): row.state
            for bucket, names in by_bucket(event.ref for event in events).items()
            for row in self.write("image_states_v1", {"bucket_name": bucket, "object_names": names}, STATES)
        }
        items = [
            {**event_item(event), "reason": reason, "is_of_sweep": event.is_of_sweep}
            for event in events
            if states.get(event.ref) not in _KEPT
        ]
        if items:
            self.write("record_images_v3", {"images": items, "provider": self._provider}, RECORDED)

    def remove(self, events: Sequence[ObjectEvent]) -> list[Recorded]:
        """Take objects out of the index; events older than their removal change nothing any more."""
        items = [event_item(event) for event in events]
        rows = self.write("remove_images_v2", {"objects": items, "provider": self._provider}, REMOVED)
        return [removed(row) for row in rows]

    def list_images(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[IndexedObject]:
        """A page of what the index has of a bucket, by the bytes of the names, tombstones too."""
        arguments = {"bucket_name": bucket, "after": after, "page_size": limit}
        rows = self.write("list_images_v1", arguments, INDEXED)
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
        found = self.write("orphan_previews_v1", arguments, NAMES)
        return [preview_ref(bucket, name) for name in found]

    def failures(
        self, limit: int, *, bucket: str | None = None, reason_part: str | None = None
    ) -> list[Failure]:
        """What failed, the latest first; of one bucket, or for a reason that holds some words."""
        arguments = {"match_count": limit, "bucket_name": bucket, "reason_part": reason_part}
        rows = self.write("failed_images_v2", arguments, FAILED)
        return [
            Failure(
                row.image_id, ObjectRef(row.bucket, row.image), row.reason, row.ordering_key, row.updated_at
            )
            for row in rows
        ]

    def requeue(self, failures: Sequence[Failure], *, model: str) -> None:
        """Give pictures that failed under a model all their tries again."""
        arguments = {"model_name": model, "image_ids": [failure.image_id for failure in failures]}
        self.write("requeue_images_v1", arguments, NOTHING)
