"""What the commands print."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from infra.cli import pictures
from shared.replies import SearchReply

_FAILURES_SHOWN = 10


@contextmanager
def progress_bars(console: Console) -> Iterator[Callable[[pictures.Progress], None]]:
    """Two bars: uploaded, and searchable."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<11}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        uploaded = bars.add_task("uploaded", total=None)
        searchable = bars.add_task("searchable", total=None)

        def report(progress: pictures.Progress) -> None:
            bars.update(uploaded, total=progress.total, completed=progress.uploaded)
            bars.update(searchable, total=progress.total, completed=progress.settled)

        yield report


def results_table(reply: SearchReply) -> Table:
    """One search's pictures, best first."""
    table = Table(box=None, header_style="dim")
    table.add_column("similarity", justify="right")
    table.add_column("picture")
    for result in reply.results:
        table.add_row(f"{result.similarity:.2f}", escape(result.image))
    return table


def searches_table(replies: Sequence[tuple[str, SearchReply]]) -> Table:
    """Several searches with their top hits."""
    table = Table(header_style="bold")
    table.add_column("you ask")
    table.add_column("best pictures (similarity)")
    table.add_column("ms", justify="right")
    for text, reply in replies:
        top = ", ".join(f"{escape(result.image)} ({result.similarity:.2f})" for result in reply.results[:3])
        table.add_row(escape(text), top or "nothing here shows that", f"{reply.took_ms:.0f}")
    return table


def print_failures(console: Console, failures: Mapping[str, str]) -> None:
    """Pictures that could not be embedded, each with its reason."""
    for name, reason in list(failures.items())[:_FAILURES_SHOWN]:
        console.print(f"[yellow]left out[/] {escape(name)}: {escape(reason)}", highlight=False)
    if len(failures) > _FAILURES_SHOWN:
        console.print(f"[yellow]and {len(failures) - _FAILURES_SHOWN} more[/]: see `pixseek status`")
