"""What a database has to have: as `infra.doctor.record` has found it in one that was migrated."""

import re
from functools import cache
from pathlib import Path
from typing import Final

from infra.doctor.facts import Schema
from infra.local.home import ROOT

MIGRATIONS: Final = ROOT / "supabase" / "migrations"
RECORD: Final = Path(__file__).with_name("schema.json")
_MADE: Final = re.compile(r"^create (?:or replace )?function ((?:public|pixseek)\.\w+)", re.MULTILINE)


@cache
def expected_schema() -> Schema:
    """As all migrations leave it."""
    return Schema.model_validate_json(RECORD.read_bytes())


@cache
def migrations() -> tuple[str, ...]:
    """The names of the migrations, the oldest first."""
    return tuple(path.stem for path in sorted(MIGRATIONS.glob("*.sql")))


@cache
def makers() -> dict[str, tuple[str, ...]]:
    """The migrations that make or replace each function, by the functions' names, the oldest first."""
    found: dict[str, list[str]] = {}
    for migration in migrations():
        for name in _MADE.findall((MIGRATIONS / f"{migration}.sql").read_text()):
            found.setdefault(name, []).append(migration)
    return {name: tuple(dict.fromkeys(made)) for name, made in found.items()}


def statement_at(kind: str, name: str) -> str:
    """Where the last statement stands that makes a function, policy or trigger: a file and a line."""
    statement = re.compile(rf"^create (?:or replace )?{kind} {re.escape(name)}\b", re.MULTILINE)
    place = f"{MIGRATIONS.relative_to(ROOT)}"
    for migration in migrations():
        text = (MIGRATIONS / f"{migration}.sql").read_text()
        for found in statement.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            place = f"{MIGRATIONS.relative_to(ROOT)}/{migration}.sql, line {line}"
    return place


def version_of(migration: str) -> str:
    """What the record knows it by."""
    return migration.partition("_")[0]


def name_of(signature: str) -> str:
    """Of a function, without its arguments."""
    return signature.partition("(")[0]
