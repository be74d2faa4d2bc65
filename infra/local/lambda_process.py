"""One process of a function, from its start to its end."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from infra.local.lambda_runtime import RuntimeMissingError, runtime_python


class LambdaProcess:
    """AWS's runtime client with the handler; what it prints is appended to the log."""

    def __init__(self, handler: str, code: Path, environment: Mapping[str, str], log: Path) -> None:
        command = [*_without_privileges(), str(runtime_python()), "-m", "awslambdaric", handler]
        with log.open("ab") as output:
            self.started_at_s = time.perf_counter()
            self._process = subprocess.Popen(  # noqa: S603 -- ours, no shell
                command,
                cwd=code,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def peak_rss_mb(self) -> float:
        """The most memory that it held so far; 0 when it has ended."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(peaks[0]) / 1024 if peaks else 0.0

    def kill(self) -> None:
        """With all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _without_privileges() -> list[str]:
    """Root may write what nobody may write, unless it is stripped of that."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise RuntimeMissingError(
            "root may write to read-only code: run as another user, or install util-linux"
        )
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
