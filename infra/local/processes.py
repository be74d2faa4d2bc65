"""The stack's server processes: started, watched, stopped, and reaped after a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local.home import ROOT

_STOP_S = 10.0
_MARK = "PIXSEEK_SERVER_OF"


class StackError(Exception):
    """The embedded stack cannot start or go on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process of the stack."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raises `StackError` when the process has ended."""
        code = self.process.poll()
        if code is not None:
            cause = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
            raise StackError(f"{self.name} ended {cause}; its log: {self.log}\n{_tail(self.log)}")


class Servers:
    """All server processes of one stack. Each carries the stack's folder in its environment, and so do those
    that it forks: that is how the next start finds what a killed one left behind, and nothing else."""

    def __init__(self, home: Path, logs: Path) -> None:
        self._mark = str(home)
        self._logs = logs
        self._servers: list[Server] = []

    def reap(self) -> None:
        """Stop what an earlier stack left running."""
        _stop(self.running())

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a Python module as a server. Ctrl-C does not reach it: servers are stopped in order."""
        log = self._logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 -- our own modules
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**os.environ, **environment, _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._servers.append(Server(name, process, log))

    def check(self) -> None:
        """Raises `StackError` when one of them has ended."""
        for server in self._servers:
            server.check()

    def stop(self) -> None:
        """Stop all, the last started first."""
        for server in reversed(self._servers):
            _stop([process for process in self.running() if _session_id(process) == server.process.pid])
            server.process.wait()
        self._servers.clear()

    def running(self) -> list[psutil.Process]:
        """The living processes of this stack's servers, whoever started them."""
        return [process for process in psutil.process_iter() if _mark_of(process) == self._mark]


def _stop(processes: Sequence[psutil.Process]) -> None:
    """End servers and what they forked, gently first: a server is asked, and ends its own."""
    for process in processes:
        if _session_id(process) == process.pid:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=_STOP_S)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=_STOP_S)


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(_MARK)
    except (psutil.Error, OSError):  # gone, a zombie, or another user's
        return None


def _session_id(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])
