"""kill -9 of any process of the stack, then start again: nothing lost, no stale lock, no orphan."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from infra.cli import pictures
from infra.cli.connection import Project
from infra.local.home import Home
from infra.local.processes import Servers
from tests.integration.conftest import picture_bytes, rows
from tests.ports import free_base_port

# Longer than the lease of a worker that died, and the wait between two deliveries.
pytestmark = pytest.mark.long

_PATIENCE_S = 120.0
_SERVE = [sys.executable, "-c", "from infra.cli import main; main()", "serve"]


class Served:
    """A `pixseek serve` of the test's own."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.environment = {
            **os.environ,
            "PIXSEEK_HOME": str(home),
            "PIXSEEK_PORT": str(free_base_port()),
            "PYTHONUNBUFFERED": "1",
        }
        self.process: subprocess.Popen[str]

    def is_running(self) -> bool:
        return hasattr(self, "process") and self.process.poll() is None

    def start(self) -> Project:
        """Until it says that it is up."""
        self.process = subprocess.Popen(
            _SERVE,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        shown = ""
        while "Ctrl-C stops it" not in shown:
            line = self.process.stdout.readline()
            assert line, f"it ended: {shown}"
            shown += line
        connection = self.home.connection()
        assert connection is not None
        return Project(connection)

    def family(self) -> dict[str, psutil.Process]:
        """Every process of the stack by name: its servers, the postmaster, and serve itself."""
        servers = [process for process in self.servers() if os.getsid(process.pid) == process.pid]
        family = {
            name: next(server for server in servers if any(name in word for word in server.cmdline()))
            for name in ("gateway", "search_images", "index_image")
        }
        postmaster = int((self.home.pgdata / "postmaster.pid").read_text().split()[0])
        return {**family, "postgres": psutil.Process(postmaster), "serve": psutil.Process(self.process.pid)}

    def everyone(self) -> set[psutil.Process]:
        """The family with all that it started."""
        parents = self.family().values()
        return {process for parent in parents for process in (parent, *parent.children(recursive=True))}

    def servers(self) -> list[psutil.Process]:
        """All server processes of the stack, with those that they forked."""
        return Servers(self.home.path, self.home.logs).running()

    def finish(self) -> str:
        output, _ = self.process.communicate(timeout=_PATIENCE_S)
        return output

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.finish()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests: each leaves the stack as the next one finds it."""
    served = Served(tmp_path_factory.mktemp("restarts") / "home")
    yield served
    if served.is_running():
        served.stop()


@pytest.fixture
def served(home: Served) -> Served:
    """Running."""
    if not home.is_running():
        home.start()
    return home


def _project(served: Served) -> Project:
    connection = served.home.connection()
    assert connection is not None
    return Project(connection)


def _drawn(count: int, folder: Path) -> list[pictures.LocalPicture]:
    """In a folder of that name; no two of them, nor of two folders, are alike."""
    folder.mkdir()
    for number in range(count):
        shades = sha256(f"{folder.name} {number}".encode()).digest()
        (folder / f"{number}.png").write_bytes(picture_bytes((shades[0], shades[1], shades[2])))
    return pictures.find([folder])


@pytest.mark.parametrize("victim", ["gateway", "search_images", "index_image", "postgres", "serve"])
def test_a_killed_process_costs_nothing_but_a_restart(victim: str, served: Served, tmp_path: Path) -> None:
    project = _project(served)
    first = _drawn(5, tmp_path / victim)
    [last] = _drawn(1, tmp_path / f"last-{victim}")
    pictures.upload_and_wait(project, "photos", first, lambda _: None)
    project.client.storage.from_("photos").upload(last.name, last.path.read_bytes())
    everyone = served.everyone()

    served.family()[victim].kill()
    output = served.finish()

    project = served.start()
    names = [picture.name for picture in first]
    states = rows(project.client, "image_states_v1", bucket_name="photos", object_names=names)
    assert [row["state"] for row in states] == ["indexed"] * 5
    failures = pictures.upload_and_wait(project, "photos", first, lambda _: None)
    assert failures == {}
    _wait_until_indexed(project, last.name)
    # The Postgres that outlived its `serve` is the new one's.
    assert _alive(everyone) <= served.everyone()
    assert ("error:" in output) == (victim != "serve")


def _alive(processes: set[psutil.Process]) -> set[psutil.Process]:
    return {process for process in processes if process.is_running() and process.status() != "zombie"}


def _wait_until_indexed(project: Project, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while _state(project, name) != "indexed":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _state(project: Project, name: str) -> str | None:
    found = rows(project.client, "image_states_v1", bucket_name="photos", object_names=[name])
    return next((row["state"] for row in found), None)


def test_ctrl_c_stops_everything_and_the_data_survives(served: Served, tmp_path: Path) -> None:
    project = _project(served)
    found = _drawn(2, tmp_path / "kept")
    pictures.upload_and_wait(project, "photos", found, lambda _: None)
    everyone = served.everyone()

    served.stop()

    assert served.process.returncode == 0
    assert not _alive(everyone)
    project = served.start()
    assert project.client.storage.from_("photos").download(found[0].name) == found[0].path.read_bytes()


def test_a_second_stack_in_the_same_folder_is_refused(served: Served) -> None:
    second = subprocess.run(_SERVE, env=served.environment, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert "already running" in second.stderr


def test_a_port_that_is_taken_is_named(served: Served, tmp_path: Path) -> None:
    environment = {**served.environment, "PIXSEEK_HOME": str(tmp_path / "other")}

    second = subprocess.run(_SERVE, env=environment, capture_output=True, text=True, check=False)

    assert second.returncode == 1
    assert f"port {environment['PIXSEEK_PORT']}" in second.stderr
    assert "PIXSEEK_PORT=" in second.stderr
