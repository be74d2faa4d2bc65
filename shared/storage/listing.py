"""The names of a bucket in order, as far as obstore can tell them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # obstore is imported when it is used
    from obstore import ObjectMeta
    from obstore.store import GCSStore, S3Store

_AT_ONCE: Final = 1000
_SLASH: Final = "/"
_AFTER_SLASH: Final = "0"


def objects_after(store: "S3Store | GCSStore", after: str) -> "Iterator[ObjectMeta]":
    """What comes after a name, by the names' UTF-8 bytes, which is the order of Python's text as well.

    obstore cuts a slash off either end. Names that begin with one are passed over, because nothing tells them
    from others any more but their place between "." and "0".
    """
    if after < _AFTER_SLASH:
        for meta in _ascending(store, after):
            if meta["path"] > _SLASH:
                break
            yield meta
        first = _head(store, _AFTER_SLASH)
        if first is not None:
            yield first
        after = _AFTER_SLASH
    yield from _ascending(store, after)


def _ascending(store: "S3Store | GCSStore", after: str) -> "Iterator[ObjectMeta]":
    """An empty object may be a folder's mark, whose name ends with a slash: nothing is there without it."""
    import obstore

    for objects in obstore.list(store, offset=after or None, chunk_size=_AT_ONCE):
        for meta in objects:
            if meta["path"] > after and (meta["size"] > 0 or _head(store, meta["path"]) is not None):
                after = meta["path"]
                yield meta


def _head(store: "S3Store | GCSStore", name: str) -> "ObjectMeta | None":
    import obstore

    try:
        return obstore.head(store, name)
    except FileNotFoundError:
        return None
