"""The adapter's part for audits: the index as an audit sees and mends it, and where its progress is kept."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from shared.audits import AuditedImage, AuditState, BegunAudit, PreviewFault, Progress, Removal, RemovalCount
from shared.database.answers import NOTHING, SHOWN
from shared.database.api import Database
from shared.database.audit_rows import (
    AUDITED,
    BEGUN,
    BUCKETS,
    COUNT,
    ENDED,
    PREVIEWS,
    REGISTERED,
    REMOVAL_COUNTS,
    REMOVALS,
    object_item,
    preview,
    progress_item,
)
from shared.errors import UnknownImage
from shared.models import Change, ObjectEvent, ObjectRef, Provider, Recorded, StoredObject, preview_ref

_LATEST = 1000


class Audits:
    """An `AuditIndex` over one Supabase project."""

    def __init__(self, database: Database, *, provider: Provider) -> None:
        """`provider` is where the pictures lie."""
        self._database = database
        self._provider = provider
        self.remove = database.remove

    def begin(self, bucket: str, *, repairs: bool) -> BegunAudit:
        """Go on with the bucket's audit, or begin one."""
        row = self._database.write("begin_audit_v1", {"bucket_name": bucket, "repairs": repairs}, BEGUN)
        progress = row.model_dump(exclude={"audit_id"})
        return BegunAudit(row.audit_id, Progress(**progress))

    def keep(self, audit_id: int, progress: Progress, *, removals: Sequence[Removal] = ()) -> None:
        """Remember how far it has come, and what more is gone."""
        arguments = {
            "audit_id": audit_id,
            "progress": progress_item(progress),
            "removals": [asdict(removal) for removal in removals],
        }
        self._database.write("keep_audit_v1", arguments, NOTHING)

    def pause(self, audit_id: int) -> None:
        """Let anybody go on with it."""
        self._database.write("pause_audit_v1", {"audit_id": audit_id}, NOTHING)

    def end(self, audit_id: int, state: AuditState, *, reason: str | None = None) -> None:
        """It is over."""
        arguments = {"audit_id": audit_id, "state": state, "reason": reason}
        self._database.write("end_audit_v1", arguments, NOTHING)

    def images(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[AuditedImage]:
        """A page of what the index has of a bucket, by the bytes of the names, tombstones too."""
        arguments = {"bucket_name": bucket, "after": after, "page_size": limit}
        return [
            AuditedImage(
                ObjectRef(bucket, row.name),
                row.state,
                row.version,
                row.size_bytes,
                row.ordering_key,
                row.has_preview,
                row.has_vector,
                row.is_given_up,
                row.is_stuck,
            )
            for row in self._database.write("audit_images_v1", arguments, AUDITED)
        ]

    def register(self, objects: Sequence[tuple[StoredObject, str]]) -> list[Recorded]:
        """Make objects work for whoever embeds."""
        arguments = {
            "objects": [object_item(stored, ordering_key) for stored, ordering_key in objects],
            "provider": self._provider,
        }
        return [
            Recorded(row.standing, old_preview=preview(row.bucket, row.old_preview))
            for row in self._database.write("register_images_v1", arguments, REGISTERED)
        ]

    def queue(self, bucket: str, names: Sequence[str]) -> int:
        """Make images work again, with all tries; how many."""
        return self._count("queue_images_v1", bucket, names)

    def removals(self, audit_id: int, *, after: str = "", limit: int = 500) -> list[Removal]:
        """A page of what is gone."""
        arguments = {"audit_id": audit_id, "after": after, "page_size": limit}
        rows = self._database.write("audit_removals_v1", arguments, REMOVALS)
        return [Removal(row.name, row.ordering_key) for row in rows]

    def count_removals(self, audit_id: int) -> RemovalCount:
        """How many are gone, of how many."""
        [row] = self._database.write("count_audit_removals_v1", {"audit_id": audit_id}, REMOVAL_COUNTS)
        return RemovalCount(row.removals, row.live)

    def preview_faults(
        self, bucket: str, names: Sequence[str], *, after: str, until: str | None
    ) -> list[PreviewFault]:
        """What is wrong with one page of a bucket's previews."""
        arguments = {"bucket_name": bucket, "preview_names": list(names), "after": after, "until": until}
        return [
            PreviewFault(
                row.fault,
                preview_ref(bucket, row.preview),
                None if row.image is None else ObjectRef(bucket, row.image),
            )
            for row in self._database.write("check_previews_v1", arguments, PREVIEWS)
        ]

    def lose_previews(self, bucket: str, names: Sequence[str]) -> int:
        """Put on record that images have no preview; how many."""
        return self._count("lose_previews_v1", bucket, names)

    def sweep_events(self, refs: Sequence[ObjectRef]) -> list[ObjectEvent]:
        """An event for each image that is still there."""
        keys = [(ref, self._ordering_key(ref)) for ref in refs]
        return [
            ObjectEvent(ref, Change.WRITTEN, key, is_of_sweep=True) for ref, key in keys if key is not None
        ]

    def longest_unaudited(self, buckets: Sequence[str]) -> list[str]:
        """Some buckets as they are due: first those whose last audit ended longest ago, or never."""
        ended: dict[str, datetime] = {}
        for row in self._database.write("latest_audits_v1", {"match_count": _LATEST}, ENDED):
            if row.ended_at is not None:
                ended[row.bucket] = max(row.ended_at, ended.get(row.bucket, row.ended_at))
        never = datetime.min.replace(tzinfo=UTC)
        return sorted(buckets, key=lambda bucket: (ended.get(bucket, never), bucket))

    def buckets(self) -> list[str]:
        """Those whose pictures lie with this provider."""
        rows = self._database.write("list_buckets_v1", {}, BUCKETS)
        return [row.name for row in rows if row.provider == self._provider]

    def _ordering_key(self, ref: ObjectRef) -> str | None:
        arguments = {"bucket_name": ref.bucket, "image_name": ref.name}
        try:
            return self._database.write("image_v1", arguments, SHOWN).ordering_key
        except UnknownImage:
            return None

    def _count(self, function: str, bucket: str, names: Sequence[str]) -> int:
        arguments = {"bucket_name": bucket, "object_names": list(names)}
        return self._database.write(function, arguments, COUNT)
