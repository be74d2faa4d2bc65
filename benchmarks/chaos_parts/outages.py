"""What befalls those who follow a bucket: kills, and Postgres that is away."""

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import httpx
import psutil

from benchmarks.chaos_parts.clip_api import NEXT
from benchmarks.chaos_parts.journal import Journal
from benchmarks.chaos_parts.plan import Befalls, Trouble
from benchmarks.chaos_parts.running import Running
from infra.local.postgres import Postgres

_ENDED_S: Final = 30.0


def slot_of(worker: str) -> int:
    """In a name like lambda-2.3, by which the model's stand-in knows it; 0 for what is no worker."""
    slot = worker.partition("-")[2].partition(".")[0]
    return int(slot) if slot.isdecimal() else 0


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

    def __init__(self, workers: Workers, running: Running, journal: Journal) -> None:
        self._workers = workers
        self._running = running
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
        if trouble.trouble is Trouble.KILL_PAID:
            worker = httpx.get(f"{self._running.api_url}{NEXT}", timeout=30, trust_env=False).json()["worker"]
            self._workers.kill(slot_of(worker))
            return
        with self._one_at_a_time:
            self._restart(is_crash=trouble.trouble is Trouble.CRASH)

    def _restart(self, *, is_crash: bool) -> None:
        pgdata = self._running.home.pgdata
        postgres = Postgres(pgdata)
        if is_crash:
            _crash(pgdata)
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
