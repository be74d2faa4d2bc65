"""`pixseek status`: what the index holds, and what failed."""

from pydantic import BaseModel, ConfigDict, TypeAdapter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cli.connection import Project

_FAILURES_SHOWN = 20


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


class _Failure(_Row):
    bucket: str
    image: str
    reason: str
    updated_at: str


def status() -> None:
    """Show where the pictures stand, which model is active, and why some pictures failed."""
    console = Console()
    project = Project.current()
    counts = project.rows(TypeAdapter(list[_Count]), "index_counts_v1")
    models = project.rows(TypeAdapter(list[_Model]), "list_models_v1")
    failures = project.rows(TypeAdapter(list[_Failure]), "failed_images_v1", match_count=_FAILURES_SHOWN)
    console.print(f"project   {project.connection.supabase_url}", highlight=False)
    console.print(f"search    {project.connection.search_url}/search", highlight=False)
    stands = ", ".join(f"{count.images} {count.state}" for count in counts)
    console.print(f"pictures  {stands or 'none yet'}", highlight=False)
    for model in models:
        console.print(
            f"model     {model.name} ({model.state}): {model.vectors} vectors of "
            f"{model.dimensions}, floor {model.similarity_floor}",
            highlight=False,
        )
    print_spending(console, project)
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
