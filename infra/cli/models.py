"""`pixseek models`: which models the index knows, and which one searches use."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cli.connection import Project, RefusedError

if TYPE_CHECKING:
    from shared.registered import ModelRegistry, RegisteredModel

app = typer.Typer(
    name="models",
    help="Show the models that pictures have vectors of, and switch between them. `pixseek reembed` brings "
    "all pictures to a new one.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="As `pixseek models list` has it.")]
Coverage = Annotated[
    float, typer.Option(min=0, max=1, help="The share of pictures that the model has to have vectors of.")
]
Force = Annotated[bool, typer.Option("--force", help="Also when no embedder is configured here for it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


_STILL_ASKED_S = 120


def registry_of(project: Project) -> "ModelRegistry":
    """The project's registry."""
    from shared.models import Lane
    from shared.wiring import build_registry

    return build_registry(project.settings(), Lane.INDEXING)


@app.command("list")
def list_models() -> None:
    """Show the models, where each stands, and how much of the pictures it covers."""
    project = Project.current()
    registry = registry_of(project)
    table = Table("model", "state", "vectors", "covers", "missing", "failed", box=None, header_style="dim")
    table.columns[0].overflow = "fold"
    for model in registry.models():
        if model.state == "dropped":
            continue
        coverage = registry.coverage(model.name)
        table.add_row(
            escape(model.name),
            _state_of(model),
            f"{model.vectors} x {model.dimensions}",
            f"{100 * coverage.share:.1f} %",
            str(coverage.missing),
            str(coverage.failed),
        )
    Console().print(table if table.row_count else "no models yet: the functions register theirs")


@app.command()
def activate(name: Name, least_coverage: Coverage = 0.999, force: Force = False) -> None:
    """Make a model the one that searches use, at once and for all.

    The functions need its embedder (EMBEDDER, or NEXT_EMBEDDER), and follow within a minute.

    Example: pixseek models activate openai/clip-vit-large-patch14
    """
    project = Project.current()
    _check_served(project, name, force=force)
    registry_of(project).activate(name, least_coverage=least_coverage)
    Console().print(
        f"searches use {escape(name)} now; running functions follow within a minute", highlight=False
    )


@app.command()
def rollback(force: Force = False) -> None:
    """Go back to the model that searches used before this one. Its vectors are still there.

    The functions need its embedder still: keep EMBEDDER and NEXT_EMBEDDER until you are sure.
    """
    project = Project.current()
    registry = registry_of(project)
    before = _last_retired(registry)
    _check_served(project, before.name, force=force)
    registry.activate(before.name, least_coverage=0)
    missing = registry.coverage(before.name).missing
    console = Console()
    console.print(f"searches use {escape(before.name)} again", highlight=False)
    if missing:
        console.print(
            f"{missing} pictures that came since lack a vector of it: pixseek reembed --model {before.name}",
            highlight=False,
        )


@app.command()
def drop(name: Name, yes: Yes = False) -> None:
    """Remove a model's vectors for good; the pictures and all other models stay.

    Example: pixseek models drop openai/clip-vit-base-patch16
    """
    project = Project.current()
    registry = registry_of(project)
    model = next((known for known in registry.models() if known.name == name), None)
    if model is None or model.state == "dropped":
        raise RefusedError(f"there is no model {name}; `pixseek models list` shows all")
    if model.is_guides:
        raise RefusedError(f"clients of match_images embed with {name}: see configure_guide_v1")
    if model.retired_for_s is not None and model.retired_for_s < _STILL_ASKED_S:
        raise RefusedError(f"searches may still use {name} for a moment: try again in two minutes")
    if not yes:
        typer.confirm(f"Remove {model.vectors} vectors of {name}?", abort=True)
    registry.drop(name)
    Console().print(f"{escape(name)} is dropped", highlight=False)


def _check_served(project: Project, name: str, *, force: bool) -> None:
    """Raises `RefusedError` for a model that searches could not be embedded with."""
    from shared.errors import SettingsError
    from shared.models import Lane
    from shared.wiring import build_adapters

    try:
        if not force:
            build_adapters(project.settings(), Lane.SEARCH).embedders.named(name)
    except SettingsError as exc:
        raise RefusedError(
            f"{exc}. Functions without it cannot answer searches; if they have it, --force switches"
        ) from exc


def _last_retired(registry: "ModelRegistry") -> "RegisteredModel":
    retired = [model for model in registry.models() if model.state == "retired"]
    if not retired:
        raise RefusedError("no model was active before this one, or it is dropped by now")
    return min(retired, key=lambda model: model.retired_for_s or 0.0)


def _state_of(model: "RegisteredModel") -> str:
    notes = [
        *(["pictures are brought to it"] if model.is_target else []),
        *(["clients of match_images use it"] if model.is_guides else []),
        *([f"for {model.retired_for_s / 86_400:.1f} days"] if model.retired_for_s is not None else []),
    ]
    return f"{model.state} ({', '.join(notes)})" if notes else model.state
