"""JSON as PostgREST takes and gives it."""

import json
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from starlette.requests import Request
from starlette.responses import Response

from infra.local.gateway.errors import RestError

JSON = "application/json; charset=utf-8"
_OBJECT = "application/vnd.pgrst.object+json"


class Parsed(NamedTuple):
    """A body: the text goes to Postgres as it came, the value says what is in it."""

    text: str
    value: object


def parse_json(body: bytes) -> Parsed:
    """Raises `RestError`."""
    try:
        text = body.decode()
        return Parsed(text, json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as exc:
        raise RestError(400, "PGRST102", "Empty or invalid json") from exc


def wants_object(request: Request) -> bool:
    """Whether the client wants one row that is not in a list: `.single()`."""
    return _OBJECT in request.headers.get("accept", "")


def rows_response(
    request: Request, rows: str, shown: int, status: int, headers: Mapping[str, str]
) -> Response:
    """A JSON array of so many rows, or the only one as an object.

    Raises `RestError` when an object is wanted and there is not just one row.
    """
    if not wants_object(request):
        return Response(rows, status, headers, JSON)
    if shown != 1:
        message = "Cannot coerce the result to a single JSON object"
        raise RestError(406, "PGRST116", message, f"The result contains {shown} rows")
    return Response(first_item(rows), status, headers, f"{_OBJECT}; charset=utf-8")


def first_item(rows: str) -> str:
    """The only item of a JSON array."""
    return rows.strip()[1:-1].strip()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
