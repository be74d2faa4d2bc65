"""What a recorded picture still needs: its vector and its preview."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

from shared.errors import InputError, OverBudget, PixseekError, SettingsError, Unavailable
from shared.looking import Look, printable
from shared.models import EmbeddingModel, ImageRecord, ObjectRef, Recorded, Result, Standing, Vector
from shared.ports import Embedder, ImageIndex, ObjectStore

PREVIEW_TYPE: Final = "image/webp"
_WRITES_AT_ONCE: Final = 8

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Work:
    """A picture on its way, and what has become of it so far."""

    look: Look
    image: ImageRecord
    recorded: Recorded
    standing: Standing
    vector: Vector | PixseekError | None = None
    preview: ObjectRef | None = None
    """Where it was written."""
    error: PixseekError | None = None
    preview_error: PixseekError | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is ours to embed."""
        return self.recorded.standing is Standing.PENDING and self.recorded.is_permitted


def finish(
    works: Sequence[Work], *, store: ObjectStore, embedder: Embedder, index: ImageIndex, deadline: float
) -> None:
    """Embed what is ours to embed, write the missing previews meanwhile, and store both."""
    ours = [work for work in works if work.is_ours]
    meanwhile = [_threads().submit(_write_preview, work, store) for work in works]
    meanwhile.append(_threads().submit(_delete_old_previews, works, store))
    try:
        embed(ours, embedder, deadline)
    finally:
        wait(meanwhile)
    for written in meanwhile:
        written.result()
    keep(works, index=index, model=embedder.model.name, deadline=deadline)


def embed(works: Sequence[Work], embedder: Embedder, deadline: float) -> None:
    """Give works that are ours their vectors, or the errors that they have met."""
    views = [work.look.view for work in works if work.look.view is not None]
    if views:
        for work, vector in zip(works, embedder.embed_views(views, deadline=deadline), strict=True):
            work.vector = _checked(vector, embedder.model)


def _checked(vector: Vector | PixseekError, model: EmbeddingModel) -> Vector | PixseekError:
    if isinstance(vector, PixseekError) or len(vector) == model.dimensions:
        return vector
    return SettingsError(
        f"the embedder answers vectors of {len(vector)} numbers, and {model.name} has {model.dimensions}: "
        "another model answers there"
    )


def keep(works: Sequence[Work], *, index: ImageIndex, model: str, deadline: float) -> None:
    """Store what works have, leave to others what could not be begun, and say of each where it stands."""
    ours = [work for work in works if work.is_ours]
    unbegun = [work for work in ours if isinstance(work.vector, OverBudget | SettingsError)]
    for work, released in answers(unbegun, lambda some: _release(some, index, model)):
        work.error = released if isinstance(released, PixseekError) else work.error
    results = [(work, result) for work in works if (result := _result(work)) is not None]

    def store(some: Sequence[tuple[Work, Result]]) -> list[Standing]:
        return index.store([result for _, result in some], model=model, deadline=deadline)

    for (work, _), standing in answers(results, store):
        if isinstance(standing, PixseekError):
            work.error = standing
        elif work.is_ours:
            work.standing = standing
    _settle(works)


@cache
def _threads() -> ThreadPoolExecutor:
    """Of the process, made after a server has forked."""
    return ThreadPoolExecutor(_WRITES_AT_ONCE, thread_name_prefix="preview")


def delete_previews(refs: Sequence[ObjectRef], store: ObjectStore) -> PixseekError | None:
    """Delete what nobody needs any more, or say why not: a sweep does it then."""
    try:
        if refs:
            store.delete(refs)
    except PixseekError as exc:
        return exc
    return None


def answers(
    items: Sequence[_Item], call: Callable[[Sequence[_Item]], Sequence[_Answer]]
) -> list[tuple[_Item, _Answer | PixseekError]]:
    """Each item with its answer, or with the error that kept it from one.

    A call that is refused as a whole is made again for each: one wrong item does not cost the others theirs.
    """
    if not items:
        return []
    try:
        return list(zip(items, call(items), strict=True))
    except InputError as exc:
        if len(items) == 1:
            return [(items[0], exc)]
        return [answer for item in items for answer in answers([item], call)]
    except PixseekError as exc:
        return [(item, exc) for item in items]


def _write_preview(work: Work, store: ObjectStore) -> None:
    where, preview = work.recorded.preview, work.look.preview
    if where is None or preview is None or work.recorded.has_preview:
        return
    try:
        store.put(where, preview, content_type=PREVIEW_TYPE)
        work.preview = where
    except PixseekError as exc:
        work.preview_error = exc


def _delete_old_previews(works: Sequence[Work], store: ObjectStore) -> None:
    concerned = [work for work in works if work.recorded.old_preview]
    error = delete_previews(
        [work.recorded.old_preview for work in concerned if work.recorded.old_preview], store
    )
    for work in concerned:
        work.preview_error = work.preview_error or error


def _release(works: Sequence[Work], index: ImageIndex, model: str) -> list[None]:
    index.release([work.image for work in works], model=model)
    return [None for _ in works]


def _result(work: Work) -> Result | None:
    """What there is to store of it."""
    vector = work.vector
    if isinstance(vector, PixseekError):
        may_retry = not isinstance(vector, InputError)
        if isinstance(vector, OverBudget | SettingsError):
            return None if work.preview is None else Result(work.image, preview=work.preview)
        return Result(work.image, None, printable(str(vector)), may_retry, work.preview)
    if vector is None and work.preview is None:
        return None
    return Result(work.image, vector, preview=work.preview)


def _settle(works: Sequence[Work]) -> None:
    """Say of each what keeps it from being done with."""
    stored = {work.image.content_hash for work in works if work.is_ours and work.standing is Standing.INDEXED}
    for work in works:
        if work.error is not None:
            continue
        if isinstance(work.vector, PixseekError) and not isinstance(work.vector, InputError):
            work.error = work.vector
        elif work.standing is Standing.PENDING and not work.recorded.is_permitted:
            work.error = OverBudget(work.recorded.permits_at)
        elif work.standing is Standing.WAITING and work.image.content_hash in stored:
            work.standing = Standing.INDEXED
        elif work.standing is Standing.WAITING:
            # Should that other one die, this event has to come again.
            work.error = Unavailable("another worker is embedding the same bytes")
        elif isinstance(work.preview_error, Unavailable):
            work.error = work.preview_error
