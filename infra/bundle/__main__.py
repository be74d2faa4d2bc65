"""The command `python -m infra.bundle`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.bundle.audit import NotCheckedError, audit
from infra.bundle.building import build, read_facts
from infra.bundle.choice import ENTRIES, Choice
from infra.bundle.errors import BundleError
from infra.bundle.locked import read_lock
from infra.bundle.smoke import runs_here
from infra.local.home import ROOT
from infra.messages import one_message
from infra.stage import StageError, read_stage

_OUT: Final = ROOT / "build" / "aws"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
console = Console(highlight=False)


@app.command()
def bundle(
    stage: Annotated[str, typer.Option(envvar="STAGE", help="take what is not given from .env.STAGE")] = "",
    arch: Annotated[str, typer.Option(envvar="ARCH", help="arm64 (the default) or x86_64")] = "",
    embedder: Annotated[str, typer.Option(envvar="EMBEDDER", help="roboflow (the default)")] = "",
    next_embedder: Annotated[str, typer.Option(envvar="NEXT_EMBEDDER", help="of the model to come")] = "",
    storage: Annotated[str, typer.Option(envvar="STORAGE", help="supabase (the default) or s3")] = "",
    picture_queries: Annotated[
        Optional[bool],  # noqa: UP045 -- typer reads it at run time
        typer.Option(envvar="PICTURE_QUERIES", help="whether a search may bring a picture; yes by default"),
    ] = None,
    tracing: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(envvar="TRACING", help="with AWS X-Ray; no by default"),
    ] = None,
    function: Annotated[list[str] | None, typer.Option(help="only this one; may be repeated")] = None,
    out: Annotated[Path, typer.Option(help="the folder of the zips")] = _OUT,
    is_audit: Annotated[
        bool, typer.Option("--audit", help="look for known vulnerabilities, build nothing")
    ] = False,
) -> None:
    """Build a zip for AWS Lambda of each function: its code and its locked packages, compiled.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
    given = {
        "ARCHITECTURE": arch,
        "EMBEDDER": embedder,
        "NEXT_EMBEDDER": next_embedder,
        "STORAGE": storage,
        "PICTURE_QUERIES": "" if picture_queries is None else str(picture_queries).lower(),
        "TRACING": "" if tracing is None else str(tracing).lower(),
    }
    choice = _choice(stage, {name: value for name, value in given.items() if value})
    if is_audit:
        _audit(choice)
    else:
        _build(choice, function or ENTRIES, out)


def _choice(stage: str, given: Mapping[str, str]) -> Choice:
    if not stage:
        return Choice.of({"EMBEDDER": "roboflow", **given})
    return Choice.of({**read_stage(stage), **given})


def _build(choice: Choice, functions: Iterable[str], out: Path) -> None:
    built = []
    for function in functions:
        console.print(f"bundling: {function} for {choice.arch}")
        built.append(read_facts(build(function, choice, out)))
    console.print(_table(built), f"in {out / choice.arch}")
    if not runs_here(choice.arch):
        console.print(
            f"not imported, as this machine is not {choice.arch}: checked by the wheels' tags and the "
            "machine of every shared object",
            soft_wrap=True,
        )


def _table(built: Iterable[dict[str, Any]]) -> Table:
    table = Table("function", "arch", "zip MB", "unzipped MB", "packages")
    for facts in built:
        sizes = (f"{facts[name] / 1e6:.1f}" for name in ("zip_bytes", "unzipped_bytes"))
        table.add_row(facts["function"], facts["arch"], *sizes, str(len(facts["packages"])))
    return table


def _audit(choice: Choice) -> None:
    extras = sorted({extra for function in ENTRIES for extra in choice.extras(function)})
    try:
        done = audit(read_lock(extras, choice.arch).requirements)
    except NotCheckedError as exc:
        console.print(
            f"vulnerabilities: not checked, the advisory database does not answer ({escape(str(exc))})",
            soft_wrap=True,
        )
        return
    console.print(f"vulnerabilities: none known that are not explained, in {done.checked} packages")
    for name in done.unchecked:
        console.print(f"  not checked: {name}, which the advisory database does not know")
    for advisory, reason in done.explained.items():
        console.print(f"  {advisory}: {escape(reason)}")


def main() -> None:
    """Run the command."""
    with one_message(BundleError, StageError):
        app()


if __name__ == "__main__":
    main()
