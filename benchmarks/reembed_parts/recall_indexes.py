"""Ways in which a vector index goes bad, each until the end of its block."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import psycopg

from benchmarks.reembed_parts.auditing_stack import Offline, drop_index, vector_index

Break = Callable[[Offline], AbstractContextManager[None]]

_NEAREST: Final = """
select pg_get_functiondef('pixseek.nearest(pixseek.question, pixseek.position, integer)'::regprocedure)
"""
_OWN_EF_SEARCH: Final = "else 160"
_SHORT: Final = """
create or replace function pixseek.nearest(
  question pixseek.question, after pixseek.position, row_count integer
) returns pixseek.ranking
language sql stable
set search_path = ''
return pixseek.cut(pixseek.scan_index(question, row_count, row_count - 1, false), after, row_count)
"""
_TAKEN_AWAY: Final = """
with gone as (delete from pixseek.vectors where random() < %s returning *)
insert into public.late select * from gone
"""
_READY: Final = "update pg_index set indisready = %s where indexrelid = %s::regclass"


def looking_at(ef_search: int) -> Break:
    """A scan that looks at so many candidates."""

    @contextmanager
    def broken(up: Offline) -> Iterator[None]:
        with up.owner() as session:
            definition = _nearest(session)
            changed = definition.replace(_OWN_EF_SEARCH, f"else {ef_search}")
            if changed == definition:
                raise RuntimeError(f"pixseek.nearest has no {_OWN_EF_SEARCH!r} any more")
            session.execute(changed.encode())
            yield
            session.execute(definition.encode())

    return broken


@contextmanager
def short(up: Offline) -> Iterator[None]:
    """A search that answers what its scan yields, and that is one picture less than it should be."""
    with up.owner() as session:
        definition = _nearest(session)
        session.execute(_SHORT)
        yield
        session.execute(definition.encode())


def lacking(share: float) -> Break:
    """An index that some of the pictures are not in: it was not ready when they came."""

    @contextmanager
    def broken(up: Offline) -> Iterator[None]:
        with up.superuser() as session:
            name, definition = vector_index(session)
            drop_index(session, name)
            session.execute("create table public.late as select * from pixseek.vectors where false")
            session.execute("select setseed(.5)")
            session.execute(_TAKEN_AWAY, (share,))
            session.execute(definition.encode())
            session.execute(_READY, (False, name))
        with up.superuser() as session:  # one that does not know the index as ready
            session.execute("insert into pixseek.vectors select * from public.late")
            session.execute("drop table public.late")
            session.execute(_READY, (True, name))
            session.execute("analyze pixseek.vectors")
        yield
        with up.owner() as session:
            drop_index(session, name)
            session.execute(definition.encode())

    return broken


def _nearest(session: psycopg.Connection) -> str:
    [(definition,)] = session.execute(_NEAREST).fetchall()
    return str(definition)
