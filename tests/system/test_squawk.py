"""squawk finds nothing in our SQL that would lock, lose or break a live database."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.local.home import ROOT


def _squawk(*files: Path, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("squawk")
    options = [f"--config={ROOT / '.squawk.toml'}", "--reporter=gcc", *options]
    return subprocess.run(
        [program, *options, *files], capture_output=True, text=True, timeout=60, check=False
    )


def test_squawk_finds_nothing_in_the_migrations() -> None:
    migrations = sorted((ROOT / "supabase" / "migrations").glob("*.sql"))

    run = _squawk(*migrations)

    assert run.returncode == 0, run.stdout + run.stderr


def test_squawk_finds_nothing_in_what_an_operator_applies() -> None:
    files = sorted((ROOT / "supabase" / "hosted").glob("*.sql"))

    # Each makes its own transaction: no tool does.
    run = _squawk(*files, options=["--no-assume-in-transaction"])

    assert files
    assert run.returncode == 0, run.stdout + run.stderr


def test_squawk_objects_to_what_breaks_a_live_database(tmp_path: Path) -> None:
    careless = tmp_path / "careless.sql"
    careless.write_text("alter table pixseek.images add column camera text not null;\n")

    run = _squawk(careless)

    assert run.returncode == 1
    assert "adding-required-field" in run.stdout
