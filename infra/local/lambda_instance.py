"""One instance of a function: a process, and the Runtime API that it talks to."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from queue import Empty
from typing import Final

from infra.local.lambda_process import LambdaProcess
from infra.local.runtime_api import Report, RuntimeApi

_POLL_S: Final = 0.05


class Instance:
    """A process, and the API that it talks to."""

    def __init__(self, handler: str, code: Path, environment: Mapping[str, str], log: Path) -> None:
        with ExitStack() as starting:
            self.api = starting.enter_context(RuntimeApi())
            self.process = LambdaProcess(
                handler, code, {**environment, "AWS_LAMBDA_RUNTIME_API": self.api.address}, log
            )
            starting.callback(self.process.kill)
            self._closing = starting.pop_all()

    def wait(self, timeout_s: float) -> Report | None:
        """Its next report. None when it makes none in the time, or has ended."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            ended = self.process.exit_code() is not None  # asked first: its last word may come with its end
            try:
                return self.api.reports.get(timeout=_POLL_S)
            except Empty:
                if ended:
                    return None
        return None

    def close(self) -> None:
        self._closing.close()
