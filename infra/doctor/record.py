"""Keeps what the migrations make, for the doctor to compare with: `python -m infra.doctor.record`."""

import json
import tempfile
from pathlib import Path

import psycopg

from infra.doctor.expected import MIGRATIONS, RECORD
from infra.doctor.facts import Facts
from infra.local.migrations import migrate
from infra.local.postgres import Postgres


def recorded(answer: Facts) -> str:
    """What is kept of an answer of doctor_v1."""
    kept = answer.db_schema.model_dump()
    return json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Record it anew, after a new migration."""
    with tempfile.TemporaryDirectory() as folder, Postgres(Path(folder) / "pgdata") as server:
        migrate(server.dsn("postgres"), MIGRATIONS)
        with psycopg.connect(server.dsn("postgres")) as session:
            row = session.execute("select public.doctor_v1()").fetchone()
        RECORD.write_text(recorded(Facts.model_validate(row[0] if row else None)))


if __name__ == "__main__":
    main()
