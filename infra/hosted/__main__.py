"""`python -m infra.hosted deploy --stage prod`: brings a Supabase project up to date."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from infra.hosted.deploying import Deployment
from infra.hosted.errors import HostedError
from infra.hosted.plan import read_plan
from infra.hosted.supabase_cli import program
from infra.messages import one_message
from infra.stage import StageError, read_stage
from shared.errors import PixseekError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

Stage = Annotated[str, typer.Option(help="Which .env.<stage> says what is wanted.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, and say what would be changed.")]
Yes = Annotated[bool, typer.Option("--yes", help="Apply migrations without asking.")]


@app.callback()
def hosted() -> None:
    """The part of a deployment that lies in a Supabase project."""


@app.command()
def deploy(stage: Stage, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Migrations, buckets, policies, the webhook with its secret in Vault. Again is fine."""
    console = Console(highlight=False, soft_wrap=True)

    def report(line: str) -> None:
        console.print(escape(line))

    def confirm(migrations: Sequence[str]) -> bool:
        return yes or typer.confirm(f"apply {len(migrations)} migrations to the database of {stage}?")

    deployment = Deployment(read_plan(read_stage(stage)), program(), report, confirm, is_dry_run=dry_run)
    left = deployment.run()
    report("nothing was changed: a dry run" if dry_run else f"the Supabase project of {stage} is up to date")
    for line in left:
        report(f"next: {line}")


def main() -> None:
    """Run the command."""
    with one_message(HostedError, PixseekError, StageError):
        app()


if __name__ == "__main__":
    main()
