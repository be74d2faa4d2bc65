"""`python -m infra.aws deploy --stage prod`: brings a stage to AWS."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from infra.aws import deploying
from infra.aws.errors import AwsError
from infra.aws.plan import Plan, read_plan
from infra.messages import one_message
from infra.stage import StageError, read_stage

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Stage = Annotated[str, typer.Option(help="Which .env.<stage> says what is wanted.")]


@app.command()
def deploy(stage: Stage) -> None:
    """Check, bundle, put the secrets into Parameter Store, deploy. Again is fine."""
    deploying.deploy(_plan(stage), _report)


@app.command()
def remove(stage: Stage) -> None:
    """Delete the stage from AWS. Buckets with pictures stay."""
    deploying.remove(_plan(stage), _report)


def _plan(stage: str) -> Plan:
    return read_plan(stage, read_stage(stage))


def _report(line: str) -> None:
    Console(highlight=False, soft_wrap=True).print(escape(line))


def main() -> None:
    """Run the command."""
    with one_message(AwsError, StageError):
        app()


if __name__ == "__main__":
    main()
