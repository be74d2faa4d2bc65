"""Supabase Storage, through storage3."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from urllib.parse import quote

import httpx
from storage3 import SyncStorageClient
from storage3._sync.file_api import SyncBucketProxy
from storage3.exceptions import StorageApiError

from shared.errors import AccessDenied, ObjectGone, SettingsError, Unavailable
from shared.models import ObjectRef, StoredObject

_MAX_SIGNED_AT_ONCE = 1000
_DENIED = {"401", "403"}


class SupabaseStorage:
    """An `ObjectStore` over one project's Storage."""

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        anon_key: str,
        head: Callable[[ObjectRef], StoredObject | None],
        link_expires_s: int,
        timeout_s: float,
    ) -> None:
        """`head` asks the database: Storage's own API does not tell who owns an object."""
        self._url = f"{url}/storage/v1/"
        self._http = httpx.Client(timeout=timeout_s)
        self._service = self._client(service_key, service_key)
        self._anon_key = anon_key
        self._head = head
        self._link_expires_s = link_expires_s

    def head(self, ref: ObjectRef) -> StoredObject | None:
        """What is stored under this name now; None when nothing is. Raises `Unavailable`."""
        return self._head(ref)

    def read(self, ref: ObjectRef) -> bytes:
        """The object's bytes. Raises `ObjectGone`, `Unavailable`."""
        try:
            return self._service.from_(ref.bucket).download(ref.name)
        except StorageApiError as exc:
            if str(exc.status) == "404":
                raise ObjectGone("no object of this name in the bucket") from exc
            raise _translated(exc) from exc
        except httpx.HTTPError as exc:
            raise Unavailable("Supabase Storage does not answer") from exc

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str) -> list[str | None]:
        """An expiring link to each object, in order; None for one that is gone or not the caller's to read.

        Raises `AccessDenied`, `Unavailable`.
        """
        client = self._client(self._anon_key, caller_token)
        names: defaultdict[str, list[str]] = defaultdict(list)
        for ref in refs:
            names[ref.bucket].append(ref.name)
        signed = {
            ObjectRef(bucket, name): link
            for bucket, wanted in names.items()
            for name, link in zip(wanted, self._sign(client.from_(bucket), wanted), strict=True)
        }
        return [signed[ref] for ref in refs]

    def _sign(self, bucket: SyncBucketProxy, names: Sequence[str]) -> list[str | None]:
        links: list[str | None] = []
        for start in range(0, len(names), _MAX_SIGNED_AT_ONCE):
            batch = list(names[start : start + _MAX_SIGNED_AT_ONCE])
            try:
                signed = bucket.create_signed_urls(batch, self._link_expires_s)
            except StorageApiError as exc:
                if str(exc.status) in _DENIED:
                    raise AccessDenied("Supabase Storage refuses this caller") from exc
                raise _translated(exc) from exc
            except httpx.HTTPError as exc:
                raise Unavailable("Supabase Storage does not answer") from exc
            links += [
                self._link(bucket.id, name, item["signedURL"])
                for name, item in zip(batch, signed, strict=True)
            ]
        return links

    def _client(self, api_key: str, token: str) -> SyncStorageClient:
        headers = {"apikey": api_key, "Authorization": f"Bearer {token}"}
        return SyncStorageClient(self._url, headers, http_client=self._http)

    def _link(self, bucket: str, name: str, signed_url: str | None) -> str | None:
        """The batch answer holds names unencoded, and `?` would end one early: only its token is used."""
        if signed_url is None:
            return None
        token = signed_url.rpartition("token=")[2]
        return f"{self._url}object/sign/{quote(bucket)}/{quote(name)}?token={token}"


def _translated(error: StorageApiError) -> SettingsError | Unavailable:
    """Storage answers almost every error with HTTP 400; the true status is text in the body."""
    if str(error.status) in _DENIED:
        return SettingsError("Supabase Storage refuses SUPABASE_SERVICE_ROLE_KEY")
    return Unavailable(f"Supabase Storage answered {error.status}")
