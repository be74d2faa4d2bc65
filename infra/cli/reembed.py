"""`pixseek reembed`: bring every picture to a model, and switch to it."""

import math
from typing import Annotated

import typer
from rich.console import Console

from infra.cli.connection import Project

Model = Annotated[
    str | None, typer.Option(help="Only this one. Without it the active model, then that of NEXT_EMBEDDER.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")]
Budget = Annotated[int | None, typer.Option(min=1, help="At most so many calls to the model, then stop.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Batches of pictures at a time.")]
Activate = Annotated[
    str,
    typer.Option(help="auto: switch when it covers the pictures; manual: leave that to `pixseek models`."),
]


def reembed(
    model: Model = None,
    dry_run: DryRun = False,
    budget: Budget = None,
    workers: Workers = 3,
    activate: Activate = "auto",
) -> None:
    """Embed all pictures that lack a vector of a model, while searches go on, then make it active.

    Any number may run at once, here and elsewhere, and share the work. Stop it with Ctrl-C: what is done
    stays done, and the next run goes on from there. The model of before is kept for KEEP_RETIRED_DAYS:
    `pixseek models rollback`. The functions need the new model's embedder too, before the switch: start the
    stack with the same NEXT_CLIP_MODEL, or deploy with it.

    Examples: pixseek reembed --dry-run; pixseek reembed --budget 5000 --activate manual
    """
    if activate not in {"auto", "manual"}:
        raise typer.BadParameter("auto or manual", param_hint="--activate")
    from infra.cli.bringing import Bringing

    console, project = Console(), Project.current()
    left = math.inf if budget is None else budget
    names = Bringing.wanted(project) if model is None else [model]
    for name in names:
        bringing = Bringing(console, project, name)
        estimate = bringing.estimate()
        if not estimate.images and name != names[-1]:
            continue
        bringing.print_estimate(estimate)
        if dry_run:
            continue
        reached = bringing.run(estimate, activate=activate == "auto", budget=left, threads=workers)
        bringing.print_end(reached)
        if reached.state == "unfinished":
            raise typer.Exit(1)
        left -= bringing.calls
