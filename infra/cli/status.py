"""`pixseek status`: what the index holds, how well it is kept, and what failed."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cli.audit_reports import PastAudit, last_audits
from infra.cli.connection import Project

_FAILURES_SHOWN = 20
_DAYS: Final = 30
_BARS: Final = "▁▂▃▄▅▆▇█"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Count(_Row):
    state: str
    images: int


class _Model(_Row):
    name: str
    dimensions: int
    similarity_floor: float
    languages: list[str]
    state: str
    vectors: int


class _Spent(_Row):
    lane: str
    made: int
    saved: int
    calls_per_day: int | None
    calls_per_s: float | None


class _Coverage(_Row):
    coverage: float
    missing: int
    failed: int


class _Recall(_Row):
    model: str
    recall: float
    floor: float


class _Pending(_Row):
    bucket: str
    image: str
    since: datetime


class _Calls(_Row):
    day: date
    lane: str
    made: int
    saved: int


class _Failure(_Row):
    bucket: str
    image: str
    reason: str
    updated_at: str


def status() -> None:
    """Show where the pictures stand, what each model covers, what audits found, how well searches find, what
    was spent, and why some pictures failed.
    """
    console = Console()
    project = Project.current()
    counts = project.rows(TypeAdapter(list[_Count]), "index_counts_v1")
    models = project.rows(TypeAdapter(list[_Model]), "list_models_v1")
    failures = project.rows(TypeAdapter(list[_Failure]), "failed_images_v1", match_count=_FAILURES_SHOWN)
    console.print(f"project   {project.connection.supabase_url}", highlight=False)
    console.print(f"search    {project.connection.search_url}/search", highlight=False)
    stands = ", ".join(f"{count.images} {count.state}" for count in counts)
    console.print(f"pictures  {stands or 'none yet'}", highlight=False)
    _print_oldest_pending(console, project)
    for model in models:
        _print_model(console, project, model)
    for audit in last_audits(project).values():
        console.print(f"audit     {escape(_told(audit))}", highlight=False)
    _print_recall(console, project)
    print_spending(console, project)
    _print_month(console, project)
    if failures:
        table = Table("picture", "why it cannot be searched", title="failed", title_justify="left")
        for failure in failures:
            table.add_row(escape(f"{failure.bucket}/{failure.image}"), escape(failure.reason))
        console.print(table)


def print_spending(console: Console, project: Project) -> None:
    """Today's calls to the model by lane, and what reuse saved. Raises `NotRunningError`."""
    for spent in project.rows(TypeAdapter(list[_Spent]), "spending_v1"):
        why = {"search": "remembered text", "indexing": "bytes that have a vector"}[spent.lane]
        of_budget = "" if spent.calls_per_day is None else f" of {spent.calls_per_day}"
        rate = "no limit" if spent.calls_per_s is None else f"{spent.calls_per_s:g} a second at most"
        console.print(
            f"calls     {spent.lane}: {spent.made}{of_budget} today, {spent.saved} saved ({why}); {rate}",
            highlight=False,
        )


def _print_oldest_pending(console: Console, project: Project) -> None:
    for pending in project.rows(TypeAdapter(list[_Pending]), "oldest_pending_v1"):
        picture = escape(f"{pending.bucket}/{pending.image}")
        console.print(f"          {picture} waits longest, for {age(pending.since)}", highlight=False)


def _print_model(console: Console, project: Project, model: _Model) -> None:
    if model.state == "dropped":
        return
    [covers] = project.rows(TypeAdapter(list[_Coverage]), "model_coverage_v1", model_name=model.name)
    lacking = f" ({covers.missing} missing)" if covers.missing else ""
    console.print(
        f"model     {model.name} ({model.state}): {model.vectors} vectors of {model.dimensions}, covers "
        f"{100 * covers.coverage:.4g} %{lacking}, floor {model.similarity_floor}",
        highlight=False,
    )


def _told(audit: PastAudit) -> str:
    when = "at work, or to be gone on with" if audit.ended_at is None else f"{age(audit.ended_at)} ago"
    found = sum(audit.faults.values())
    faults = f"{found} faults, {audit.left} left" if found else "no faults"
    reason = "" if audit.reason is None else f": {audit.reason}"
    return f"{audit.bucket}: {audit.state}, {when}; {audit.objects} objects, {faults}{reason}"


def _print_recall(console: Console, project: Project) -> None:
    found = project.rows(TypeAdapter(list[_Recall]), "recalls_v1", match_count=_DAYS)
    if found:
        last = found[0]
        of_model = [recall for recall in found if recall.model == last.model]
        line = sparkline([recall.recall for recall in reversed(of_model)], low=last.floor)
        console.print(
            f"recall    {line} {last.recall:.1%} of what is nearest is found, floor {last.floor:.0%}",
            highlight=False,
        )


def _print_month(console: Console, project: Project) -> None:
    calls = project.rows(TypeAdapter(list[_Calls]), "daily_calls_v1", days=_DAYS)
    made, saved = sum(day.made for day in calls), sum(day.saved for day in calls)
    if made or saved:
        console.print(f"          in {_DAYS} days {made} made, {saved} saved", highlight=False)


def sparkline(values: Sequence[float], *, low: float) -> str:
    """A bar each, from a value or the least of them up to 1."""
    low = min(low, *values)
    steps = len(_BARS) - 1
    return "".join(_BARS[round(steps * (value - low) / (1 - low)) if low < 1 else steps] for value in values)


def age(since: datetime) -> str:
    """How long ago, in one unit."""
    seconds = max(0.0, (datetime.now(UTC) - since).total_seconds())
    for unit, of_seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= of_seconds:
            return f"{seconds / of_seconds:.0f} {unit}"
    return f"{seconds:.0f} s"
