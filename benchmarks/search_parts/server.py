"""The one Postgres that all contenders share, and their databases in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local.postgres import SUPERUSER, Postgres


@contextmanager
def started(folder: Path, rows: int) -> Iterator[Postgres]:
    """A new cluster in the folder; what was there before is lost."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Postgres(folder) as postgres:
        with connect(postgres, SUPERUSER, "postgres") as connection:
            for name, value in _settings(rows).items():
                connection.execute(
                    sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value))
                )
        postgres.stop()
        postgres.start()
        yield postgres


def _settings(rows: int) -> dict[str, str]:
    """The same for every contender.

    With the 128 MB that Postgres starts with, the guide's table would not stay in memory while ours would: a
    comparison of disks. Every graph is built in memory too, or builds would measure the disk. All else is as
    Postgres has it, the number of parallel workers among it.
    """
    return {
        "shared_buffers": "2GB",
        "maintenance_work_mem": f"{max(1024, rows * 4 // 1024)}MB",
        "max_wal_size": "8GB",
    }


def connect(postgres: Postgres, role: str, database: str) -> psycopg.Connection:
    """A session whose statements commit by themselves."""
    return psycopg.connect(postgres.dsn(role, database), autocommit=True)


def write_out(postgres: Postgres) -> None:
    """What the loads have left dirty, so that no checkpoint works beside the searches."""
    with connect(postgres, SUPERUSER, "template1") as connection:
        connection.execute("checkpoint")


def create_database(postgres: Postgres, name: str, *, template: str) -> None:
    """`template0` is empty; `postgres` has Supabase's schemas."""
    statement = sql.SQL("create database {} template {} owner postgres").format(
        sql.Identifier(name), sql.Identifier(template)
    )
    with connect(postgres, SUPERUSER, "template1") as connection:
        connection.execute(statement)
