"""osls, with a stage's variables: all that it knows of secrets is which are set."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra import npm
from infra.aws.errors import AwsError
from infra.aws.plan import SECRETS, Place, Plan
from infra.local.home import ROOT
from shared.settings import Settings

PINNED: Final = Path(__file__).with_name("node")
_LEAST_NODE: Final = 20
_IN_PARAMETER_STORE: Final = "set"
_ALSO_OURS: Final = {"ARCHITECTURE", "TRACING", "POWERTOOLS_LOG_LEVEL"}
_OURS: Final = {name.upper() for name in (*Settings.model_fields, *Place.model_fields)} | _ALSO_OURS


def program() -> Path:
    """Fetched once. Raises `AwsError` when Node.js or npm is missing."""
    check_node()
    try:
        return npm.modules(PINNED) / ".bin" / "osls"
    except npm.NpmError as exc:
        raise AwsError(str(exc)) from exc


def check_node() -> None:
    """Raises `AwsError`."""
    node = shutil.which("node")
    if node is None:
        raise AwsError(f"Node.js is missing, which osls runs on: install version {_LEAST_NODE} or newer")
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 -- of PATH, no shell
    major = done.stdout.strip().removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < _LEAST_NODE:
        raise AwsError(f"Node.js is {done.stdout.strip() or 'broken'}: osls needs {_LEAST_NODE} or newer")


def environment(
    plan: Plan, account: Mapping[str, str], outer: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What osls is told: the stage's variables alone, whatever else is set on this machine."""
    kept = {name: value for name, value in outer.items() if name not in _OURS and name != "AWS_PROFILE"}
    # osls reads the stage's file too, and leaves alone what is set, be it to nothing.
    given = {name: value if name in _OURS else "" for name, value in plan.variables.items()}
    secrets = {name: _IN_PARAMETER_STORE if name in plan.secrets else "" for name in SECRETS}
    return {**kept, **given, **secrets, **account}


def run(plan: Plan, account: Mapping[str, str], *command: str) -> None:
    """Its output goes where ours goes. Raises `AwsError`."""
    done = subprocess.run(  # noqa: S603 -- ours, no shell
        [program(), *command, "--stage", plan.stage], cwd=ROOT, env=environment(plan, account), check=False
    )
    if done.returncode:
        raise AwsError(
            f"`osls {command[0]}` failed, and says above why. CloudFormation rolls back what was changed; "
            "mend the cause, and run this again"
        )
