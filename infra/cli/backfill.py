"""`pixseek backfill`: a bucket that was there before pixseek becomes searchable."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from infra.cli.connection import Project, RefusedError

Bucket = Annotated[str, typer.Argument(help="Its name, as the store has it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def backfill(bucket: Bucket, yes: Yes = False) -> None:
    """Make the pictures of a bucket searchable that no event has told of: those that were there before.

    Says first what it takes, and asks. Then it is `pixseek audit --repair`, whose queue is embedded here and
    now. Stop it with Ctrl-C: the same command goes on from there.

    Example: pixseek backfill photos
    """
    from infra.cli.auditing import Auditor
    from infra.cli.bringing import Bringing
    from shared.audits import FaultKind
    from shared.registered import Estimate

    console, project = Console(), Project.current()
    auditor = Auditor(project)
    auditor.check_followed(bucket)
    bringing = Bringing(console, project, auditor.active_model())
    seen = auditor.audit(bucket, repair=False, is_quiet=True).progress
    if not seen.objects:
        raise RefusedError(f"there is nothing in bucket {bucket}: is that its name?")
    lacking = sum(seen.faults.get(kind, 0) for kind in (FaultKind.MISSING, FaultKind.STALE))
    console.print(f"{escape(bucket)}: {seen.objects} objects, the index lacks {lacking}", highlight=False)
    if lacking:
        # At most: the same bytes take one call, and nobody has read them yet.
        bringing.print_estimate(Estimate(lacking, lacking))
        if not yes:
            typer.confirm(f"Index {lacking} pictures?", abort=True)
    auditor.audit(bucket, repair=True)
    estimate = bringing.estimate()
    if estimate.images:
        bringing.print_end(bringing.run(estimate, activate=False))
    waiting = auditor.waiting(bucket)
    if waiting:
        console.print(
            f"{waiting} pictures of {escape(bucket)} still wait; run it again to go on", highlight=False
        )
        raise typer.Exit(1)
