"""Processes of `pixseek reembed`: begun, killed, begun again."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self

from benchmarks.reembed_parts.running import Running
from infra.local.home import ROOT

_ENDED_S: Final = 15.0
_MOST: Final = 30


class Workers:
    """None is left at the end of the block."""

    def __init__(
        self,
        running: Running,
        *,
        concurrency: int,
        activate: Literal["auto", "manual"],
        budget: int | None = None,
    ) -> None:
        """`concurrency`: how many calls to the model each has under way."""
        self._running = running
        self._concurrency = concurrency
        self._arguments = ["reembed", "--activate", activate, "--workers", "2"]
        self._arguments += ["--budget", str(budget)] if budget else []
        self._processes: list[subprocess.Popen[bytes]] = []
        self.killed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(_ENDED_S)

    @property
    def begun(self) -> int:
        """In all."""
        return len(self._processes)

    @property
    def living(self) -> "list[subprocess.Popen[bytes]]":
        """Those at work."""
        return [process for process in self._processes if process.poll() is None]

    @property
    def failures(self) -> list[int]:
        """The exit codes of those that did not end well, and were not killed."""
        codes = [process.poll() for process in self._processes]
        return [code for code in codes if code not in (None, 0, -signal.SIGKILL)]

    def begin(self, count: int) -> None:
        """So many more."""
        for _ in range(count):
            name = f"worker-{len(self._processes)}"
            with (self._running.home.logs / f"{name}-{time.monotonic_ns()}.log").open("wb") as log:
                process = subprocess.Popen(  # noqa: S603 -- ours
                    [sys.executable, "-c", "from infra.cli import main; main()", *self._arguments],
                    cwd=ROOT,
                    env=self._running.environment(name, self._concurrency),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._processes.append(process)

    def kill(self, count: int) -> None:
        """Some of them, as they are."""
        for process in self.living[:count]:
            process.kill()
            process.wait(_ENDED_S)
            self.killed += 1

    def keep_going(self) -> None:
        """Begin another when none is left, as a schedule would. Raises `RuntimeError` when none gets on."""
        if self.living:
            return
        if self.begun >= _MOST:
            raise RuntimeError(f"{self.begun} workers have ended before the work, with {self.failures}")
        self.begin(1)

    def wait(self, timeout_s: float) -> None:
        """Until all have ended. Raises `TimeoutError`."""
        until = time.monotonic() + timeout_s
        while self.living:
            if time.monotonic() > until:
                raise TimeoutError(f"{len(self.living)} of {self.begun} are still at work")
            time.sleep(0.05)
