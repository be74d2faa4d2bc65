"""Make the index follow the bucket, one event at a time."""

import hashlib
import math
from dataclasses import dataclass

from shared import images
from shared.errors import InputError, ObjectGone, OverBudget, SettingsError, Unavailable
from shared.images import Picture
from shared.models import ImageRecord, ObjectEvent, Standing
from shared.ports import Embedder, ImageIndex, ObjectStore


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event's object."""

    standing: Standing
    reason: str | None = None
    """Why it failed."""
    embedded: bool = False
    """Whether a model was called for it."""


def apply(
    event: ObjectEvent,
    *,
    store: ObjectStore,
    embedder: Embedder,
    index: ImageIndex,
    deadline: float = math.inf,
) -> Outcome:
    """Make the index reflect one event. Safe to repeat: events arrive at least once.

    Storage is asked what is there now; the event says only where to look. An object that can never be
    embedded is kept on record with the reason. Raises `Unavailable` for what is worth another try, also when
    the deadline (`time.monotonic`) comes first, and `SettingsError`.
    """
    stored = store.head(event.ref)
    if stored is None:
        return Outcome(index.remove(event))
    content_hash = None
    try:
        images.check_size(stored.size_bytes)
        data = store.read(event.ref)
        content_hash = hashlib.sha256(data).hexdigest()
        picture = images.decode(data)
        image = ImageRecord(stored, content_hash, picture.content_type, picture.width, picture.height)
        return _index(image, picture, embedder=embedder, index=index, deadline=deadline)
    except ObjectGone as exc:
        if store.head(event.ref) is not None:
            # Changed meanwhile; or the store refuses us: it may answer both alike.
            raise Unavailable("the bucket lists the object but does not hand it out") from exc
        return Outcome(index.remove(event))
    except InputError as exc:
        reason = _printable(str(exc))
        return Outcome(index.fail(stored, content_hash=content_hash, reason=reason), reason=reason)


def _index(
    image: ImageRecord, picture: Picture, *, embedder: Embedder, index: ImageIndex, deadline: float
) -> Outcome:
    model = embedder.model.name
    standing = index.record(image, model=model, deadline=deadline)
    if standing is Standing.WAITING:
        # Should that other one die, this event has to come again.
        raise Unavailable("another worker is embedding the same bytes")
    if standing is not Standing.PENDING:
        return Outcome(standing)
    try:
        [vector] = embedder.embed_pictures([picture], deadline=deadline)
    except InputError as exc:
        reason = _printable(str(exc))
        standing = index.give_back(image, reason, may_retry=False, model=model)
        return Outcome(standing, reason=reason, embedded=True)
    except (OverBudget, SettingsError):
        index.release(image, model=model)
        raise
    except Unavailable as exc:
        # The next try need not wait for the lease to end.
        index.give_back(image, _printable(str(exc)), may_retry=True, model=model)
        raise
    return Outcome(index.store(image, vector, model=model), embedded=True)


def _printable(reason: str) -> str:
    """A decoder may quote the broken bytes; the record takes text."""
    return "".join(character for character in reason if character.isprintable())[:500]
