"""The policies of signed-in users in Storage, and which buckets they cover."""

from collections.abc import Sequence
from functools import partial
from typing import Final, LiteralString

import psycopg

from infra.hosted.changes import Change
from infra.hosted.database import apply_file, explained
from infra.hosted.plan import Bucket
from infra.hosted.rehearsing import would_change
from infra.local.home import ROOT

_POLICIES: Final = ROOT / "supabase" / "hosted" / "policies.sql"
_FUNCTION: Final = "pixseek.buckets_owned_by(text)"

_COVERED: LiteralString = "select name from pixseek.buckets where has_policies order by name"
_COVER: LiteralString = "update pixseek.buckets set has_policies = %s where name = %s"


def policy_changes(connection: psycopg.Connection, buckets: Sequence[Bucket]) -> list[Change]:
    """What it takes that they cover these buckets and no others; without any, none is made."""
    named = [bucket.name for bucket in buckets]
    covered = _covered(connection)
    changes = [
        Change(
            f"take bucket {name} out of them: BUCKETS does not name it",
            partial(_cover, connection, name, is_covered=False),
        )
        for name in covered
        if name not in named
    ]
    if named and would_change(connection, _POLICIES, _FUNCTION):
        changes.append(Change("set those of signed-in users", partial(apply_file, connection, _POLICIES)))
    changes += [
        Change(
            f"let signed-in users into bucket {name}, as its owner rule says",
            partial(_cover, connection, name, is_covered=True),
        )
        for name in named
        if name not in covered
    ]
    return changes


def _covered(connection: psycopg.Connection) -> list[str]:
    try:
        return [name for (name,) in connection.execute(_COVERED)]
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.UndefinedColumn,
    ):  # a dry run, before the migrations
        return []


def _cover(connection: psycopg.Connection, name: str, *, is_covered: bool) -> None:
    with explained(f"bucket {name} cannot be marked in the index"):
        connection.execute(_COVER, (is_covered, name))
