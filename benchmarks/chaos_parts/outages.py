"""What befalls those who follow a bucket: kills, and Postgres that is away."""

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import psutil

from benchmarks.chaos_parts.journal import Journal
from benchmarks.chaos_parts.plan import Befalls, Trouble
from infra.local.postgres import Postgres

_ENDED_S: Final = 30.0


class Workers(Protocol):
    """Who follows a bucket."""

    def start(self) -> None:
        """Begin."""

    def kill(self, slot: int) -> None:
        """One of them, by SIGKILL, at work."""

    def stop(self) -> None:
        """Leave nothing running."""


class Outages:
    """Each in a thread of its own: what happens meanwhile goes on."""

    def __init__(self, workers: Workers, pgdata: Path, journal: Journal) -> None:
        self._workers = workers
        self._pgdata = pgdata
        self._journal = journal
        self._threads: list[threading.Thread] = []
        self._one_at_a_time = threading.Lock()
        self._is_over = threading.Event()

    def befall(self, troubles: Sequence[Befalls]) -> None:
        """Soon."""
        for trouble in troubles:
            thread = threading.Thread(target=self._befall, args=(trouble,))
            thread.start()
            self._threads.append(thread)

    def end(self) -> None:
        """Wait until none is under way, and begin no more."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _befall(self, trouble: Befalls) -> None:
        time.sleep(trouble.after_s)
        if self._is_over.is_set():
            return
        if trouble.trouble is Trouble.KILL:
            self._workers.kill(trouble.slot)
            return
        with self._one_at_a_time:
            self._restart(is_crash=trouble.trouble is Trouble.CRASH)

    def _restart(self, *, is_crash: bool) -> None:
        postgres = Postgres(self._pgdata)
        if is_crash:
            _crash(self._pgdata)
        else:
            postgres.stop()
        postgres.start()
        self._journal.count("restarts of Postgres")


def _crash(pgdata: Path) -> None:
    """As `pg_ctl stop -m immediate`: nothing is written down, and the next start recovers."""
    postmaster = psutil.Process(int((pgdata / "postmaster.pid").read_text().splitlines()[0]))
    postmaster.send_signal(signal.SIGQUIT)
    until = time.monotonic() + _ENDED_S
    while _is_alive(postmaster) and time.monotonic() < until:
        time.sleep(0.01)


def _is_alive(process: psutil.Process) -> bool:
    """A zombie is dead: in a container nobody may come to bury it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
