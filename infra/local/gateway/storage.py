"""`/storage/v1/object`: uploading, moving, copying and removing objects."""

from datetime import UTC, datetime

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.gateway import rows
from infra.local.gateway.access import as_caller, as_owner, check_key, go_on_as, storage_caller
from infra.local.gateway.bodies import RemoveObjects, Transfer, parse_body
from infra.local.gateway.database import Pool
from infra.local.gateway.errors import StorageError, no_bucket, no_object
from infra.local.gateway.files import Files, Stored
from infra.local.gateway.locks import ObjectLocks
from infra.local.gateway.rows import Json, NewObject, ObjectKey
from infra.local.gateway.tokens import Caller, TokenRefused, Tokens, UploadRight
from infra.local.gateway.uploads import Limits, Upload, receive

_UPLOAD_LINK_EXPIRES_S = 7200  # as hosted


class Storage:
    """The routes under `/object` that write. Row-level security decides: the rows are written under
    the caller's role, in the transaction that makes the bytes known."""

    def __init__(self, pool: Pool, tokens: Tokens, files: Files, size_limit_bytes: int) -> None:
        self._pool = pool
        self._tokens = tokens
        self._files = files
        self._size_limit_bytes = size_limit_bytes
        self._locks = ObjectLocks()

    def routes(self) -> list[Route]:
        """To be mounted at `/storage/v1`; the fixed words come before buckets' names."""
        return [
            Route("/object/move", self._move, methods=["POST"]),
            Route("/object/copy", self._copy, methods=["POST"]),
            Route("/object/upload/sign/{bucket}/{name:path}", self._sign_upload, methods=["POST"]),
            Route("/object/upload/sign/{bucket}/{name:path}", self._upload_signed, methods=["PUT"]),
            Route("/object/{bucket}", self._remove, methods=["DELETE"]),
            Route("/object/{bucket}/{name:path}", self._upload, methods=["POST"]),
            Route("/object/{bucket}/{name:path}", self._update, methods=["PUT"]),
            Route("/object/{bucket}/{name:path}", self._delete, methods=["DELETE"]),
        ]

    async def _upload(self, request: Request) -> Response:
        return await self._put(request, overwrite=_may_overwrite(request))

    async def _update(self, request: Request) -> Response:
        """Makes a missing object as well, as in Storage."""
        return await self._put(request, overwrite=True)

    async def _put(self, request: Request, *, overwrite: bool) -> Response:
        caller = storage_caller(request, self._tokens)
        right = UploadRight(caller.user_id, overwrite)
        return await self._receive(request, _key(request), right, caller)

    async def _sign_upload(self, request: Request) -> Response:
        """A link, if the caller could upload it now: that is tried, and undone. Here Storage does not encode
        the path, so neither do we."""
        caller = storage_caller(request, self._tokens)
        key, right = _key(request), UploadRight(caller.user_id, _may_overwrite(request))
        async with as_caller(self._pool, caller, request) as connection:
            tried = NewObject(key, "1", right.owner_id, {}, {})
            await rows.put_object(connection, tried, overwrite=right.overwrite)
            raise psycopg.Rollback
        token = self._tokens.sign_upload(key.path(), right, _UPLOAD_LINK_EXPIRES_S)
        return JSONResponse({"url": f"/object/upload/sign/{key.path()}?token={token}", "token": token})

    async def _upload_signed(self, request: Request) -> Response:
        """Whoever has the link may write: the signer's right was checked when it was made."""
        key = _key(request)
        try:
            right = self._tokens.upload_right(request.query_params.get("token", ""), key.path())
        except TokenRefused as exc:
            raise StorageError(400, "InvalidJWT", str(exc)) from exc
        if right is None:
            raise StorageError(400, "InvalidSignature", "Invalid signature")
        return await self._receive(request, key, right, None)

    async def _receive(
        self, request: Request, key: ObjectKey, right: UploadRight, caller: Caller | None
    ) -> Response:
        upload = await receive(request, await self._limits(key.bucket))
        with upload.file:
            stored = await self._files.write(upload.file)
        new = NewObject(key, stored.version, right.owner_id, _metadata(stored, upload), upload.user_metadata)
        object_id = await self._record(new, caller, request, overwrite=right.overwrite)
        return JSONResponse({"Id": object_id, "Key": key.path()})

    async def _record(
        self, new: NewObject, caller: Caller | None, request: Request, *, overwrite: bool
    ) -> str:
        """Point the row to the new bytes, then forget the old ones. Answers the row's id. Without a caller,
        no policy is asked."""
        async with self._locks.hold(new.key), as_owner(self._pool) as connection:
            old = await rows.hold_object(connection, new.key)
            if caller is not None:
                await go_on_as(connection, caller, request)
            async with self._files.dropped_if_refused(new.version):
                new_id = await rows.put_object(connection, new, overwrite=overwrite)
        if old is None:
            return str(new_id)
        await self._files.remove([old.version])
        return str(old.id)

    async def _limits(self, bucket: str) -> Limits:
        async with as_owner(self._pool) as connection:
            found = await rows.find_bucket(connection, bucket)
        if found is None:
            raise no_bucket()
        limit, types = found["file_size_limit"], found["allowed_mime_types"]
        return Limits(
            min(limit, self._size_limit_bytes) if isinstance(limit, int) else self._size_limit_bytes,
            tuple(types) if isinstance(types, list) else (),
        )

    async def _move(self, request: Request) -> Response:
        """The row keeps its id; its version is new, as after an overwrite."""
        caller = storage_caller(request, self._tokens)
        source, target = _ends(await parse_body(request, Transfer))
        async with self._locks.hold(source, target), as_owner(self._pool) as connection:
            old = await rows.hold_object(connection, source)
            if old is None or old.version is None:
                raise no_object()
            await go_on_as(connection, caller, request)
            async with self._files.copied(old.version) as version:
                if not await rows.rename_object(connection, source, target, version, caller.user_id):
                    raise no_object()
        await self._files.remove([old.version])
        return JSONResponse({"message": "Successfully moved", "Id": str(old.id), "Key": target.name})

    async def _copy(self, request: Request) -> Response:
        caller = storage_caller(request, self._tokens)
        source, target = _ends(await parse_body(request, Transfer))
        overwrite = _may_overwrite(request)
        async with self._locks.hold(source, target), as_owner(self._pool) as connection:
            old = await rows.hold_object(connection, target)
            await go_on_as(connection, caller, request)
            found = await rows.find_object(connection, source)
            if found is None:
                raise no_object()
            async with self._files.copied(str(found["version"])) as version:
                new = _copy_of(found, target, version, caller)
                await rows.put_object(connection, new, overwrite=overwrite)
                made = await rows.find_object(connection, target)
        if old is not None:
            await self._files.remove([old.version])
        return JSONResponse({"Key": target.path(), **({"Id": made["id"], **made} if made else {})})

    async def _remove(self, request: Request) -> Response:
        """Names that are not there, or not the caller's to delete, are just absent from the answer."""
        names = (await parse_body(request, RemoveObjects)).prefixes
        return JSONResponse(await self._delete_rows(request, names))

    async def _delete(self, request: Request) -> Response:
        if not await self._delete_rows(request, [request.path_params["name"]]):
            raise no_object()
        return JSONResponse({"message": "Successfully deleted"})

    async def _delete_rows(self, request: Request, names: list[str]) -> list[Json]:
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            deleted = await rows.delete_objects(connection, request.path_params["bucket"], names)
        await self._files.remove(str(row["version"]) for row in deleted)
        return deleted


def _key(request: Request) -> ObjectKey:
    return ObjectKey(request.path_params["bucket"], check_key(request.path_params["name"]))


def _may_overwrite(request: Request) -> bool:
    return request.headers.get("x-upsert") == "true"


def _ends(asked: Transfer) -> tuple[ObjectKey, ObjectKey]:
    target = ObjectKey(asked.target_bucket or asked.bucket, check_key(asked.target))
    return ObjectKey(asked.bucket, asked.source), target


def _copy_of(found: Json, target: ObjectKey, version: str, caller: Caller) -> NewObject:
    metadata = {**_object(found["metadata"]), "lastModified": _now()}
    return NewObject(target, version, caller.user_id, metadata, _object(found["user_metadata"]))


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _metadata(stored: Stored, upload: Upload) -> Json:
    return {
        "eTag": f'"{stored.md5}"',
        "size": stored.size_bytes,
        "mimetype": upload.mime_type,
        "cacheControl": upload.cache_control,
        "lastModified": _now(),
        "contentLength": stored.size_bytes,
        "httpStatusCode": 200,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
