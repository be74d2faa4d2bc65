"""Whether a file of supabase/hosted would change anything, found out without a lock on Storage's table."""

import re
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from infra.hosted.database import explained
from infra.local.home import ROOT

_OBJECTS: Final = b"storage.objects"
_OWN: Final = b"pg_temp.objects"
_OWN_TRANSACTION: Final = re.compile(rb"^(begin|commit);$", re.MULTILINE)
_MISSING: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
)
_MAKE_OWN: LiteralString = "create temporary table objects (like storage.objects)"
_STATE: LiteralString = """
select 'policy', p.polname, concat_ws('|', p.polcmd, p.polpermissive, p.polroles::regrole[],
       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
from pg_policy p where p.polrelid = %(table)s::regclass
union all
select 'trigger', t.tgname, concat_ws('|', t.tgtype, t.tgenabled, t.tgfoid, t.tgqual, t.tgattr)
from pg_trigger t where t.tgrelid = %(table)s::regclass
union all
select 'function', f.proname, concat_ws('|', pg_get_functiondef(f.oid), f.proowner::regrole, f.proacl)
from pg_proc f where f.oid = to_regprocedure(%(function)s)
order by 1, 2
"""


def would_change(connection: psycopg.Connection, path: Path, function: str) -> bool:
    """Apply it to a temporary table, compare policies, triggers and the function, and take all of it back.

    Expressions are printed otherwise by each version of Postgres: so both are printed by this one.
    """
    statements = _OWN_TRANSACTION.sub(b"", path.read_bytes()).replace(_OBJECTS, _OWN)
    with explained(f"{path.relative_to(ROOT)} cannot be tried"):
        there = _state(connection, _OBJECTS, function)
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(_MAKE_OWN)
                connection.execute(statements)
                own = _state(connection, _OWN, function)
        except _MISSING:  # a dry run, before the migrations
            return True
    ours = {(kind, name) for kind, name, _ in own}
    return own != [(kind, name, what) for kind, name, what in there if (kind, name) in ours]


def _state(connection: psycopg.Connection, table: bytes, function: str) -> list[tuple[Any, ...]]:
    names = {"table": table.decode(), "function": function}
    return connection.execute(_STATE, names).fetchall()
