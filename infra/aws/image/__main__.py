"""The command `python -m infra.aws.image`."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from infra.aws.image.choice import ImageChoice
from infra.aws.image.context import make_context
from infra.bundle.errors import BundleError
from infra.local.home import ROOT
from infra.messages import one_message
from infra.stage import StageError, read_stage

_OUT: Final = ROOT / "build" / "aws"
_PLATFORMS: Final = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def image(
    stage: Annotated[str, typer.Option(envvar="STAGE", help="take what is not given from .env.STAGE")] = "",
    arch: Annotated[str, typer.Option(envvar="ARCH", help="arm64 (the default) or x86_64")] = "",
    embedder: Annotated[str, typer.Option(envvar="EMBEDDER", help="clip or offline")] = "",
    weights: Annotated[str, typer.Option(help="a folder of CLIP_MODEL's weights")] = "",
    out: Annotated[Path, typer.Option(help="the folder of what is built")] = _OUT,
) -> None:
    """Make the folder to build a container image for AWS Lambda in, with the model inside."""
    given = {"ARCHITECTURE": arch, "EMBEDDER": embedder, "CLIP_MODEL_DIR": weights}
    variables = read_stage(stage) if stage else {}
    choice = ImageChoice.of({**variables, **{name: value for name, value in given.items() if value}})
    console = Console(highlight=False, soft_wrap=True)
    for part, size_bytes in make_context(choice, out).items():
        console.print(f"{part:<9} {size_bytes / 1e6:6.1f} MB")
    folder = out / choice.arch / "image"
    options = f"--platform {_PLATFORMS[choice.arch]} --provenance=false --tag pixseek"
    console.print(f"build it: docker build {options} {folder}")


def main() -> None:
    """Run the command."""
    with one_message(BundleError, StageError):
        app()


if __name__ == "__main__":
    main()
