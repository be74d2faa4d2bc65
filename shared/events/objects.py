"""The objects that events name: which names can be, which objects are followed."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator

from shared.models import PREVIEWS_SUFFIX, Change, ObjectEvent, ObjectRef

_MAX_NAME_BYTES = 1024  # of S3, of Google and of the index


def check_name(name: str) -> str:
    """A name that a store can have given. Raises `ValueError`."""
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError("not valid Unicode: half of a surrogate pair") from None
    if not name:
        raise ValueError("a name cannot be empty")
    if size_bytes > _MAX_NAME_BYTES:
        raise ValueError(f"{size_bytes} bytes are too many for a name, at most {_MAX_NAME_BYTES}")
    if "\0" in name:
        raise ValueError("a name cannot hold a NUL character")
    return name


Name = Annotated[str, AfterValidator(check_name)]
"""Of a bucket or an object, as stored."""


def object_events(ref: ObjectRef, change: Change, ordering_key: str) -> tuple[ObjectEvent, ...]:
    """One event; none for a folder, which consoles keep as an empty object whose name ends with a slash."""
    return () if ref.name.endswith("/") else (ObjectEvent(ref, change, ordering_key),)


def is_followed(ref: ObjectRef, buckets: Collection[str]) -> bool:
    """Whether the index follows an object: of one of `buckets`, or any if none are named; no preview."""
    return not ref.bucket.endswith(PREVIEWS_SUFFIX) and (not buckets or ref.bucket in buckets)
