"""The stack's server processes: started, watched, stopped, and reaped after a kill."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local.home import ROOT, write_private

_STOP_S = 10.0


class StackError(Exception):
    """The embedded stack cannot start or go on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process of the stack."""

    name: str
    process: subprocess.Popen[bytes]
    started: float
    """Seconds since the epoch; with the pid it names one process, for pids recur."""
    log: Path

    def check(self) -> None:
        """Raises `StackError` when the process has ended."""
        code = self.process.poll()
        if code is not None:
            cause = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
            raise StackError(f"{self.name} ended {cause}; its log: {self.log}\n{_tail(self.log)}")


class Servers:
    """All server processes of one stack, on record in a file, so that the next start can find what a killed
    one left behind."""

    def __init__(self, record: Path, logs: Path) -> None:
        self._record = record
        self._logs = logs
        self._servers: list[Server] = []

    def reap(self) -> None:
        """Stop what an earlier stack left running."""
        if not self._record.exists():
            return
        for entry in json.loads(self._record.read_text()):
            _stop_session(entry["pid"], entry["started"])
        self._record.unlink()

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Server:
        """Run a Python module as a server. Ctrl-C does not reach it: servers are stopped in order."""
        log = self._logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 -- our own modules
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(name, process, psutil.Process(process.pid).create_time(), log)
        self._servers.append(server)
        self._write_record()
        return server

    def check(self) -> None:
        """Raises `StackError` when one of them has ended."""
        for server in self._servers:
            server.check()

    def stop(self) -> None:
        """Stop all, the last started first."""
        for server in reversed(self._servers):
            _stop_session(server.process.pid, server.started)
            server.process.wait()
        self._servers.clear()
        self._record.unlink(missing_ok=True)

    def _write_record(self) -> None:
        entries = [{"pid": server.process.pid, "started": server.started} for server in self._servers]
        write_private(self._record, json.dumps(entries))


def _stop_session(leader_pid: int, started: float) -> None:
    """End a server and what it forked, gently first. Each server leads a session of its own."""
    session = _session(leader_pid, started)
    for process in session:
        if process.pid == leader_pid:
            process.terminate()
    _, stubborn = psutil.wait_procs(session, timeout=_STOP_S)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=_STOP_S)


def _session(leader_pid: int, started: float) -> list[psutil.Process]:
    """The living members of a session. Its id stays taken while one of them lives; so a process of this pid
    that started at another time means that all of them are gone."""
    members = [process for process in psutil.process_iter() if _session_id(process.pid) == leader_pid]
    leaders = [process for process in members if process.pid == leader_pid]
    if any(abs(leader.create_time() - started) > 1 for leader in leaders):
        return []
    return members


def _session_id(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])
