"""Compare a bucket with the index: what no event has told, or told wrongly; and repair it."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from shared.audit_ports import AuditIndex
from shared.audits import Audit, AuditState, Fault, Progress
from shared.batching import in_batches
from shared.comparing import merged, pages
from shared.errors import InputError, NotNow, PixseekError, SettingsError
from shared.inspecting import Inspection
from shared.mending import Follow, Mender
from shared.models import PREVIEWS_SUFFIX, Change, IndexedObject, ObjectEvent, Standing, StoredObject
from shared.ports import ImageCatalogue, ObjectStore
from shared.tallying import Tally

_PAGE: Final = 1000
_GONE: Final = Standing.DELETED


def audit(
    bucket: str,
    *,
    store: ObjectStore,
    index: AuditIndex,
    repair: bool,
    allow_removals: bool = False,
    max_removed_share: float = 0.1,
    with_previews: bool = True,
    follow: Follow | None = None,
    begin_by: float = math.inf,
    report: Callable[[Progress], None] = lambda _: None,
    on_fault: Callable[[Fault], None] = lambda _: None,
) -> Audit:
    """Look at each object of a bucket, each of its rows and each preview; repair what does not fit.

    What the index lacks becomes work for whoever embeds; what it has otherwise is read by `follow`, which
    also writes the previews. What is gone is removed last, when all is known, and only if it is no more than
    a share of the index, or `allow_removals`. What one object is refused for costs no other its repair.
    Progress is kept page by page: what was killed, failed or ran out of time (`begin_by`, of
    `time.monotonic`) goes on where it stood. `on_fault` is told what a second look has confirmed.

    Raises `NotNow` while somebody else is at it, `SettingsError` and `InputError` for a bucket that cannot be
    listed, `Unavailable`.
    """
    begun = index.begin(bucket, repairs=repair)
    inspection = Inspection(
        begun.audit_id,
        bucket,
        store,
        index,
        Tally(begun.progress),
        Mender(bucket, store, index, follow, begin_by) if repair else None,
        max_removed_share=math.inf if allow_removals else max_removed_share,
        with_previews=with_previews,
        on_fault=on_fault,
    )
    with _held(index, begun.audit_id):
        for _ in inspection.steps():
            report(inspection.tally.progress())
            if time.monotonic() > begin_by:
                index.pause(begun.audit_id)
                return inspection.outcome(AuditState.PAUSED)
        state = AuditState.BRAKED if inspection.braked else AuditState.DONE
        index.end(begun.audit_id, state, reason=inspection.reason)
        return inspection.outcome(state)


@contextmanager
def _held(index: AuditIndex, audit_id: int) -> Iterator[None]:
    """Whatever happens to it, the next run need not wait for its lease to end."""
    try:
        yield
    except NotNow:  # it is no longer ours
        raise
    except (InputError, SettingsError) as exc:
        with suppress(PixseekError):
            index.end(audit_id, AuditState.FAILED, reason=str(exc))
        raise
    except BaseException:
        with suppress(PixseekError):
            index.pause(audit_id)
        raise


def differences(
    bucket: str, *, store: ObjectStore, index: ImageCatalogue, with_previews: bool = True
) -> Iterator[ObjectEvent]:
    """An event for each object of a bucket that the index does not have as it is, by the bytes of the names.

    In bounded memory: both sides are read by pages. A difference is a hint like any other event; who follows
    it asks storage again.
    """
    objects = pages(lambda after: store.list_page(bucket, after=after, limit=_PAGE))
    images = pages(lambda after: index.list_images(bucket, after=after, limit=_PAGE))
    for stored, image in merged(objects, images):
        if stored is None:
            if image is not None and image.standing is not _GONE:
                yield ObjectEvent(image.ref, Change.REMOVED, image.ordering_key, is_of_sweep=True)
        elif image is None:
            yield ObjectEvent(stored.ref, Change.WRITTEN, "", is_of_sweep=True)
        elif _differ(stored, image, with_previews=with_previews):
            yield ObjectEvent(stored.ref, Change.WRITTEN, image.ordering_key, is_of_sweep=True)


def delete_orphan_previews(bucket: str, *, store: ObjectStore, index: ImageCatalogue) -> int:
    """Delete the previews of a bucket's pictures that none of them needs; returns how many."""
    deleted = 0
    previews = pages(lambda after: store.list_page(bucket + PREVIEWS_SUFFIX, after=after, limit=_PAGE))
    for some in in_batches(previews, _PAGE):
        orphans = index.orphan_previews(bucket, [preview.ref.name for preview in some])
        if orphans:
            store.delete(orphans)
        deleted += len(orphans)
    return deleted


def _differ(stored: StoredObject, indexed: IndexedObject, *, with_previews: bool) -> bool:
    if (stored.version, stored.size_bytes) != (indexed.version, indexed.size_bytes):
        return True
    lacks_preview = with_previews and indexed.standing is Standing.INDEXED and not indexed.has_preview
    return lacks_preview or indexed.standing in {_GONE, Standing.PENDING}
