"""Migrations: `supabase/migrations` applied as `supabase db push` does, by the role `postgres`."""

import re
from pathlib import Path
from typing import NamedTuple

import psycopg

from infra.local.processes import StackError

_FILE_NAME = re.compile(r"(?P<version>\d+)_(?P<name>.+)\.sql")
_RECORD = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text primary key, statements text[], name text
);
"""


class _Migration(NamedTuple):
    version: str
    name: str
    path: Path


def migrate(dsn: str, folder: Path) -> list[str]:
    """Apply the folder's files that are not yet on record, oldest first; returns the names of those.

    Each file is one transaction together with its record, so a failing one leaves nothing behind; those
    before it stay applied. Raises `StackError` that names the file and the line.
    """
    migrations = _find(folder)
    with psycopg.connect(dsn) as connection:
        connection.execute("set client_min_messages = warning")
        connection.execute(_RECORD)
        rows = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
    applied = {version for (version,) in rows}
    unknown = applied - {migration.version for migration in migrations}
    if unknown:
        raise StackError(
            f"this database was made by another version: {folder} has no {', '.join(sorted(unknown))}. "
            "Remove the data of the stack (`make clean`, or the folder of PIXSEEK_HOME) and start again."
        )
    pending = [migration for migration in migrations if migration.version not in applied]
    for migration in pending:
        _apply(dsn, migration)
    return [migration.path.name for migration in pending]


def _find(folder: Path) -> list[_Migration]:
    found: dict[str, _Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise StackError(f"{path}: a migration is named <timestamp>_<what>.sql")
        migration = _Migration(match["version"], match["name"], path)
        if migration.version in found:
            raise StackError(f"{path}: {found[migration.version].path.name} has the same version")
        found[migration.version] = migration
    return list(found.values())


def _apply(dsn: str, migration: _Migration) -> None:
    """In a session of its own: settings that a file leaves behind do not reach the next."""
    text = migration.path.read_text(encoding="utf-8")
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute(text.encode())
            # The file is recorded as one statement: splitting it soundly takes a parser, and nothing reads
            # them but `supabase migration fetch`, which joins them to a file again.
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements)"
                " values (%s, %s, %s)",
                (migration.version, migration.name, [text]),
            )
    except psycopg.Error as exc:
        raise StackError(f"{_place(migration.path, text, exc)}: {exc}") from exc


def _place(path: Path, text: str, error: psycopg.Error) -> str:
    position = error.diag.statement_position
    return f"{path}:{text.count(chr(10), 0, int(position) - 1) + 1}" if position else str(path)
