"""`pixseek failures`: what cannot be searched and why, and another try for it."""

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from infra.cli.connection import Project, answering

if TYPE_CHECKING:
    from shared.indexing import Outcome
    from shared.models import Failure
    from shared.wiring import Adapters

_MOST = 1000
_Bucket = Annotated[str | None, typer.Option(help="Only those of this bucket.")]
_Reason = Annotated[str | None, typer.Option(help="Only those whose reason holds these words.")]
_Limit = Annotated[int, typer.Option(min=1, max=_MOST, help="At most so many, the latest first.")]
_Retry = Annotated[bool, typer.Option("--retry", help="Try them again, here and now.")]
_Json = Annotated[bool, typer.Option("--json", help="A line of JSON each.")]


def failures(
    bucket: _Bucket = None,
    reason: _Reason = None,
    limit: _Limit = _MOST,
    retry: _Retry = False,
    as_json: _Json = False,
) -> None:
    """Show the pictures that cannot be searched, each with its reason; or try them again.

    A retry does in this process what the function does: it reads the object, and embeds it. Of a project it
    needs the function's settings in the environment, of a stack with a hosted model the key to that.

    Examples: pixseek failures --reason "too large"; pixseek failures --reason Roboflow --retry
    """
    from shared.models import Lane
    from shared.wiring import build_adapters

    console = Console()
    project = Project.current()
    adapters = build_adapters(project.settings(), Lane.INDEXING)
    with answering(project.connection.supabase_url):
        found = adapters.database.failures(limit, bucket=bucket, reason_part=reason)
    if retry:
        _retry(console, adapters, found, with_previews=project.settings().previews)
    elif as_json:
        _print_json(found)
    else:
        _print(console, found)


def _print(console: Console, found: Sequence["Failure"]) -> None:
    if not found:
        console.print("nothing failed")
        return
    table = Table("picture", "why it cannot be searched", "since", box=None, header_style="dim")
    for failure in found:
        since = f"{failure.failed_at.astimezone():%Y-%m-%d %H:%M}"
        table.add_row(escape(f"{failure.ref.bucket}/{failure.ref.name}"), escape(failure.reason), since)
    console.print(table)
    console.print(
        f"{len(found)} in all. What is mended, or was no fault of theirs: pixseek failures --retry "
        "--reason '<words of the reason>'",
        highlight=False,
    )


def _print_json(found: Sequence["Failure"]) -> None:
    for failure in found:
        line = {
            "bucket": failure.ref.bucket,
            "image": failure.ref.name,
            "reason": failure.reason,
            "failed_at": failure.failed_at.isoformat(),
        }
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def _retry(
    console: Console, adapters: "Adapters", found: Sequence["Failure"], *, with_previews: bool
) -> None:
    outcomes = list(
        track(
            _tried(adapters, found, with_previews=with_previews),
            description="tried again",
            total=len(found),
            console=console,
        )
    )
    became = Counter(_what_became(outcome) for _, outcome in outcomes)
    console.print(", ".join(f"{count} {what}" for what, count in became.most_common()) or "nothing failed")
    for failure, outcome in outcomes:
        why = outcome.error or outcome.reason
        if why is not None:
            picture = escape(f"{failure.ref.bucket}/{failure.ref.name}")
            console.print(f"[yellow]left out[/] {picture}: {escape(str(why))}", highlight=False)
    if any(outcome.error or outcome.reason for _, outcome in outcomes):
        raise typer.Exit(1)


def _tried(
    adapters: "Adapters", found: Sequence["Failure"], *, with_previews: bool
) -> Iterator[tuple["Failure", "Outcome"]]:
    from shared import indexing
    from shared.models import Change, ObjectEvent

    embedder = adapters.embedders.active(deadline=math.inf)
    for start in range(0, len(found), indexing.BATCH):
        part = found[start : start + indexing.BATCH]
        adapters.database.requeue(part, model=embedder.model.name)
        outcomes = indexing.apply(
            [
                ObjectEvent(failure.ref, Change.WRITTEN, failure.ordering_key, is_of_sweep=True)
                for failure in part
            ],
            store=adapters.store,
            embedder=embedder,
            index=adapters.database,
            with_previews=with_previews,
        )
        yield from zip(part, outcomes, strict=True)


def _what_became(outcome: "Outcome") -> str:
    if outcome.error is not None:
        return "to be tried again later"
    return {"indexed": "searchable now", "failed": "failed again", "deleted": "gone"}.get(
        str(outcome.standing), str(outcome.standing)
    )
