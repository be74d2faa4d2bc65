"""Compare a bucket with the index: what no event has told, or told wrongly."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from shared.models import (
    PREVIEWS_SUFFIX,
    Change,
    IndexedObject,
    ObjectEvent,
    ObjectRef,
    Standing,
    StoredObject,
)
from shared.ports import ImageCatalogue, ObjectStore

_PAGE: Final = 1000
_GONE: Final = Standing.DELETED


class _Named(Protocol):
    @property
    def ref(self) -> ObjectRef:
        """Where it is."""


_Entry = TypeVar("_Entry", bound=_Named)


def differences(
    bucket: str, *, store: ObjectStore, index: ImageCatalogue, with_previews: bool = True
) -> Iterator[ObjectEvent]:
    """An event for each object of a bucket that the index does not have as it is, by the bytes of the names.

    In bounded memory: both sides are read by pages. A difference is a hint like any other event; who follows
    it asks storage again.
    """
    objects = _pages(lambda after: store.list_page(bucket, after=after, limit=_PAGE))
    known = _pages(lambda after: index.list_images(bucket, after=after, limit=_PAGE))
    stored, indexed = next(objects, None), next(known, None)
    while stored is not None or indexed is not None:
        if indexed is None or (stored is not None and _place(stored) < _place(indexed)):
            assert stored is not None  # noqa: S101 -- one of the two is there
            yield ObjectEvent(stored.ref, Change.WRITTEN, "", is_of_sweep=True)
            stored = next(objects, None)
        elif stored is None or _place(indexed) < _place(stored):
            if indexed.standing is not _GONE:
                yield ObjectEvent(indexed.ref, Change.REMOVED, indexed.ordering_key, is_of_sweep=True)
            indexed = next(known, None)
        else:
            if _differ(stored, indexed, with_previews=with_previews):
                yield ObjectEvent(stored.ref, Change.WRITTEN, indexed.ordering_key, is_of_sweep=True)
            stored, indexed = next(objects, None), next(known, None)


def delete_orphan_previews(bucket: str, *, store: ObjectStore, index: ImageCatalogue) -> int:
    """Delete the previews of a bucket's pictures that none of them needs; returns how many."""
    deleted = 0
    after = ""
    while page := store.list_page(bucket + PREVIEWS_SUFFIX, after=after, limit=_PAGE):
        orphans = index.orphan_previews(bucket, [preview.ref.name for preview in page])
        if orphans:
            store.delete(orphans)
        deleted += len(orphans)
        after = page[-1].ref.name
    return deleted


def _pages(page_after: Callable[[str], Sequence[_Entry]]) -> Iterator[_Entry]:
    page = page_after("")
    while page:
        yield from page
        page = page_after(page[-1].ref.name)


def _place(entry: _Named) -> bytes:
    """Both sides are ordered by the bytes of the names."""
    return entry.ref.name.encode()


def _differ(stored: StoredObject, indexed: IndexedObject, *, with_previews: bool) -> bool:
    if (stored.version, stored.size_bytes) != (indexed.version, indexed.size_bytes):
        return True
    lacks_preview = with_previews and indexed.standing is Standing.INDEXED and not indexed.has_preview
    return lacks_preview or indexed.standing in {_GONE, Standing.PENDING}
