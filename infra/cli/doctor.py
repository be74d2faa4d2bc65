"""`pixseek doctor`: what is wrong with a deployment, and how to mend it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cli.aws_credentials import take_credentials
from infra.cli.connection import NotRunningError, RefusedError

if TYPE_CHECKING:
    from infra.doctor import Deployment, Finding

_MARKS: Final = {
    "ok": "[green]✓[/]",
    "warning": "[yellow]![/]",
    "wrong": "[red]✗[/]",
    "not looked at": "[dim]-[/]",
}

Stage = Annotated[str | None, typer.Option(help="A deployment of AWS, by its file .env.STAGE.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]
CallsModel = Annotated[
    bool, typer.Option("--model/--no-model", help="Whether to call the model: some calls, which may cost.")
]
Quiet = Annotated[bool, typer.Option("--faults", help="Only what is wrong, or soon will be.")]


def doctor(
    stage: Stage = None, model: CallsModel = True, as_json: AsJson = False, faults: Quiet = False
) -> None:
    """Look at a deployment from outside: what is wrong, and how to mend it.

    Looks at settings, keys, migrations, functions and grants, buckets, the search function, the webhook, the
    embedder, models, upkeep and clocks; of --stage, or the project of the environment (SUPABASE_URL,
    SUPABASE_ANON_KEY, SUPABASE_SERVICE_ROLE_KEY; SEARCH_URL, WEBHOOK_URL and WEBHOOK_SECRET for what they
    name), or the local stack that runs. It changes nothing, but for one text (`a picture`) that the index may
    remember. The model is called twice for each configured embedder (EMBEDDER and NEXT_EMBEDDER: a text and a
    picture), and once for the search, if it does not remember the text; `--no-model` leaves those out.

    What cannot be told is wrong, too. It is a warning where only what it takes to look is missing: SEARCH_URL
    or WEBHOOK_URL in the environment, AWS credentials for a bucket of S3, a model's weights or settings, the
    right to see how pg_net's posts have fared.

    The exit code is 1 when something is wrong, 0 also with warnings, 3 when nothing is running.

    Examples: pixseek doctor; pixseek doctor --stage prod --no-model; pixseek doctor --json
    """
    from infra.doctor import SUBJECTS, examine, is_well

    deployment = replace(_deployment(stage), calls_model=model)
    take_credentials(deployment.variables)
    left = list(SUBJECTS)
    with Console(stderr=True).status(_looking_at(left)) as status:

        def report(subject: str) -> None:
            left.remove(subject)
            status.update(_looking_at(left))

        found = examine(deployment, report)
    shown = [finding for finding in found if not faults or finding.mend]
    if as_json:
        _print_json(deployment, shown, is_well=is_well(found))
    else:
        _print(Console(), deployment, shown)
    if not is_well(found):
        raise typer.Exit(1)


def _deployment(stage: str | None) -> "Deployment":
    """Raises `NotRunningError`."""
    from infra.doctor import deployment_of, deployment_of_stage

    if stage is not None:
        return deployment_of_stage(stage, _variables_of(stage))
    deployment = deployment_of()
    if deployment is None:
        raise NotRunningError(
            "no stack is running. Start one with `make serve` in another terminal, name a project by "
            "SUPABASE_URL, SUPABASE_ANON_KEY and SUPABASE_SERVICE_ROLE_KEY, or a deployment by --stage."
        )
    return deployment


def _variables_of(stage: str) -> Mapping[str, str]:
    """Raises `RefusedError`."""
    from infra.stage import StageError, read_stage

    try:
        return read_stage(stage)
    except StageError as exc:
        raise RefusedError(str(exc)) from exc


def _looking_at(left: Sequence[str]) -> str:
    return f"looking at {', '.join(left)}"


def _project(deployment: "Deployment") -> str | None:
    from infra.doctor.addresses import shown_address

    url = deployment.variables.get("SUPABASE_URL")
    return shown_address(url) if url else None


def _print(console: Console, deployment: "Deployment", found: Sequence["Finding"]) -> None:
    console.print(f"project   {escape(_project(deployment) or '(not set)')}", highlight=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column("mark", no_wrap=True)
    table.add_column("subject", style="dim", no_wrap=True)
    table.add_column("what", overflow="fold")
    for finding in found:
        table.add_row(_MARKS[finding.level], finding.subject, escape(finding.what))
        if finding.mend:
            table.add_row("", "", f"[cyan]→ {escape(finding.mend)}[/]")
    console.print(table)
    console.print(_summary(found), highlight=False)


def _summary(found: Sequence["Finding"]) -> str:
    counts = {level: sum(finding.level == level for finding in found) for level in _MARKS}
    if counts["wrong"]:
        return f"[bold red]{counts['wrong']} wrong[/], {counts['warning']} warnings"
    if counts["warning"]:
        return f"[yellow]well, with {counts['warning']} warnings[/]"
    return "[green]all is well[/]" + (", but for what was not looked at" if counts["not looked at"] else "")


def _print_json(deployment: "Deployment", found: Sequence["Finding"], *, is_well: bool) -> None:
    findings = [{"subject": finding.subject, **asdict(finding)} for finding in found]
    answer = {"project": _project(deployment), "is_well": is_well, "findings": findings}
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=1) + "\n")
