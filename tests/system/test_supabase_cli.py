"""The Supabase CLI deploys the migrations as `postgres`, who is no superuser, and its advisors are content.

`db push`, `migration list` and `db advisors` run against the embedded Postgres, in an empty project.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.hosted.supabase_cli import PINNED
from infra.local.home import ROOT
from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from tests.system import npm

_Run: TypeAlias = subprocess.CompletedProcess[str]
_MIGRATIONS = ROOT / "supabase" / "migrations"
_FILES = sorted(path.name for path in _MIGRATIONS.glob("*.sql"))


class Supabase:
    """The CLI in a project folder: what it writes there and at home stays out of the repository."""

    def __init__(self, folder: Path) -> None:
        self.migrations = folder / "supabase" / "migrations"
        self.migrations.mkdir(parents=True)
        shutil.copy(ROOT / "supabase" / "config.toml", folder / "supabase")
        self._folder = folder
        self._program = npm.modules(PINNED) / "@supabase" / "cli-linux-x64" / "bin" / "supabase"

    def run(self, dsn: str, *command: str) -> _Run:
        return subprocess.run(
            [
                self._program,
                *command,
                f"--remote={_url(dsn)}",
                "--yes",
                "--output-format=json",
                f"--workdir={self._folder}",
            ],
            # None of the caller's: a token or a password there would change the target.
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._folder),
                "SUPABASE_TELEMETRY_DISABLED": "1",
                "SUPABASE_NO_UPDATE_NOTIFIER": "1",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _url(dsn: str) -> str:
    """The CLI takes the folder of a unix socket for a host, so that no port need be free."""
    parts = conninfo_to_dict(dsn)
    query = urlencode({"host": parts["host"], "sslmode": "disable"})
    return f"postgresql://{parts['user']}@localhost:{parts['port']}/{parts['dbname']}?{query}"


def _said(run: _Run) -> dict[str, Any]:
    assert run.returncode == 0, run.stdout + run.stderr
    return cast("dict[str, Any]", json.loads(run.stdout))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("cli") / "pg") as running:
        yield running


@pytest.fixture(scope="module")
def project(postgres: Postgres) -> str:
    """How `postgres` connects to the project's database, which has its bootstrap and no migration."""
    return postgres.dsn("postgres")


@pytest.fixture
def blank(postgres: Postgres) -> str:
    """How `postgres` connects to a blank database of the test's own."""
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute("drop database if exists blank")
        connection.execute("create database blank")
    return postgres.dsn("postgres", "blank")


@pytest.fixture(scope="module")
def supabase(tmp_path_factory: pytest.TempPathFactory) -> Supabase:
    """The CLI where the migrations are."""
    cli = Supabase(tmp_path_factory.mktemp("project"))
    shutil.copytree(_MIGRATIONS, cli.migrations, dirs_exist_ok=True)
    return cli


@pytest.fixture(scope="module")
def pushed(supabase: Supabase, project: str) -> _Run:
    """The first push."""
    return supabase.run(project, "db", "push")


def test_the_first_push_applies_every_migration(pushed: _Run) -> None:
    said = _said(pushed)

    assert said["migrations"] == _FILES
    assert not said["upToDate"]


def test_the_second_push_has_nothing_to_do(pushed: _Run, supabase: Supabase, project: str) -> None:
    assert pushed.returncode == 0

    said = _said(supabase.run(project, "db", "push"))

    assert said["migrations"] == []
    assert said["upToDate"]


def test_the_list_shows_every_migration_applied(pushed: _Run, supabase: Supabase, project: str) -> None:
    assert pushed.returncode == 0

    said = _said(supabase.run(project, "migration", "list"))

    assert [row["local"] for row in said["migrations"]] == [name.split("_")[0] for name in _FILES]
    assert [row["remote"] for row in said["migrations"]] == [name.split("_")[0] for name in _FILES]


def test_the_embedded_stack_takes_what_was_pushed_for_applied(pushed: _Run, project: str) -> None:
    assert pushed.returncode == 0

    assert migrate(project, _MIGRATIONS) == []


def test_the_advisors_have_no_warning_for_a_project_with_a_model(
    pushed: _Run, supabase: Supabase, project: str
) -> None:
    assert pushed.returncode == 0
    with psycopg.connect(project) as connection:
        connection.execute("select public.create_model_v1('advised', 512, 0.2)")

    run = supabase.run(project, "db", "advisors", "--level=warn", "--fail-on=warn")

    assert _said(run)["results"] == []


def test_the_advisors_warn_of_a_function_whose_search_path_is_the_callers(
    supabase: Supabase, blank: str
) -> None:
    with psycopg.connect(blank) as connection:
        connection.execute("create schema careless")
        connection.execute("create function careless.answer() returns integer language sql return 42")

    run = supabase.run(blank, "db", "advisors", "--level=warn", "--fail-on=warn")

    assert run.returncode == 1
    assert [result["name"] for result in json.loads(run.stdout)["results"]] == [
        "function_search_path_mutable"
    ]


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, blank: str) -> None:
    cli = Supabase(tmp_path)
    (cli.migrations / "20260101000000_broken.sql").write_text("create schema half; select 1 / 0;")

    run = cli.run(blank, "db", "push")

    with psycopg.connect(blank) as connection:
        left = connection.execute("select to_regnamespace('half')").fetchone()
    assert run.returncode == 1
    assert "division by zero" in run.stdout + run.stderr
    assert left == (None,)
