"""A bucket's listing beside the index's rows: two sequences in one order, merged."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeVar

from shared.audits import AuditedImage, Fault, FaultKind
from shared.models import ObjectRef, Standing, StoredObject


class Named(Protocol):
    """What lies under a name of a bucket."""

    @property
    def ref(self) -> ObjectRef:
        """Where it is."""


_Entry = TypeVar("_Entry", bound=Named)
_Image = TypeVar("_Image", bound=Named)

Pair: TypeAlias = tuple[StoredObject | None, _Image | None]
"""What a bucket and what the index has under one name; one of the two at least."""


def pages(page_after: Callable[[str], Sequence[_Entry]], *, after: str = "") -> Iterator[_Entry]:
    """All that comes after a name, page by page."""
    page = page_after(after)
    while page:
        yield from page
        page = page_after(page[-1].ref.name)


def merged(objects: Iterator[StoredObject], images: Iterator[_Image]) -> Iterator[Pair[_Image]]:
    """What both have under each name. Both come by the bytes of the names, and so do the pairs."""
    stored, image = next(objects, None), next(images, None)
    while stored is not None or image is not None:
        if image is None or (stored is not None and _place(stored) < _place(image)):
            yield stored, None
            stored = next(objects, None)
        elif stored is None or _place(image) < _place(stored):
            yield None, image
            image = next(images, None)
        else:
            yield stored, image
            stored, image = next(objects, None), next(images, None)


def name_of(pair: Pair[_Image]) -> str:
    """The name that a pair is of."""
    return next(entry.ref.name for entry in pair if entry is not None)


def fault_of(
    stored: StoredObject | None, image: AuditedImage | None, *, with_previews: bool = True
) -> Fault | None:
    """What is wrong with one name, if anything is: the first thing, as its repair looks at the others too."""
    kind = _kind(stored, image, with_previews=with_previews)
    known = stored or image
    return None if kind is None or known is None else Fault(kind, known.ref, stored, image)


def _kind(
    stored: StoredObject | None, image: AuditedImage | None, *, with_previews: bool
) -> FaultKind | None:
    if image is None or not image.is_live:
        return None if stored is None else FaultKind.MISSING
    if stored is None:
        return FaultKind.ORPHANED
    # One that failed without a version may not be read: what it is now says nothing new.
    is_unread = image.standing is Standing.FAILED and image.version is None
    if not is_unread and (stored.version, stored.size_bytes) != (image.version, image.size_bytes):
        return FaultKind.STALE
    return _kind_of_row(image, with_previews=with_previews)


def _kind_of_row(image: AuditedImage, *, with_previews: bool) -> FaultKind | None:
    """What is wrong with a row that has the object as it is."""
    is_indexed = image.standing is Standing.INDEXED
    if image.is_given_up:
        return FaultKind.FAILED
    if image.is_stuck:
        return FaultKind.STUCK_LEASE
    if is_indexed and not image.has_vector:
        return FaultKind.WRONG_MODEL
    if is_indexed and with_previews and not image.has_preview:
        return FaultKind.LOST_PREVIEW
    return None


def _place(entry: Named) -> bytes:
    return entry.ref.name.encode()
