"""`/storage/v1/object`: reading objects, by right, by a public bucket or by a signed link."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local.gateway import rows
from infra.local.gateway.access import as_caller, as_owner, check_key, known_caller, storage_caller
from infra.local.gateway.bodies import SignObject, SignObjects, parse_body
from infra.local.gateway.database import Pool
from infra.local.gateway.errors import StorageError, no_bucket, no_object
from infra.local.gateway.files import Files
from infra.local.gateway.rows import Json, ObjectKey
from infra.local.gateway.tokens import Caller, TokenRefused, Tokens

_NOT_SIGNED = "Either the object does not exist or you do not have access to it"
_ATTEMPTS = 3
_PLAIN = "/!'()*&$=@;:+,"  # what encodeURI leaves alone, but for the question mark


class Downloads:
    """The routes under `/object` that read."""

    def __init__(self, pool: Pool, tokens: Tokens, files: Files) -> None:
        self._pool = pool
        self._tokens = tokens
        self._files = files

    def routes(self) -> list[Route]:
        """To be mounted at `/storage/v1`, before the routes that begin with a bucket's name."""
        return [
            Route("/object/sign/{bucket}", self._sign_many, methods=["POST"]),
            Route("/object/sign/{bucket}/{name:path}", self._sign, methods=["POST"]),
            Route("/object/sign/{bucket}/{name:path}", self._signed, methods=["GET"]),
            Route("/object/public/{bucket}/{name:path}", self._public, methods=["GET"]),
            Route("/object/info/public/{bucket}/{name:path}", self._info_public, methods=["GET"]),
            Route("/object/info/authenticated/{bucket}/{name:path}", self._info, methods=["GET"]),
            Route("/object/info/{bucket}/{name:path}", self._info, methods=["GET"]),
            Route("/object/authenticated/{bucket}/{name:path}", self._download, methods=["GET"]),
            Route("/object/{bucket}/{name:path}", self._download, methods=["GET"]),
        ]

    async def _download(self, request: Request) -> Response:
        return await self._serve(request, known_caller(request, self._tokens))

    async def _public(self, request: Request) -> Response:
        return await self._serve(request, None)

    async def _info(self, request: Request) -> Response:
        return JSONResponse(_described(await self._find(request, known_caller(request, self._tokens))))

    async def _info_public(self, request: Request) -> Response:
        return JSONResponse(_described(await self._find(request, None)))

    async def _serve(self, request: Request, caller: Caller | None) -> Response:
        return await self._read(request, lambda: self._find(request, caller))

    async def _read(self, request: Request, find: Callable[[], Awaitable[Json | None]]) -> Response:
        """An overwrite may remove the bytes between row and file: then look at the row again."""
        for _ in range(_ATTEMPTS):
            found = await find()
            content = await self._files.read(str(found["version"])) if found else None
            if found and content is not None:
                return _response(request, found, content)
        raise no_object()

    async def _find(self, request: Request, caller: Caller | None) -> Json:
        """The row, if the bucket is public or the caller may see it."""
        key = _key(request)
        async with as_owner(self._pool) as connection:
            bucket = await rows.find_bucket(connection, key.bucket)
            if bucket is None or (caller is None and not bucket["public"]):
                raise no_bucket()
            found = await rows.find_object(connection, key) if bucket["public"] else None
        if caller is not None and not bucket["public"]:
            async with as_caller(self._pool, caller, request) as connection:
                found = await rows.find_object(connection, key)
        if found is None:
            raise no_object()
        return found

    async def _sign(self, request: Request) -> Response:
        """One link, its path percent-encoded."""
        asked = await parse_body(request, SignObject)
        key = _key(request)
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            if await rows.find_object(connection, key) is None:
                raise no_object()
        token = self._tokens.sign_download(key.path(), asked.expires_in_s)
        return JSONResponse({"signedURL": f"/object/sign/{quote(key.path(), safe=_PLAIN)}?token={token}"})

    async def _sign_many(self, request: Request) -> Response:
        """One entry a name, in order. Here Storage does not encode the paths, so neither do we."""
        asked = await parse_body(request, SignObjects)
        bucket = request.path_params["bucket"]
        async with as_caller(self._pool, storage_caller(request, self._tokens), request) as connection:
            seen = await rows.existing_names(connection, bucket, asked.paths)
        entries = [self._signed_entry(ObjectKey(bucket, name), asked, seen) for name in asked.paths]
        return JSONResponse(entries)

    def _signed_entry(self, key: ObjectKey, asked: SignObjects, seen: set[str]) -> Json:
        if key.name not in seen:
            return {"error": _NOT_SIGNED, "path": key.name, "signedURL": None}
        token = self._tokens.sign_download(key.path(), asked.expires_in_s)
        link = f"/object/sign/{key.path()}?token={token}"
        return {"error": None, "path": key.name, "signedURL": link}

    async def _signed(self, request: Request) -> Response:
        """Whoever has the link may read: the signer's right was checked when it was made."""
        key = _key(request)
        try:
            opens = self._tokens.opens(request.query_params.get("token", ""), key.path())
        except TokenRefused as exc:
            raise StorageError(400, "InvalidJWT", str(exc)) from exc
        if not opens:
            raise StorageError(400, "InvalidSignature", "Invalid signature")

        async def find() -> Json | None:
            async with as_owner(self._pool) as connection:
                return await rows.find_object(connection, key)

        return await self._read(request, find)


def _key(request: Request) -> ObjectKey:
    return ObjectKey(request.path_params["bucket"], check_key(request.path_params["name"]))


def _response(request: Request, found: Json, content: bytes) -> Response:
    metadata = _metadata(found)
    etag = str(metadata.get("eTag", ""))
    headers = {
        "ETag": etag,
        "Cache-Control": str(metadata.get("cacheControl", "no-cache")),
        "Last-Modified": _http_date(str(found["updated_at"])),
        "X-Robots-Tag": "none",
        "X-Content-Type-Options": "nosniff",
    }
    if etag and request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    download = request.query_params.get("download")
    if download is not None:
        name = quote(download, safe="")
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}" if name else "attachment;"
    response = Response(content, headers=headers)
    response.headers["Content-Type"] = str(metadata.get("mimetype", "application/octet-stream"))
    return response


def _http_date(timestamp: str) -> str:
    return format_datetime(datetime.fromisoformat(timestamp).astimezone(UTC), usegmt=True)


def _described(found: Json) -> Json:
    metadata = _metadata(found)
    return {
        "id": found["id"],
        "name": found["name"],
        "version": found["version"],
        "bucket_id": found["bucket_id"],
        "size": metadata.get("size"),
        "content_type": metadata.get("mimetype"),
        "cache_control": metadata.get("cacheControl"),
        "etag": metadata.get("eTag"),
        "metadata": found["user_metadata"],
        "last_modified": found["updated_at"],
        "created_at": found["created_at"],
    }


def _metadata(found: Json) -> Json:
    metadata = found["metadata"]
    return metadata if isinstance(metadata, dict) else {}
