"""A copy of the project, with stages of its own, for who deploys from it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.debian import CACHE
from infra.local.home import ROOT
from tests.system.aws.moto_aws import Aws

_PARTS: Final = ("functions", "infra", "shared", "supabase")
_FILES: Final = ("LICENSE", "pyproject.toml", "serverless.yml", "uv.lock")
_IMPATIENT: Final = {"SLS_AWS_MONITORING_FREQUENCY": "200"}
"""In ms; else osls looks every 5 s how far CloudFormation is, and moto is quick."""
_TIMEOUT_S: Final = 300
_WITHOUT_BUNDLING: Final = """
from infra.aws import __main__, deploying
deploying._bundle = lambda *_: None
__main__.main()
"""


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    output: str


@dataclass(frozen=True)
class Checkout:
    """The folder, and the AWS that is reached from it."""

    folder: Path
    aws: Aws

    @classmethod
    def make(cls, folder: Path, aws: Aws) -> "Checkout":
        """A copy in a new folder. What was fetched once is not fetched again."""
        for part in _PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in _FILES:
            shutil.copy(ROOT / file, folder)
        (folder / "build").mkdir()
        CACHE.mkdir(parents=True, exist_ok=True)
        (folder / "build" / "cache").symlink_to(CACHE)
        (folder / ".uv").symlink_to(ROOT / ".uv")
        return cls(folder, aws)

    def write_stage(self, name: str, variables: Mapping[str, str]) -> None:
        """The stage's file."""
        lines = [f"{variable}={value}\n" for variable, value in variables.items()]
        (self.folder / f".env.{name}").write_text("".join(lines))

    def run(self, *arguments: str, bundles: bool = True) -> Ran:
        """`python -m infra.aws …`, against that AWS; or with the bundles of the last time."""
        own = {"PYTHONPATH": str(self.folder)}
        command = ("-m", "infra.aws") if bundles else ("-c", _WITHOUT_BUNDLING)
        ran = subprocess.run(
            [sys.executable, *command, *arguments],
            cwd=self.folder,
            env={**_without_choices(os.environ), **self.aws.environment(), **_IMPATIENT, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
        )
        return Ran(ran.returncode, ran.stdout)


def _without_choices(environment: Mapping[str, str]) -> dict[str, str]:
    """The stage's file alone decides, whatever the shell has."""
    own = ("SUPABASE_", "ROBOFLOW_", "CLIP_", "NEXT_", "AWS_")
    return {name: value for name, value in environment.items() if not name.startswith(own)}
