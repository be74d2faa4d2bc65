"""The stack's server processes: ours are found whatever has happened, nobody else's are touched."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.local.processes import Servers

_SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", _SLEEP], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_a_killed_stack_left_is_stopped_and_nothing_else(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    killed = Servers(tmp_path / "home", tmp_path)
    killed.start("sleeper", ["timeit", "-n", "1", _SLEEP], {})
    other = Servers(tmp_path / "other", tmp_path)
    other.start("other", ["timeit", "-n", "1", _SLEEP], {})
    [left] = killed.running()

    Servers(tmp_path / "home", tmp_path).reap()

    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert stranger.poll() is None
    assert len(other.running()) == 1
    other.stop()
    assert other.running() == []
    killed.stop()
