"""What is asked of a project's database and done there, with its errors explained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from infra.hosted.errors import HostedError
from infra.local.home import ROOT

_AVAILABLE: LiteralString = "select true from pg_available_extensions where name = %s"
_APPLIED: LiteralString = "select version from supabase_migrations.schema_migrations order by version"


def check_database(connection: psycopg.Connection) -> None:
    """Raises `HostedError` where our migrations cannot go."""
    from infra.doctor.expected import migrations, version_of

    if not is_available(connection, "vector"):
        raise HostedError(
            "the extension vector (pgvector) is not available in this database. Hosted projects have it; on "
            "a server of your own, install pgvector 0.8 or newer."
        )
    unknown = _applied(connection) - {version_of(migration) for migration in migrations()}
    if unknown:
        raise HostedError(
            f"the database has migrations that are not here: {', '.join(sorted(unknown))}. If a newer "
            "pixseek made them, deploy with that one. If they are your own project's, copy "
            "supabase/migrations/*.sql into its folder, `supabase db push` there, and come back with both "
            "sets here; or give pixseek its own project."
        )


def is_available(connection: psycopg.Connection, extension: str) -> bool:
    """Whether the server could have it."""
    return connection.execute(_AVAILABLE, (extension,)).fetchone() is not None


def _applied(connection: psycopg.Connection) -> set[str]:
    try:
        return {version for (version,) in connection.execute(_APPLIED)}
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return set()


def apply_file(connection: psycopg.Connection, path: Path) -> None:
    """Run a file that makes its own transaction. Raises `HostedError`."""
    with explained(f"{path.relative_to(ROOT)} cannot be applied"):
        try:
            connection.execute(path.read_bytes())
        except psycopg.Error:
            connection.execute("rollback")
            raise


@contextmanager
def explained(what: str, *, keeps_quiet: bool = False) -> Iterator[None]:
    """Statements inside. Raises `HostedError`, which is quiet about what the database says if told so."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as exc:
        raise HostedError(f"{what}: somebody is at work on the same table. Run this again.") from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        said = "" if keeps_quiet else f" ({exc.diag.message_primary})"
        raise HostedError(
            f"{what}: the role may not do this{said}. Deploy as `postgres`, which hosted projects let do it."
        ) from exc
    except psycopg.Error as exc:
        said = str(exc.sqlstate) if keeps_quiet else f"{exc.diag.message_primary or exc} ({exc.sqlstate})"
        # The cause would be printed with what it quotes.
        raise HostedError(f"{what}: {said}. Mend that, and run this again.") from (
            None if keeps_quiet else exc
        )
