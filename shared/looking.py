"""Objects of a bucket to what the index and a model need of them: read, hashed, decoded, looked at."""

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from shared import images
from shared.errors import InputError, ObjectGone, PictureError, PixseekError, Unavailable
from shared.models import ImageRecord, ObjectEvent
from shared.ports import Embedder, ObjectStore, View

_READS_AT_ONCE: Final = 8
_LARGE_BYTES: Final = 4 * 1024 * 1024
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


@dataclass(frozen=True, slots=True)
class Look:
    """What was found under an event's name."""

    event: ObjectEvent
    image: ImageRecord | None = None
    """None when nothing could be read."""
    view: View | None = None
    """What the model looks at; None for what is no picture."""
    preview: bytes | None = None
    error: PixseekError | None = None
    """Why nothing could be read; `ObjectGone` among them."""


class _BytesInHand:
    """How many bytes of objects a process holds at once. Threads share it."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._freed = threading.Condition()

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Waits for others to let go of theirs; one that is alone may hold all."""
        with self._freed:
            self._freed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._freed:
                self._free += count
                self._freed.notify_all()


@cache
def _threads() -> ThreadPoolExecutor:
    """Of the process, made after a server has forked."""
    _give_back_large_blocks()
    return ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="look")


def _give_back_large_blocks() -> None:
    """Of memory, to the system. glibc learns to keep freed blocks of up to 32 MB, in an arena of each thread:
    after some large pictures that is twice what they need. Source: mallopt(3), `M_MMAP_THRESHOLD`.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)


_in_hand = _BytesInHand(images.MAX_BYTES)


def look(
    events: Sequence[ObjectEvent],
    *,
    store: ObjectStore,
    embedder: Embedder,
    with_previews: bool,
    begin_by: float,
) -> Iterator[Look]:
    """A look at each event's object, as they get ready. Several are read at once, and one is decoded.

    What cannot be begun before `begin_by` (`time.monotonic`) is not begun.
    """

    def one(event: ObjectEvent) -> Look:
        if time.monotonic() > begin_by:
            return Look(event, error=Unavailable("no time is left to begin with it"))
        try:
            return _look(event, store, embedder, with_previews)
        except (ObjectGone, PixseekError) as exc:
            return Look(event, error=exc)

    looks: list[Future[Look]] = [_threads().submit(one, event) for event in events]
    for done in as_completed(looks):
        yield done.result()


def _look(event: ObjectEvent, store: ObjectStore, embedder: Embedder, with_previews: bool) -> Look:
    with store.open(event.ref) as opened:
        image = ImageRecord(opened.stored, event.ordering_key, is_of_sweep=event.is_of_sweep)
        try:
            images.check_size(opened.stored.size_bytes)
        except PictureError as exc:
            return Look(event, _failed(image, None, exc))
        with _in_hand.held(opened.stored.size_bytes):
            return _decoded(event, image, opened.read(), embedder, with_previews)


def _decoded(
    event: ObjectEvent, image: ImageRecord, data: bytes, embedder: Embedder, with_previews: bool
) -> Look:
    content_hash = hashlib.sha256(data).hexdigest()
    try:
        with images.one_at_a_time:
            picture = images.decode(data)
            view, facts = embedder.view(picture), picture.facts
            preview = picture.preview() if with_previews else None
            del picture  # the next one may need its memory
    except InputError as exc:
        return Look(event, _failed(image, content_hash, exc))
    recorded = ImageRecord(
        image.stored, image.ordering_key, content_hash, facts, is_of_sweep=image.is_of_sweep
    )
    return Look(event, recorded, view, preview)


def _failed(image: ImageRecord, content_hash: str | None, why: InputError) -> ImageRecord:
    return ImageRecord(
        image.stored,
        image.ordering_key,
        content_hash,
        reason=printable(str(why)),
        is_of_sweep=image.is_of_sweep,
    )


def printable(reason: str) -> str:
    """A decoder may quote the broken bytes; the record takes text."""
    return "".join(character for character in reason if character.isprintable())[:500]
