"""The embedded Postgres comes back, however it went down."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.local.home import ROOT
from infra.local.postgres import SUPERUSER, Postgres
from infra.local.processes import StackError
from tests.integration.gateway.conftest import Gateway, wait_for

pytestmark = pytest.mark.long

_SUPERVISOR = """
import sys, time
from pathlib import Path
from infra.local.postgres import Postgres
with Postgres(Path(sys.argv[1])):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Postgres]:
    """A cluster with one row in it."""
    with Postgres(tmp_path / "pgdata") as running:
        with psycopg.connect(running.dsn("postgres")) as connection:
            connection.execute("create table kept as select 'kept' as word")
        yield running


def kept(cluster: Postgres) -> list[tuple[str]]:
    with psycopg.connect(cluster.dsn("postgres")) as connection:
        return connection.execute("select word from kept").fetchall()


def pid_file(folder: Path) -> Path:
    return folder / "pgdata" / "postmaster.pid"


def postmaster(folder: Path) -> int:
    return int(pid_file(folder).read_text().split()[0])


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_data_survive_a_restart(cluster: Postgres) -> None:
    cluster.stop()

    cluster.start()

    assert kept(cluster) == [("kept",)]


def test_data_survive_a_kill(cluster: Postgres, tmp_path: Path) -> None:
    kill(postmaster(tmp_path))

    cluster.start()

    assert kept(cluster) == [("kept",)]


def test_stopping_twice_is_harmless(cluster: Postgres) -> None:
    cluster.stop()

    cluster.stop()

    with pytest.raises(StackError, match="has ended"):
        cluster.check()


def test_a_running_server_passes_the_check(cluster: Postgres) -> None:
    cluster.check()


def test_a_killed_server_is_noticed(cluster: Postgres, tmp_path: Path) -> None:
    kill(postmaster(tmp_path))

    with pytest.raises(StackError, match="has ended"):
        cluster.check()


@pytest.mark.parametrize("content", ["", "4242", "nonsense\n", "4242\n/half/written\n17"])
def test_a_half_written_pid_file_does_not_stop_the_start(
    cluster: Postgres, tmp_path: Path, content: str
) -> None:
    kill(postmaster(tmp_path))
    pid_file(tmp_path).write_text(content)

    cluster.start()

    assert kept(cluster) == [("kept",)]


def test_a_pid_that_is_another_process_by_now_does_not_stop_the_start(
    cluster: Postgres, tmp_path: Path
) -> None:
    lines = pid_file(tmp_path).read_text().splitlines()
    kill(postmaster(tmp_path))
    pid_file(tmp_path).write_text("\n".join([str(os.getpid()), *lines[1:]]))

    cluster.start()

    assert kept(cluster) == [("kept",)]


def test_the_server_of_a_killed_owner_is_adopted_and_stopped(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR, str(tmp_path / "pgdata")], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    owner.stdout.readline()
    orphan = postmaster(tmp_path)
    owner.kill()
    owner.communicate()

    with Postgres(tmp_path / "pgdata") as adopted:
        same = postmaster(tmp_path) == orphan
        adopted.check()

    assert same
    wait_for(lambda: not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == "zombie")


def test_a_cluster_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    draft = tmp_path / "pgdata.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")

    with Postgres(tmp_path / "pgdata") as cluster:
        cluster.check()

    assert not draft.exists()


def test_a_folder_that_holds_something_else_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata" / "PG_VERSION").write_text("18\n")

    with pytest.raises(StackError, match="Postgres cannot start in"):
        Postgres(tmp_path / "pgdata").start()


def test_nothing_listens_on_the_network(cluster: Postgres) -> None:
    with psycopg.connect(cluster.dsn(SUPERUSER)) as connection:
        assert connection.execute("show listen_addresses").fetchall() == [("",)]


def test_what_is_committed_is_on_disk(cluster: Postgres) -> None:
    with psycopg.connect(cluster.dsn(SUPERUSER)) as connection:
        settings = connection.execute(
            "select current_setting('fsync'), current_setting('synchronous_commit'), "
            "current_setting('full_page_writes')"
        )
        assert settings.fetchall() == [("on", "on", "on")]


def test_the_roles_are_those_of_a_hosted_project(cluster: Postgres) -> None:
    query = """
      select rolname, rolcanlogin, rolsuper, rolbypassrls from pg_roles
      where rolname !~ '^pg_' order by rolname collate "C"
    """
    with psycopg.connect(cluster.dsn("postgres")) as connection:
        assert connection.execute(query).fetchall() == [
            ("anon", False, False, False),
            ("authenticated", False, False, False),
            ("authenticator", True, False, False),
            ("postgres", True, False, True),
            ("service_role", False, False, True),
            ("supabase_admin", True, True, True),
            ("supabase_auth_admin", True, False, False),
            ("supabase_storage_admin", True, False, False),
        ]


def test_the_gateway_outlives_a_killed_postgres(postgres: Postgres, gateway: Gateway) -> None:
    with psycopg.connect(postgres.dsn(SUPERUSER)) as connection:
        folder = connection.execute("show data_directory").fetchone()
    assert folder is not None
    kill(int((Path(folder[0]) / "postmaster.pid").read_text().split()[0]))
    down = gateway.post("add", '{"a": 1}')

    postgres.start()

    wait_for(lambda: gateway.post("add", '{"a": 1}').status_code == 200)
    assert (down.status_code, down.json()["code"]) == (503, "PGRST001")


def test_a_server_that_is_still_recovering_is_waited_for(cluster: Postgres, tmp_path: Path) -> None:
    with psycopg.connect(cluster.dsn("postgres")) as connection:
        connection.execute("create table much as select n from generate_series(1, 300000) n")

    kill(postmaster(tmp_path))
    cluster.start()

    assert kept(cluster) == [("kept",)]


def test_only_its_owner_reaches_the_socket_wherever_it_lies(tmp_path: Path) -> None:
    """A long path does not fit a socket: then it lies in a folder that all users share."""
    folder = tmp_path / ("long" * 25) / "pgdata"
    folder.parent.mkdir()

    with Postgres(folder) as cluster:
        socket_folder = conninfo_to_dict(cluster.dsn(SUPERUSER))["host"]

        mode = Path(str(socket_folder), ".s.PGSQL.5432").stat().st_mode

    assert str(socket_folder) != str(folder)
    assert stat.S_IMODE(mode) == 0o700


def test_a_path_with_a_space_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"holds a space.*PIXSEEK_HOME"):
        Postgres(tmp_path / "my home" / "pgdata").start()
