"""`pixseek search`: find pictures by what they show."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from infra.cli.connection import Project
from infra.cli.terminal import results_table
from shared.queries import MAX_RESULTS

Text = Annotated[str, typer.Argument(help="What the picture shows, in your words.")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_RESULTS, help="How many pictures at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's answer: with ids and links.")]


def search(text: Text, limit: Limit = 10, as_json: AsJson = False) -> None:
    """Find pictures by what they show. Only pictures that are similar enough are listed.

    Example: pixseek search 安全帽 --limit 3
    """
    reply = Project.current().search(text, limit)
    if as_json:
        typer.echo(reply.model_dump_json(indent=2))
    elif reply.results:
        Console().print(results_table(reply))
    else:
        Console().print("nothing here shows that")
    for warning in reply.warnings:
        Console(stderr=True).print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
