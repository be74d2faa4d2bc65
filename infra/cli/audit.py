"""`pixseek audit`: compare buckets with the index, and repair what does not fit."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.connection import Project

if TYPE_CHECKING:
    from shared.audits import Audit

Buckets = Annotated[list[str] | None, typer.Argument(help="All that are followed, unless some are named.")]
Repair = Annotated[bool, typer.Option("--repair", help="Repair what is found.")]
AllowRemovals = Annotated[
    bool, typer.Option("--allow-removals", help="Also when so much is gone that it may be a mistake.")
]
AsJson = Annotated[bool, typer.Option("--json", help="A line of JSON each: faults, audits, the recall.")]
WithRecall = Annotated[bool, typer.Option(help="Check whether searches find what is nearest.")]


def audit(
    buckets: Buckets = None,
    repair: Repair = False,
    allow_removals: AllowRemovals = False,
    as_json: AsJson = False,
    recall: WithRecall = True,
) -> None:
    """Compare each object of a bucket with the index, and each preview; repair what does not fit.

    What the index lacks is queued, and embedded by `pixseek reembed` or the scheduled function; what it has
    otherwise is read again here. What is gone is removed last, and not if that is more than a tenth of the
    bucket's pictures: then somebody has to look first. An audit that was stopped goes on where it stood. The
    exit code is 1 when something is left.

    Example: pixseek audit photos --repair
    """
    from infra.cli.auditing import Auditor

    auditor = Auditor(Project.current(), as_json=as_json)
    is_well = True
    for bucket in auditor.chosen(buckets or []):
        found = auditor.audit(bucket, repair=repair, allow_removals=allow_removals)
        if _confirms_removals(found):
            found = auditor.audit(bucket, repair=repair, allow_removals=True)
        is_well = is_well and found.is_well
    if recall:
        is_well = not auditor.check_recall().is_alarming and is_well
    if not is_well:
        raise typer.Exit(1)


def _confirms_removals(found: "Audit") -> bool:
    """Nobody is asked where nobody can answer."""
    if found.braked is None or not _is_terminal():
        return False
    return typer.confirm(f"remove {found.braked.removals} of {found.braked.live}?", default=False)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
