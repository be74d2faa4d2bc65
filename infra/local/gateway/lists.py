"""`/storage/v1/object/list` and `/list-v2`: what is in a bucket."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.gateway import pages
from infra.local.gateway.access import as_caller, storage_caller
from infra.local.gateway.bodies import ListObjects, ListObjectsV2, parse_body, write_cursor
from infra.local.gateway.database import Pool
from infra.local.gateway.rows import Json
from infra.local.gateway.tokens import Tokens


class Lists:
    """The routes under `/object` that list. What the caller may not see is not there."""

    def __init__(self, pool: Pool, tokens: Tokens) -> None:
        self._pool = pool
        self._tokens = tokens

    def routes(self) -> list[Route]:
        """To be mounted at `/storage/v1`, before the routes that begin with a bucket's name."""
        return [
            Route("/object/list/{bucket}", self._list, methods=["POST"]),
            Route("/object/list-v2/{bucket}", self._list_v2, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        page = (await parse_body(request, ListObjects)).page()
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            return JSONResponse(await pages.list_objects(connection, request.path_params["bucket"], page))

    async def _list_v2(self, request: Request) -> Response:
        page = (await parse_body(request, ListObjectsV2)).page()
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            found = await pages.list_objects_v2(connection, request.path_params["bucket"], page)
        listed: list[Json] = found[: page.limit]
        answer: dict[str, object] = {
            "hasNext": len(found) > page.limit,
            "folders": [entry for entry in listed if entry["id"] is None],
            "objects": [entry for entry in listed if entry["id"] is not None],
        }
        if answer["hasNext"]:
            answer |= {"nextCursor": write_cursor(page, listed[-1]), "nextCursorKey": listed[-1]["name"]}
        return JSONResponse(answer)
