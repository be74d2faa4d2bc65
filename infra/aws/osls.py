"""osls, with a stage's variables: all that it knows of secrets is which version of each is meant."""

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
_ALSO_OURS: Final = {"ARCHITECTURE", "POWERTOOLS_LOG_LEVEL"}
_OURS: Final = ({name.upper() for name in (*Settings.model_fields, *Place.model_fields)} | _ALSO_OURS) - {
    *SECRETS
}


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


def environment(plan: Plan, told: Mapping[str, str], outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What osls is told: of the stage's variables those that are no secrets, whatever else is set here."""
    versions = {_version(name) for name in SECRETS}
    others = {*_OURS, *SECRETS, *versions, *plan.variables, "AWS_PROFILE"}
    kept = {name: value for name, value in outer.items() if name not in others}
    given = {name: value for name, value in plan.variables.items() if name in _OURS}
    return {**kept, **given, **told}


def versions_told(versions: Mapping[str, int]) -> dict[str, str]:
    """Which version of each secret the functions are to read, as infra/aws/environment.js takes it."""
    return {_version(name): str(version) for name, version in versions.items()}


def _version(secret: str) -> str:
    return f"{secret}_VERSION"


def run(plan: Plan, told: Mapping[str, str], *command: str) -> None:
    """Its output goes where ours goes. `told`: the account, and versions. Raises `AwsError`."""
    done = subprocess.run(  # noqa: S603 -- ours, no shell
        [program(), *command, "--stage", plan.stage], cwd=ROOT, env=environment(plan, told), check=False
    )
    if done.returncode:
        raise AwsError(
            f"`osls {command[0]}` failed, and says above why. CloudFormation rolls back what was changed; "
            "mend the cause, and run this again"
        )
