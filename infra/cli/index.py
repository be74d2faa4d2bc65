"""`pixseek index`: make folders of pictures searchable."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra.cli import pictures
from infra.cli.connection import Project, RefusedError
from infra.cli.terminal import print_failures, progress_bars

Folders = Annotated[
    list[Path],
    typer.Argument(
        exists=True, file_okay=False, readable=True, help="Folders; pictures below them count too."
    ),
]
Bucket = Annotated[str, typer.Option(help="The bucket to upload to; made when it is missing.")]


def index(folders: Folders, bucket: Bucket = "photos") -> None:
    """Upload folders of pictures and wait until they can be searched.

    What is indexed already is not sent again: run it as often as you like. A picture is named by its folder
    and its path in it, and replaces one of that name. A file that is not a picture is kept on record with the
    reason, and the exit code is 1.

    Example: pixseek index ~/Pictures
    """
    console = Console()
    project = Project.current()
    _check_storage(project)
    found = pictures.find(folders)
    if not found:
        console.print(
            "no pictures found there: jpg, png, webp, gif, bmp, tiff, avif or heic files are looked for"
        )
        raise typer.Exit(1)
    with progress_bars(console) as report:
        failures = pictures.upload_and_wait(project, bucket, found, report)
    console.print(
        f"{len(found) - len(failures)} pictures are searchable. Try: pixseek search 'a dog on a beach'"
    )
    print_failures(console, failures)
    if failures:
        raise typer.Exit(1)


def _check_storage(project: Project) -> None:
    """Raises `RefusedError` where pictures would land in a bucket that nobody follows."""
    storage = project.variables().get("STORAGE") or "supabase"
    if storage != "supabase":
        raise RefusedError(
            f"the pictures of this project lie elsewhere (STORAGE={storage}): put them there by "
            "its own tools, as `aws s3 sync`, and they are followed; `pixseek backfill` indexes what is "
            "there already"
        )
