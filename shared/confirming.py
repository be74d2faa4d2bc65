"""A second look at faults: what came, went or was repaired while pages were read is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from shared.audit_ports import AuditIndex
from shared.audits import Fault, FaultKind, PreviewFault
from shared.batching import AT_ONCE, each, in_batches
from shared.comparing import fault_of, pages
from shared.errors import PixseekError
from shared.models import ObjectRef, StoredObject
from shared.ports import ObjectStore

_OF_STORAGE: Final = {FaultKind.MISSING, FaultKind.ORPHANED, FaultKind.STALE}


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Faults that are still there, as both sides have them now."""

    faults: Sequence[Fault]
    unread: Sequence[Fault]
    """Those of which the bucket does not tell more than its list."""
    refused: Sequence[PixseekError]
    """Why not."""


def confirmed(
    faults: Sequence[Fault],
    *,
    store: ObjectStore,
    index: AuditIndex,
    bucket: str,
    after: str,
    with_previews: bool,
) -> Confirmed:
    """Ask storage once more, then the index: events are followed meanwhile.

    The faults are of one page of names, which begins after `after`, in their order. A head also tells more
    than a list.
    """
    if not faults:
        return Confirmed([], [], [])
    heads = _heads([fault.ref for fault in faults if fault.kind in _OF_STORAGE], store)
    last = faults[-1].ref.name
    rows = takewhile(
        lambda image: image.ref.name <= last,
        pages(lambda name: index.images(bucket, after=name), after=after),
    )
    images = {image.ref.name: image for image in rows}
    still, unread = [], []
    for fault in faults:
        head = heads.get(fault.ref, fault.stored)
        if isinstance(head, PixseekError):
            unread.append(fault)
            continue
        found = fault_of(head, images.get(fault.ref.name), with_previews=with_previews)
        if found is not None:
            still.append(found)
    return Confirmed(still, unread, _refused(heads))


def confirmed_previews(found: Sequence[PreviewFault], *, store: ObjectStore) -> Confirmed:
    """Ask storage once more for those that are lost: one may have been written since the list."""
    heads = _heads([fault.preview for fault in found if fault.image is not None], store)
    faults = [Fault(fault.kind, fault.preview) for fault in found if fault.image is None]
    unread = []
    for fault in found:
        head = heads.get(fault.preview)
        if fault.image is not None and head is None:
            faults.append(Fault(fault.kind, fault.image))
        elif fault.image is not None and isinstance(head, PixseekError):
            unread.append(Fault(fault.kind, fault.image))
    return Confirmed(faults, unread, _refused(heads))


def _heads(
    refs: Sequence[ObjectRef], store: ObjectStore
) -> dict[ObjectRef, StoredObject | PixseekError | None]:
    return {ref: head for some in in_batches(refs, AT_ONCE) for ref, head in each(some, store.heads)}


def _refused(heads: Mapping[ObjectRef, StoredObject | PixseekError | None]) -> list[PixseekError]:
    return [head for head in heads.values() if isinstance(head, PixseekError)]
