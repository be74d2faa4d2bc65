"""`pixseek forget`: delete pictures for good, and all that is known of them."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from infra.cli.connection import Project, RefusedError

if TYPE_CHECKING:
    from shared.database.forgetting import ToForget
    from shared.models import ObjectRef
    from shared.ports import ObjectStore
    from shared.wiring import AuditAdapters

_AT_ONCE: Final = 500
_SCRUBS: Final = 3
_SCRUB_EVERY_S: Final = 1.0
"""The event of a deletion may come after it is forgotten, and puts the name down once more."""
_STAYS: Final = (
    "What is not ours to delete stays: backups of the database and the bucket until they expire, older "
    "versions of objects where the bucket keeps them, rows of the guide's own table, logs that name "
    "pictures, links that were given out until they expire, copies that were made elsewhere, and objects "
    "that the index has not heard of (`pixseek audit` finds those). Events that come late put names down "
    "again until the next scheduled audit."
)

Owner = Annotated[str | None, typer.Option(help="Whose pictures, by the id of the user.")]
Image = Annotated[str | None, typer.Option(help="Or one picture, by its name in its bucket.")]
Bucket = Annotated[str, typer.Option(help="The bucket of that picture.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def forget(owner: Owner = None, image: Image = None, bucket: Bucket = "photos", yes: Yes = False) -> None:
    """Delete an owner's pictures, or one, from the bucket and from the index, for good.

    Objects, previews, vectors and names go. What stays says that something was there, and not what.

    Examples: pixseek forget --owner 6f1c...; pixseek forget --image "2024/beach.jpg" --bucket photos
    """
    from shared.models import Lane, ObjectRef
    from shared.wiring import build_adapters, build_audits

    if (owner is None) == (image is None):
        raise typer.BadParameter("give --owner or --image, one of them", param_hint="--owner")
    console, project = Console(), Project.current()
    settings = project.settings()
    store, audits = build_adapters(settings, Lane.INDEXING).store, build_audits(settings, Lane.INDEXING)

    def next_rows() -> "list[ToForget]":
        if owner is not None:
            return audits.forgetting.of_owner(owner, limit=_AT_ONCE)
        return audits.forgetting.named(ObjectRef(bucket, image or ""), limit=_AT_ONCE)

    rows = next_rows()
    _check_provider(rows, settings.storage)
    if not rows:
        console.print("nothing of that is in the index; nothing was deleted", highlight=False)
        return
    if not yes:
        typer.confirm(f"Forget {_amount(rows)} for good?", abort=True)
    forgotten = _forget_all(rows, next_rows, store, audits, settings.storage)
    console.print(f"{forgotten} forgotten: objects, previews, vectors, names", highlight=False)
    console.print(_STAYS, highlight=False)


def _forget_all(
    rows: "Sequence[ToForget]",
    next_rows: "Callable[[], list[ToForget]]",
    store: "ObjectStore",
    audits: "AuditAdapters",
    provider: str,
) -> int:
    """The objects first: were it interrupted, the index still knows what to go on with."""
    forgotten: set[ObjectRef] = set()
    while rows:
        _check_provider(rows, provider)
        store.delete([row.ref for row in rows])
        store.delete([row.preview for row in rows if row.preview is not None])
        audits.forgetting.forget(rows)
        forgotten.update(row.ref for row in rows)
        rows = next_rows()
    for _ in range(_SCRUBS):
        time.sleep(_SCRUB_EVERY_S)
        audits.forgetting.scrub()
    return len(forgotten)


def _check_provider(rows: "Sequence[ToForget]", provider: str) -> None:
    other = next((row.provider for row in rows if row.provider != provider), None)
    if other is not None:
        raise RefusedError(
            f"some of these pictures lie with {other}, and STORAGE is {provider}: run it with STORAGE={other}"
        )


def _amount(rows: "Sequence[ToForget]") -> str:
    count = f"more than {len(rows) - 1}" if len(rows) == _AT_ONCE else str(len(rows))
    return f"{count} picture{'' if len(rows) == 1 else 's'}"
