"""`pixseek demo`: the whole path on one machine, from photographs to answers."""

import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from infra import photographs
from infra.cli import pictures
from infra.cli.connection import Project, RefusedError
from infra.cli.contact_sheet import write_contact_sheet
from infra.cli.terminal import print_failures, progress_bars, results_table, searches_table
from infra.local.home import ROOT, default_home
from shared.replies import SearchReply

SEARCHES = (
    "a cat",
    "a cup of coffee",
    "a motorcycle",
    "a polar bear",
    "an old castle by the water",
    "a bridge over a river",
    "火箭发射",
    "熊猫",
    "狗",
)
_SHOWN = 6
_BUCKET = "photos"

Photos = Annotated[
    Path | None,
    typer.Option(
        envvar="PHOTOS",
        exists=True,
        file_okay=False,
        help="A folder of your own, searched with all below it.",
    ),
]


def demo(photos: Photos = None) -> None:
    """Start the stack, upload photographs, search them in English and Chinese, stop.

    Real photographs that come with installed packages, and, where apt is at hand, Debian's. What you see is
    also in build/demo.html. With --photos (or PHOTOS=…) it takes your own and asks you what to search for.
    """
    from infra.local.stack import Stack

    console = Console()
    found = _sample_photographs(console) if photos is None else pictures.find([photos])
    if not found:
        console.print(f"no pictures found in {escape(str(photos))}")
        raise typer.Exit(1)
    with (
        console.status("starting Postgres, the gateway and the functions") as starting,
        Stack(_home(photos)) as stack,
    ):
        starting.stop()
        project = Project(stack.connection)
        with progress_bars(console) as report:
            failures = pictures.upload_and_wait(project, _BUCKET, found, report)
        print_failures(console, failures)
        replies = _ask(console, project) if photos else _show(console, project)
        sheet = write_contact_sheet(ROOT / "build" / "demo.html", replies)
    console.print(f"stopped. The pictures are in {sheet}", soft_wrap=True)


def _home(photos: Path | None) -> Path | None:
    """Each folder of one's own has a stack of its own: an answer shows nothing else."""
    if photos is None:
        return None
    return default_home().with_name(f"demo-{sha256(bytes(photos.resolve())).hexdigest()[:12]}")


def _sample_photographs(console: Console) -> list[pictures.LocalPicture]:
    found = photographs.packaged()
    with console.status("unpacking Debian's photographs"):
        try:
            found += photographs.debian()
        except photographs.NotAtHandError as exc:
            console.print(
                f"[yellow]only the {len(found)} packaged photographs:[/] {escape(str(exc))}", highlight=False
            )
    return pictures.named((photograph.name, photograph.path) for photograph in found)


def _show(console: Console, project: Project) -> Sequence[tuple[str, SearchReply]]:
    replies = [(text, project.search(text, _SHOWN)) for text in SEARCHES]
    console.print(searches_table(replies))
    return replies


def _ask(console: Console, project: Project) -> Sequence[tuple[str, SearchReply]]:
    replies = []
    console.print("What do your pictures show? An empty line ends it.")
    while text := _next_line(console):
        try:
            reply = project.search(text, _SHOWN)
        except RefusedError as exc:
            console.print(f"[yellow]{escape(str(exc))}[/]")
            continue
        console.print(results_table(reply) if reply.results else "nothing here shows that")
        replies.append((text, reply))
    return replies


def _next_line(console: Console) -> str:
    if sys.stdin.isatty():
        console.print("[bold]search>[/] ", end="")
    return sys.stdin.readline().strip()
