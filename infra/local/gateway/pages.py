"""Parts of a bucket, as clients list them. Each function runs under whatever role the transaction has."""

from typing import NamedTuple

from psycopg import sql

from infra.local.gateway.database import Connection
from infra.local.gateway.rows import Json

SORTABLE = ("name", "created_at", "updated_at", "last_accessed_at")
# A folder is what lies before the next slash, seen once.
_LIST = """
select jsonb_build_object(
  'name', segment, 'id', id, 'updated_at', updated_at, 'created_at', created_at,
  'last_accessed_at', last_accessed_at, 'metadata', metadata)
from (
  select distinct on (segment, folder)
    segment, folder,
    case when not folder then o.id end as id,
    case when not folder then o.updated_at end as updated_at,
    case when not folder then o.created_at end as created_at,
    case when not folder then o.last_accessed_at end as last_accessed_at,
    case when not folder then o.metadata end as metadata
  from storage.objects o
  cross join lateral (select substr(o.name, length(%(prefix)s) + 1) as rest) r
  cross join lateral (select split_part(rest, '/', 1) as segment, strpos(rest, '/') > 0 as folder) s
  where o.bucket_id = %(bucket)s and starts_with(lower(o.name), lower(%(prefix)s || %(search)s))
) entries
order by {order} {direction}, lower(segment) collate "C" {direction}
limit %(limit)s offset %(offset)s
"""
# A folder is as old as the oldest object in it.
_LIST_V2 = """
select jsonb_build_object(
  'name', entry, 'key', split_part(entry, '/', %(level)s), 'id', id, 'updated_at', updated_at,
  'created_at', created_at, 'last_accessed_at', last_accessed_at, 'metadata', metadata)
from (
  select distinct on (entry) entry,
    case when not folder then o.id end as id,
    case when folder then min(o.created_at) over (partition by entry) else o.updated_at end as updated_at,
    case when folder then min(o.created_at) over (partition by entry) else o.created_at end as created_at,
    case when not folder then o.last_accessed_at end as last_accessed_at,
    case when not folder then o.metadata end as metadata
  from storage.objects o
  cross join lateral (select substr(o.name, length(%(prefix)s) + 1) as rest) r
  cross join lateral (select %(with_delimiter)s and strpos(rest, '/') > 0 as folder) f
  cross join lateral (
    select case when folder then %(prefix)s || split_part(rest, '/', 1) || '/' else o.name end as entry) e
  where o.bucket_id = %(bucket)s and starts_with(o.name, %(prefix)s)
) entries
where %(after)s::text is null or ({place}) {beyond} ({end})
order by {order}
limit %(limit)s + 1
"""


class Page(NamedTuple):
    """Which part of a bucket to list."""

    prefix: str
    search: str
    limit: int
    offset: int
    column: str
    descending: bool


class PageV2(NamedTuple):
    """Which part of a bucket to list, by cursor."""

    prefix: str
    with_delimiter: bool
    limit: int
    column: str
    descending: bool
    after: str | None
    """The name that the page before ends with."""
    after_at: str | None
    """Its time, if that sorts."""


async def list_objects(connection: Connection, bucket: str, page: Page) -> list[Json]:
    """Files and folders right under a prefix."""
    column = sql.Identifier(page.column) if page.column != "name" else sql.SQL('lower(segment) collate "C"')
    query = sql.SQL(_LIST).format(order=column, direction=sql.SQL("desc" if page.descending else "asc"))
    parameters = {"bucket": bucket, **page._asdict()}
    rows = await (await connection.execute(query, parameters)).fetchall()
    return [row for (row,) in rows]


async def list_objects_v2(connection: Connection, bucket: str, page: PageV2) -> list[Json]:
    """Entries of a page, and one more if there are more. A folder has no id."""
    name, direction = sql.SQL('entry collate "C"'), sql.SQL("desc" if page.descending else "asc")
    place, end = [name], [sql.SQL("%(after)s")]
    if page.column != "name":
        place.insert(0, sql.Identifier(page.column))  # type: ignore[arg-type]
        end.insert(0, sql.SQL("%(after_at)s::timestamptz"))
    query = sql.SQL(_LIST_V2).format(
        place=sql.SQL(", ").join(place),
        end=sql.SQL(", ").join(end),
        beyond=sql.SQL("<" if page.descending else ">"),
        order=sql.SQL(", ").join(sql.SQL("{} {}").format(part, direction) for part in place),
    )
    parameters = {"bucket": bucket, "level": page.prefix.count("/") + 1, **page._asdict()}
    rows = await (await connection.execute(query, parameters)).fetchall()
    return [row for (row,) in rows]
