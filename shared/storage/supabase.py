"""Supabase Storage, through storage3."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

import httpx
from storage3 import SyncStorageClient
from storage3.exceptions import StorageApiError

from shared.errors import AccessDenied, ObjectGone, Unavailable
from shared.models import ObjectRef, StoredObject, UploadLink
from shared.storage.faults import no_bucket
from shared.storage.links import LinkMemory
from shared.storage.names import check_name, check_path, unaddressable
from shared.storage.supabase_faults import answered, check
from shared.tls import tls_context

_MOST_AT_ONCE: Final = 1000
_DUPLICATE: Final = "409"
_TOKEN: Final = re.compile(r"[!-~]+")


class Opened:
    """An object whose bytes are about to be read."""

    def __init__(self, stored: StoredObject, response: httpx.Response) -> None:
        self.stored = stored
        self._response = response

    def read(self) -> bytes:
        """Its bytes. Raises `Unavailable`."""
        data = bytearray()
        with answered():
            # Into one piece of memory: thousands of small ones, all at once, are never given back.
            for chunk in self._response.iter_raw():
                data += chunk
        return bytes(data)


class SupabaseStorage:
    """An `ObjectStore` over one project's Storage."""

    knows_callers = True

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        anon_key: str,
        heads: Callable[[Sequence[ObjectRef]], list[StoredObject | None]],
        list_page: Callable[[str, str, int], list[StoredObject]],
        link_expires_s: int,
        timeout_s: float,
    ) -> None:
        """`heads` and `list_page` ask the database: Storage's own API tells neither owners nor versions."""
        self._url = f"{url}/storage/v1/"
        self._http = httpx.Client(verify=tls_context(), timeout=timeout_s)
        self._service_key = service_key
        self._anon_key = anon_key
        self._heads = heads
        self._list_page = list_page
        self._link_expires_s = link_expires_s
        self._links = LinkMemory(link_expires_s)

    def heads(self, refs: Sequence[ObjectRef]) -> list[StoredObject | None]:
        """What is stored under these names now, in order."""
        return self._heads(refs)

    def list_page(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """The next objects whose names come after `after`, by the names' UTF-8 bytes."""
        return self._list_page(bucket, after, limit)

    @contextmanager
    def open(self, ref: ObjectRef) -> Iterator[Opened]:
        """An object, its bytes not read yet, and without a version: the database asks storage for that.

        Raises `ObjectGone`, also when Storage takes our key for none: it answers both alike.
        """
        # Identity: otherwise the length could be that of a compressed body.
        headers = {**self._headers(None), "Accept-Encoding": "identity"}
        request = self._http.build_request("GET", self._object_url("", ref), headers=headers)
        with answered():
            response = self._http.send(request, stream=True)
        try:
            with answered():
                check(response)
            yield Opened(_described(ref, response.headers), response)
        finally:
            response.close()

    def put(self, ref: ObjectRef, data: bytes, *, content_type: str) -> None:
        """Write an object, over what is there; a missing bucket is made, private. Raises `InputError`."""
        if "%" in check_name(ref.name):
            raise unaddressable(ref.name, "Supabase Storage takes no percent sign")
        try:
            self._upload(ref, data, content_type)
        except ObjectGone:
            with answered():
                self._make_bucket(ref.bucket)
            self._upload(ref, data, content_type)

    def delete(self, refs: Sequence[ObjectRef], *, caller_token: str | None = None) -> None:
        """Delete objects; what is not there, or not the caller's to delete, is no error."""
        client = self._client(caller_token)
        for bucket, names in _batches(refs):
            with answered(caller_token):
                client.from_(bucket).remove(names)

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str | None) -> list[str | None]:
        """An expiring link to each object, in order; None for one that is gone or not the caller's to read.

        Raises `AccessDenied`.
        """
        known = self._links.known(refs, caller_token)
        signed = self._signed([ref for ref in refs if ref not in known], caller_token)
        self._links.keep(signed, caller_token)
        return [known.get(ref) or signed.get(ref) for ref in refs]

    def _signed(self, refs: Sequence[ObjectRef], caller_token: str | None) -> dict[ObjectRef, str | None]:
        client = self._client(caller_token)
        signed: dict[ObjectRef, str | None] = {}
        for bucket, names in _batches(refs):
            with answered(caller_token):
                links = client.from_(bucket).create_signed_urls(names, self._link_expires_s)
            if len(links) != len(names):
                raise Unavailable(f"Supabase Storage answered {len(links)} links for {len(names)} names")
            for name, link in zip(names, links, strict=True):
                ref = ObjectRef(bucket, name)
                signed[ref] = self._link(ref, link["signedURL"])
        return signed

    def upload_link(self, ref: ObjectRef, *, content_type: str, caller_token: str | None) -> UploadLink:
        """A right to upload one object that is not there yet; how long it lasts is the project's setting.

        Raises `AccessDenied`, `InputError`.
        """
        # Not by storage3: it cannot read the answer for a name with a question mark.
        url = self._object_url("upload/sign/", ref)
        try:
            with answered(caller_token):
                answer = check(self._http.post(url, headers=self._headers(caller_token)))
        except ObjectGone as exc:
            if caller_token is not None:  # who named it
                raise AccessDenied("there is no such bucket, or none for this caller") from exc
            raise no_bucket(ref.bucket) from exc
        token = answer.json()["url"].rpartition("token=")[2]
        return UploadLink(f"{url}?token={token}", "PUT", {"Content-Type": content_type})

    def _upload(self, ref: ObjectRef, data: bytes, content_type: str) -> None:
        """As bare bytes: a form, as storage3 sends it, has to be made and taken apart."""
        headers = {**self._headers(None), "Content-Type": content_type, "x-upsert": "true"}
        with answered():
            check(self._http.post(self._object_url("", ref), content=data, headers=headers))

    def _make_bucket(self, bucket: str) -> None:
        try:
            self._client(None).create_bucket(bucket)
        except StorageApiError as exc:
            if str(exc.status) != _DUPLICATE:  # somebody was faster
                raise

    def _client(self, caller_token: str | None) -> SyncStorageClient:
        return SyncStorageClient(self._url, self._headers(caller_token), http_client=self._http)

    def _headers(self, caller_token: str | None) -> dict[str, str]:
        """The caller's rights, or our own without a token."""
        if caller_token in {None, self._service_key}:
            return {"apikey": self._service_key, "Authorization": f"Bearer {self._service_key}"}
        if not _TOKEN.fullmatch(caller_token):
            raise AccessDenied("the token is not one: it holds other than visible ASCII characters")
        return {"apikey": self._anon_key, "Authorization": f"Bearer {caller_token}"}

    def _object_url(self, act: str, ref: ObjectRef) -> str:
        return (
            f"{self._url}object/{act}{quote(check_path(ref.bucket), safe='')}/{quote(check_path(ref.name))}"
        )

    def _link(self, ref: ObjectRef, signed_url: str | None) -> str | None:
        """The batch answer holds names unencoded, and `?` would end one early: only its token is used."""
        if signed_url is None:
            return None
        return f"{self._object_url('sign/', ref)}?token={signed_url.rpartition('token=')[2]}"


def _described(ref: ObjectRef, headers: Mapping[str, str]) -> StoredObject:
    if not headers.get("content-length", "").isdecimal():
        raise Unavailable("Supabase Storage does not say how large the object is")
    etag = headers.get("etag", "").removeprefix("W/").strip('"')
    return StoredObject(ref, None, int(headers["content-length"]), etag or None)


def _batches(refs: Sequence[ObjectRef]) -> Iterator[tuple[str, list[str]]]:
    """A bucket with some of its names, as many as Storage takes at once."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for ref in refs:
        names[ref.bucket].append(ref.name)
    for bucket, wanted in names.items():
        for start in range(0, len(wanted), _MOST_AT_ONCE):
            yield bucket, wanted[start : start + _MOST_AT_ONCE]
