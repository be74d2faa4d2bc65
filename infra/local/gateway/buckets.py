"""`/storage/v1/bucket`: making, finding, changing and removing buckets."""

import re

import psycopg
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.gateway import rows
from infra.local.gateway.access import as_caller, check_bucket_name, storage_caller
from infra.local.gateway.bodies import parse_body
from infra.local.gateway.database import Pool
from infra.local.gateway.errors import StorageError, invalid_request, no_bucket
from infra.local.gateway.files import Files
from infra.local.gateway.rows import Json
from infra.local.gateway.tokens import Tokens

_SIZE = re.compile(r"(\d+(?:\.\d+)?)(gb|mb|kb|b)?", re.IGNORECASE)
_UNIT_BYTES = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_CREATE = """
insert into storage.buckets (id, name, public, owner_id, file_size_limit, allowed_mime_types)
values (%(id)s, %(name)s, %(public)s, %(owner_id)s, %(limit)s, %(types)s)
"""
_UPDATE = """
update storage.buckets set
  public = coalesce(%(public)s, public),
  file_size_limit = case when %(set_limit)s then %(limit)s else file_size_limit end,
  allowed_mime_types = case when %(set_types)s then %(types)s else allowed_mime_types end,
  updated_at = now()
where id = %(id)s
"""


class _Bucket(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str | None = None
    name: str | None = None
    public: bool | None = None
    file_size_limit: int | str | None = None
    allowed_mime_types: list[str] | None = None


class Buckets:
    """The routes under `/bucket`."""

    def __init__(self, pool: Pool, tokens: Tokens, files: Files) -> None:
        self._pool = pool
        self._tokens = tokens
        self._files = files

    def routes(self) -> list[Route]:
        """To be mounted at `/storage/v1`."""
        return [
            Route("/bucket", self._list, methods=["GET"]),
            Route("/bucket", self._create, methods=["POST"]),
            Route("/bucket/{bucket}", self._get, methods=["GET"]),
            Route("/bucket/{bucket}", self._update, methods=["PUT"]),
            Route("/bucket/{bucket}", self._delete, methods=["DELETE"]),
            Route("/bucket/{bucket}/empty", self._empty, methods=["POST"]),
        ]

    async def _list(self, request: Request) -> Response:
        found = await self._run(request, "select to_jsonb(b) from storage.buckets b order by name", {})
        return JSONResponse([_published(row) for row in found])

    async def _get(self, request: Request) -> Response:
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            found = await rows.find_bucket(connection, request.path_params["bucket"])
        if found is None:
            raise no_bucket()
        return JSONResponse(_published(found))

    async def _create(self, request: Request) -> Response:
        body = await parse_body(request, _Bucket)
        name = check_bucket_name(body.name or "")
        await self._run(
            request,
            _CREATE,
            {
                "id": body.id or name,
                "name": name,
                "public": body.public or False,
                "owner_id": storage_caller(request, self._tokens).user_id,
                "limit": _limit(body),
                "types": body.allowed_mime_types,
            },
        )
        return JSONResponse({"name": name})

    async def _update(self, request: Request) -> Response:
        body = await parse_body(request, _Bucket)
        given = body.model_fields_set
        parameters = {
            "id": request.path_params["bucket"],
            "public": body.public,
            "limit": _limit(body),
            "set_limit": "file_size_limit" in given,
            "types": body.allowed_mime_types,
            "set_types": "allowed_mime_types" in given,
        }
        await self._run(request, _UPDATE, parameters)
        return JSONResponse({"message": "Successfully updated"})

    async def _delete(self, request: Request) -> Response:
        bucket = request.path_params["bucket"]
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            await connection.execute("select set_config('storage.allow_delete_query', 'true', true)")
            try:
                deleted = await connection.execute("delete from storage.buckets where id = %s", (bucket,))
            except psycopg.errors.ForeignKeyViolation as exc:
                message = "The bucket you tried to delete is not empty"
                raise StorageError(409, "ResourceNotEmpty", message) from exc
            if deleted.rowcount == 0:
                raise no_bucket()
        return JSONResponse({"message": "Successfully deleted"})

    async def _empty(self, request: Request) -> Response:
        """At once, where the hosted service puts it in a queue."""
        bucket = request.path_params["bucket"]
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            if await rows.find_bucket(connection, bucket) is None:
                raise no_bucket()
            deleted = await rows.delete_objects(connection, bucket, None)
        await self._files.remove(str(row["version"]) for row in deleted)
        return JSONResponse({"message": "Successfully emptied"})

    async def _run(self, request: Request, statement: str, parameters: Json) -> list[Json]:
        """One statement as the caller; row-level security decides."""
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            cursor = await connection.execute(statement.encode(), parameters)
            return [row for (row,) in await cursor.fetchall()] if cursor.description else []


def _published(bucket: Json) -> Json:
    """Clients expect an owner, and text."""
    return {**bucket, "owner": bucket["owner"] or ""}


def _limit(body: _Bucket) -> int | None:
    """Bytes from a number or from `5MB`."""
    if body.file_size_limit is None:
        return None
    match = _SIZE.fullmatch(str(body.file_size_limit))
    if match is None:
        raise invalid_request("Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B")
    return int(float(match[1]) * _UNIT_BYTES[(match[2] or "b").lower()])
