"""`pixseek weights`: the models that can be run here."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.weights import is_complete
from infra.weights import pull as pull_weights
from shared.embedding.manifest import Manifest, built_in, default_folder, manifest_named
from shared.permits import Unlimited
from shared.ports import Embedder
from shared.settings import parse_embedding_settings
from shared.wiring import build_embedder

app = typer.Typer(name="weights", help="Fetch and check the weights of local models.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="As `pixseek weights list` has it.")]
Folder = Annotated[Path | None, typer.Option(file_okay=False, help="Where to put them.")]
Provider = Annotated[str, typer.Argument(help="roboflow, clip, or a folder of weights.")]


@app.command("list")
def list_weights() -> None:
    """Show which weights are known, what they read, and which are here."""
    table = Table("weights", "vectors", "languages", "MB", "here")
    table.columns[0].overflow = "fold"
    for manifest in built_in().values():
        languages = manifest.text.languages if manifest.text else ()
        named = ", ".join(languages[:3]) + (f" and {len(languages) - 3} more" if len(languages) > 3 else "")
        space = f"{manifest.space.dimensions}, {manifest.precision}"
        if manifest.vision is None:
            space += f", text only, for {manifest.space.name}"
        table.add_row(manifest.id, space, named, _size_of(manifest), _where_is(manifest))
    Console().print(table)


def _size_of(manifest: Manifest) -> str:
    """In megabytes, if they can be fetched."""
    source = manifest.source
    return f"{sum(file.size_bytes for file in source.files) / 1e6:.0f}" if source else ""


def _where_is(manifest: Manifest) -> str:
    if is_complete(manifest, default_folder(manifest.id)):
        return "yes"
    return "hosted" if manifest.source is None and manifest.roboflow_version else ""


@app.command()
def pull(model_id: Id, folder: Folder = None) -> None:
    """Fetch weights from Hugging Face, at a pinned revision, and check their hashes.

    What was interrupted goes on where it stopped. Example: pixseek weights pull openai/clip-vit-base-patch16
    """
    target = folder or default_folder(model_id)
    pull_weights(manifest_named(model_id), target)
    Console().print(f"{model_id} is in {target}", soft_wrap=True, highlight=False)


@app.command()
def verify(first: Provider = "roboflow", second: Provider = "clip") -> None:
    """Embed generated pictures and sentences with two providers of CLIP_MODEL, and compare.

    Below a cosine of .999 they are not one model, and must not share an index. Reads the settings of
    .env.example; roboflow costs 9 calls, which the spend guard does not see.

    Example: pixseek weights verify roboflow ~/weights
    """
    from infra.comparing import LEAST_COSINE, compare

    pictures, texts = compare(_provider(first), _provider(second))
    console = Console()
    for kind, cosines in (("pictures", pictures), ("sentences", texts)):
        console.print(f"{kind:<10} {len(cosines)}, least cosine {min(cosines):.6f}", highlight=False)
    if min(*pictures, *texts) < LEAST_COSINE:
        console.print(f"[bold red]not one model[/]: a cosine is below {LEAST_COSINE}", highlight=False)
        raise typer.Exit(1)
    console.print("one model")


def _provider(name: str) -> Embedder:
    chosen = (
        {"EMBEDDER": name} if name in {"roboflow", "clip"} else {"EMBEDDER": "clip", "CLIP_MODEL_DIR": name}
    )
    settings = parse_embedding_settings({**os.environ, "CLIP_TEXT_MODEL": "", **chosen})
    return build_embedder(settings, Unlimited())
