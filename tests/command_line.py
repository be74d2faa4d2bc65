"""Runs `pixseek` in processes of its own, as a reader of the README does."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_PIXSEEK = Path(sys.executable).with_name("pixseek")
_PATIENCE_S = 300
_NOT_OURS = {
    "PHOTOS",
    "SEARCH_URL",
    "SUPABASE_ANON_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "SUPABASE_URL",
}
_NOT_OURS_EITHER = ("CLIP_", "EMBEDDER", "HF_", "NEXT_", "ROBOFLOW_")
"""How the names of more of them begin."""


@dataclass(frozen=True)
class CommandLine:
    """The command line, whose stack lies in a folder and listens on a port."""

    home: Path
    base_port: int

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. The caller's project, embedder and photographs are hidden from it."""
        ours = {"PIXSEEK_HOME": str(self.home), "PIXSEEK_PORT": str(self.base_port), "COLUMNS": "250"}
        theirs = {
            name: value
            for name, value in os.environ.items()
            if name not in _NOT_OURS and not name.startswith(_NOT_OURS_EITHER)
        }
        return subprocess.run(
            [_PIXSEEK, *arguments],
            cwd=self.home.parent,
            env={**theirs, **ours, **variables},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=_PATIENCE_S,
            check=False,
        )


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that was started for a stack below a folder, whoever its parent is now."""
    return [process for process in psutil.process_iter() if str(folder) in _started_with(process)]


def _started_with(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return "\n".join([*process.cmdline(), *process.environ().values()])
    return ""
