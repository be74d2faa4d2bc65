"""The command line `pixseek`. What takes long to import, a command imports when it runs."""

import typer

from infra.cli import (
    audit,
    backfill,
    demo,
    doctor,
    failures,
    forget,
    index,
    models,
    reembed,
    search,
    serve,
    spending,
    status,
    users,
    weights,
)
from infra.cli.connection import NotRunningError, RefusedError
from infra.cli.pictures import StalledError
from infra.local.processes import StackError
from infra.messages import one_message
from infra.weights import WeightsError
from shared.errors import PixseekError

app = typer.Typer(
    help="Find pictures by what they show.\n\n"
    "Start with `pixseek demo`. Or keep a stack running with `pixseek serve`, and in another terminal "
    "`pixseek index ~/Pictures`, then `pixseek search 'a dog on a beach'`.\n\n"
    "Exit codes: 0 done, 1 failed or some pictures failed, 2 wrong usage, 3 nothing is running.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(serve.serve)
app.command()(demo.demo)
app.command()(index.index)
app.command()(search.search)
app.command()(status.status)
app.command()(doctor.doctor)
app.command()(failures.failures)
app.command()(spending.spending)
app.command()(audit.audit)
app.command()(backfill.backfill)
app.command()(forget.forget)
app.command()(reembed.reembed)
app.add_typer(models.app)
app.add_typer(users.app)
app.add_typer(weights.app)


def main() -> None:
    """Run the command line."""
    with (
        one_message(StackError, RefusedError, StalledError, WeightsError, PixseekError),
        one_message(NotRunningError, exit_code=3),
    ):
        app()
