"""Supabase's CLI: links a project, pushes migrations. Secrets reach it by its environment alone."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.hosted.errors import HostedError
from infra.local.home import ROOT
from infra.npm import NpmError, modules

PINNED: Final = Path(__file__).with_name("node")
_PLATFORM: Final = ("Linux", "x86_64", "glibc")
_TIMEOUT_S: Final = 600
_KEPT: Final = ("PATH", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")


class _Fault(BaseModel):
    model_config = ConfigDict(extra="ignore")

    message: str
    suggestion: str | None = None


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")

    error: _Fault | None = None
    migrations: tuple[str, ...] = ()


class SupabaseCli:
    """The CLI in a folder of its own, which holds the migrations: a link of another stage is never used."""

    def __init__(self, program: Path, folder: Path, secrets: Mapping[str, str]) -> None:
        """`secrets` are environment variables; none of the caller's own could change the target."""
        self._program = program
        self._folder = folder
        self._environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "HOME": str(folder),
            "SUPABASE_TELEMETRY_DISABLED": "1",
            "SUPABASE_NO_UPDATE_NOTIFIER": "1",
            **secrets,
        }
        shutil.copytree(ROOT / "supabase" / "migrations", folder / "supabase" / "migrations")
        shutil.copy(ROOT / "supabase" / "config.toml", folder / "supabase")

    def link(self, project_ref: str) -> str | None:
        """Link the project. Returns its pooler's address, without a password. Raises `HostedError`."""
        self._run(
            f"the project {project_ref} cannot be linked",
            "Is SUPABASE_URL that of your project, and does SUPABASE_ACCESS_TOKEN belong to somebody who may "
            "change it (supabase.com/dashboard/account/tokens)?",
            *("link", "--project-ref", project_ref),
        )
        file = self._folder / "supabase" / ".temp" / "pooler-url"
        return file.read_text().strip() if file.exists() else None

    def pending(self, address: str) -> tuple[str, ...]:
        """The migrations that the database lacks, oldest first. Raises `HostedError`."""
        return self._push(address, "--dry-run")

    def push(self, address: str) -> tuple[str, ...]:
        """Apply what it lacks, each file in a transaction of its own. Raises `HostedError`."""
        return self._push(address)

    def _push(self, address: str, *options: str) -> tuple[str, ...]:
        return self._run(
            "the migrations cannot be pushed",
            "Those before the one that failed are applied, and it left nothing behind: mend what it names, "
            "and run this again.",
            *("db", "push", f"--remote={address}", "--include-all", *options),
        ).migrations

    def _run(self, what: str, advice: str, *arguments: str) -> _Said:
        command = [
            str(self._program),
            *arguments,
            "--yes",
            "--output-format=json",
            f"--workdir={self._folder}",
        ]
        try:
            run = subprocess.run(  # noqa: S603 -- ours, no shell
                command,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise HostedError(f"{what}: {type(exc).__name__} of {self._program}. Run this again.") from exc
        said = _read(run.stdout)
        if run.returncode != 0 or said is None or said.error:
            fault = said.error if said else None
            reason = fault.message if fault else (run.stderr.strip() or run.stdout.strip())
            raise HostedError(f"{what}: {reason}\n{advice}")
        return said


def _read(output: str) -> _Said | None:
    """The last line: what came before it was progress."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    try:
        return _Said.model_validate(json.loads(lines[-1])) if lines else None
    except (ValueError, ValidationError):
        return None


def program() -> Path:
    """The CLI's binary: the pinned one, or on other platforms that of PATH. Raises `HostedError`."""
    if (platform.system(), platform.machine(), platform.libc_ver()[0]) == _PLATFORM:
        try:
            return modules(PINNED) / "@supabase" / "cli-linux-x64" / "bin" / "supabase"
        except NpmError as exc:
            raise HostedError(f"Supabase's CLI cannot be fetched: {exc}") from exc
    version = json.loads((PINNED / "package.json").read_text())["dependencies"]["@supabase/cli-linux-x64"]
    mend = f"`npm install --global supabase@{version}`, and run this again."
    found = shutil.which("supabase")
    if found is None:
        raise HostedError(f"Supabase's CLI is missing: {mend}")
    if (other := _version(found)) != version:
        raise HostedError(
            f"{found} is version {other} of Supabase's CLI, and this was tried with {version}: {mend}"
        )
    return Path(found)


def _version(found: str) -> str:
    """Raises `HostedError` for one that does not tell."""
    try:
        run = subprocess.run(  # noqa: S603 -- no shell
            (found, "--version"), capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise HostedError(f"`{found} --version` fails ({type(exc).__name__}): is it Supabase's CLI?") from exc
    return run.stdout.strip().removeprefix("v") or "unknown"
