"""Rows inserted as PostgREST inserts them: one statement, which names the columns that the body names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import sql
from starlette.requests import Request
from starlette.responses import Response

from infra.local.gateway.database import Connection
from infra.local.gateway.errors import RestError
from infra.local.gateway.payloads import Parsed, parse_json, rows_response

_TYPES = """
select attname, format_type(atttypid, null) from pg_catalog.pg_attribute
where attrelid = to_regclass(format('public.%%I', %s::text)) and attnum > 0 and not attisdropped
"""
_PARAMETERS = {"select", "columns"}
_REFUSED_PREFERENCES = ("resolution=", "missing=default")
_SHOWN = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Insert:
    """What a request wants inserted, and what of it shown."""

    rows: str
    """A JSON array of objects."""
    columns: tuple[str, ...]
    shown: tuple[str, ...]
    """Columns or `*`; none for an empty answer."""
    counted: bool


class Inserted(NamedTuple):
    """The rows as JSON, and how many."""

    rows: str
    number: int


async def parse_insert(request: Request) -> Insert:
    """Raises `RestError` for what does not make sense or would be ignored."""
    _check_parameters(request)
    preferences = _preferences(request)
    body = parse_json(await request.body())
    return Insert(
        rows=body.text if isinstance(body.value, list) else f"[{body.text}]",
        columns=_columns(request, body),
        shown=_shown(request) if "return=representation" in preferences else (),
        counted="count=exact" in preferences,
    )


async def insert_rows(connection: Connection, table: str, asked: Insert) -> Inserted:
    """Insert into a table or view of schema public. Raises `RestError` when it lacks a column."""
    types: dict[str, str] = dict(await (await connection.execute(_TYPES, (table,))).fetchall())
    if not types:
        raise no_table(table)
    for column in asked.columns:
        if column not in types:
            message = f"Could not find the '{column}' column of '{table}' in the schema cache"
            raise RestError(400, "PGRST204", message)
    row = await (await connection.execute(_statement(table, asked, types), (asked.rows,))).fetchone()
    assert row is not None  # noqa: S101 -- an aggregate always answers one row
    return Inserted(*row)


def inserted(request: Request, asked: Insert, result: Inserted) -> Response:
    """The answer. Raised inside the transaction, a refused result undoes the insert."""
    headers = {"Content-Range": f"*/{result.number if asked.counted else '*'}"}
    response = rows_response(request, result.rows, result.number, 201, headers)
    return response if asked.shown else Response(status_code=201, headers=headers)


def no_table(name: str) -> RestError:
    """There is none, or it is not served."""
    message = f"Could not find the table 'public.{name}' in the schema cache"
    hint = "This gateway serves functions, POST /rest/v1/rpc/<function>, and inserts, POST /rest/v1/images."
    return RestError(404, "PGRST205", message, hint=hint)


def _check_parameters(request: Request) -> None:
    others = request.query_params.keys() - _PARAMETERS
    if others:
        message = "This gateway takes only `select` and `columns` on an insert: the rest would be ignored"
        raise RestError(400, "PGRST100", message, hint=f"Leave out {', '.join(sorted(others))}.")


def _preferences(request: Request) -> set[str]:
    given = {item.strip() for line in request.headers.getlist("prefer") for item in line.split(",")}
    refused = sorted(item for item in given if item.startswith(_REFUSED_PREFERENCES))
    if refused:
        message = "This gateway neither merges rows nor fills in what some of them lack"
        raise RestError(400, "PGRST122", message, hint=f"Leave out {', '.join(refused)}.")
    return given


def _columns(request: Request, body: Parsed) -> tuple[str, ...]:
    """As the query lists them: then a row may lack some, which are null. Else what every row has."""
    listed = request.query_params.get("columns")
    if listed is not None:
        return tuple(dict.fromkeys(name.strip().strip('"') for name in listed.split(",")))
    rows = body.value if isinstance(body.value, list) else [body.value]
    keys = [row.keys() if isinstance(row, dict) else None for row in rows]
    if None in keys or any(other != keys[0] for other in keys):
        raise RestError(400, "PGRST102", "All object keys must match")
    return tuple(keys[0] or ()) if keys else ()


def _shown(request: Request) -> tuple[str, ...]:
    shown = tuple(name.strip() for name in request.query_params.get("select", "*").split(","))
    if not all(map(_SHOWN.fullmatch, shown)):
        message = "This gateway takes only names of columns in `select`"
        raise RestError(400, "PGRST100", message, hint="Leave out aliases, casts and embedded tables.")
    return shown


def _statement(table: str, asked: Insert, types: Mapping[str, str]) -> sql.Composed:
    """A statement of one parameter, the rows. It answers: what is shown of them as JSON, and how many.

    Values are cast by `json_to_recordset`, as in PostgREST: that decides which JSON fits which type.
    """
    names = [sql.Identifier(name) for name in asked.columns]
    typed = [name + sql.SQL(f" {types[column]}") for name, column in zip(names, asked.columns, strict=True)]
    source = "({names}) select {names} from json_to_recordset(%s::json) as _row ({typed})"
    shown = [sql.SQL("*") if name == "*" else sql.Identifier(name) for name in asked.shown]
    returned = [sql.SQL("{}.{}").format(sql.Identifier(table), item) for item in shown]
    return sql.SQL(
        "with _inserted as (insert into public.{table} {source} returning {returned})"
        " select coalesce(json_agg(_inserted), '[]')::text, count(*) from _inserted"
    ).format(
        table=sql.Identifier(table),
        source=sql.SQL(source if names else "select from json_array_elements(%s::json)").format(
            names=sql.SQL(", ").join(names), typed=sql.SQL(", ").join(typed)
        ),
        returned=sql.SQL(", ").join(returned) if returned else sql.SQL("1"),
    )
