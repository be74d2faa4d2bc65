"""What audits are told as: tables, lines of JSON, and those of before."""

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cli.connection import Project

if TYPE_CHECKING:
    from shared.audits import Audit, Fault, Recall

_AUDITS_LOOKED_AT: Final = 1000
_QUEUED: Final = ("missing", "wrong_model", "failed", "stuck_lease")


class PastAudit(BaseModel):
    """An audit as the database keeps it."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    repairs: bool
    state: str
    objects: int
    images: int
    faults: dict[str, int]
    repaired: dict[str, int]
    reason: str | None
    started_at: datetime
    ended_at: datetime | None

    @property
    def left(self) -> int:
        """Faults that it has not repaired."""
        return sum(max(0, count - self.repaired.get(kind, 0)) for kind, count in self.faults.items())


def last_audits(project: Project) -> dict[str, PastAudit]:
    """The last audit of each bucket."""
    rows = project.rows(TypeAdapter(list[PastAudit]), "latest_audits_v1", match_count=_AUDITS_LOOKED_AT)
    return {row.bucket: row for row in reversed(rows)}


def print_audit(console: Console, found: "Audit", *, is_repair: bool) -> None:
    """A table of what it has found and repaired."""
    progress = found.progress
    console.print(
        f"{escape(found.bucket)}: {progress.objects} objects, {progress.images} pictures in the index, "
        + ("nothing to repair" if not any(progress.faults.values()) else "and what does not fit:"),
        highlight=False,
    )
    table = Table("fault", "found", "repaired", "such as", box=None, header_style="dim")
    for kind, count in progress.faults.items():
        examples = ", ".join(progress.examples.get(kind, ()))
        table.add_row(kind, str(count), str(progress.repaired.get(kind, 0)), escape(examples))
    if table.row_count:
        console.print(table)
    if found.reason:
        console.print(f"[yellow]{found.state}[/]: {escape(found.reason)}", highlight=False)
    if found.left and not is_repair:
        console.print(f"repair it: pixseek audit {escape(found.bucket)} --repair", highlight=False)
    elif any(count for kind, count in progress.repaired.items() if kind in _QUEUED):
        console.print("what is queued is embedded by the scheduled function, or by `pixseek reembed`")


def print_recall(console: Console, checked: "Recall") -> None:
    """One line."""
    found = f"{checked.recall:.1%} of what is nearest is found, of {checked.questions} questions"
    line = f"{found}: {checked.reason}" if checked.reason else found
    if not checked.questions:
        line = "there is nothing to ask with yet"
    style = "red" if checked.is_alarming else None
    console.print(f"recall: {line}", highlight=False, style=style)


def print_fault_line(fault: "Fault") -> None:
    """A line of JSON."""
    print_line({"fault": fault.kind, "bucket": fault.ref.bucket, "image": fault.ref.name})


def audit_item(found: "Audit") -> dict[str, object]:
    """For a line of JSON."""
    progress = found.progress
    return {
        "audit_id": found.audit_id,
        "bucket": found.bucket,
        "state": found.state,
        "objects": progress.objects,
        "images": progress.images,
        "faults": dict(progress.faults),
        "repaired": dict(progress.repaired),
        "reason": found.reason,
    }


def recall_item(checked: "Recall") -> dict[str, object]:
    """For a line of JSON."""
    return {
        "questions": checked.questions,
        "recall": checked.recall,
        "short_share": checked.short_share,
        "floor": checked.floor,
        "is_alarming": checked.is_alarming,
        "reason": checked.reason,
    }


def print_line(item: dict[str, object]) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
    sys.stdout.flush()
