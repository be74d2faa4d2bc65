"""What the stores of S3 and Google share beyond reading and writing: lists and links."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from shared.errors import ObjectGone, PixseekError, SettingsError, Unavailable
from shared.models import ObjectRef, StoredObject, UploadLink
from shared.storage.buckets import Kind, ObstoreStorage
from shared.storage.faults import translated
from shared.storage.listing import objects_after

if TYPE_CHECKING:  # obstore is imported when it is used
    from obstore.store import ClientConfig, GCSStore, RetryConfig, S3Store

_RETRIES: Final = 2
_SOME_NAME: Final = "pixseek"


class CloudStorage(ObstoreStorage):
    """An `ObjectStore` that knows no callers: links are made with our own rights, to whatever is asked."""

    def __init__(
        self, store_of: "Callable[[str], S3Store | GCSStore]", kind: Kind, *, link_expires_s: int
    ) -> None:
        def made(bucket: str) -> "S3Store | GCSStore":
            from obstore.exceptions import BaseError

            try:
                return store_of(bucket)
            except BaseError as exc:
                raise SettingsError(f"{kind.name} cannot be set up: look at its keys and endpoint") from exc

        self._cloud_store_of = cache(made)
        self._link_expires = timedelta(seconds=link_expires_s)
        super().__init__(self._cloud_store_of, kind)

    def list_page(self, bucket: str, *, after: str = "", limit: int = 1000) -> list[StoredObject]:
        """The next objects whose names come after `after`, by the names' UTF-8 bytes; without metadata.

        Names that begin or end with a slash are passed over. Raises `SettingsError` for a bucket that is not
        there, may not be listed, or holds a name that obstore cannot express.
        """
        after = after and self._checked(after)
        try:
            with self._reading():
                found = list(islice(objects_after(self._cloud_store_of(bucket), after), limit))
        except Unavailable as exc:
            raise self._why_unlisted(bucket, exc) from exc
        return [self._described(ObjectRef(bucket, meta["path"]), meta, {}) for meta in found]

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str | None) -> list[str | None]:  # noqa: ARG002 -- see the class
        """An expiring link to each object, in order; None for a name that cannot be sent."""
        wanted = [ref for ref in refs if self._is_addressable(ref.name)]
        signed = {
            ObjectRef(bucket, name): link
            for bucket, names in self._by_bucket(wanted).items()
            for name, link in zip(names, self._signed("GET", bucket, names), strict=True)
        }
        return [signed.get(ref) for ref in refs]

    def upload_link(self, ref: ObjectRef, *, content_type: str, caller_token: str | None) -> UploadLink:  # noqa: ARG002 -- see the class
        """An expiring right to write one object, over what is there. Raises `InputError` for a name."""
        [url] = self._signed("PUT", ref.bucket, [self._checked(ref.name)])
        return UploadLink(url, "PUT", {"Content-Type": content_type})

    def _signed(self, method: Literal["GET", "PUT"], bucket: str, names: Sequence[str]) -> Sequence[str]:
        import obstore

        try:
            with self._reading():
                return obstore.sign(self._cloud_store_of(bucket), method, names, self._link_expires)
        except Unavailable as exc:
            raise Unavailable(f"no link could be signed. {self._kind.may_sign}") from exc

    def _why_unlisted(self, bucket: str, error: Unavailable) -> PixseekError:
        """obstore has one error for all that befalls a list; when it answers otherwise, that is refused."""
        import obstore

        why = f"is it there, and may the function list it? {self._kind.may_list}"
        unlisted = SettingsError(f"the bucket {bucket!a} cannot be listed: {why}")
        try:
            with translated(self._kind.name, refused=unlisted):
                obstore.head(self._cloud_store_of(bucket), _SOME_NAME)
        except (ObjectGone, SettingsError):
            return unlisted
        except Unavailable:
            return error
        return unlisted


def http_options(timeout_s: float) -> "tuple[ClientConfig, RetryConfig]":
    """A few tries within the time. Plain HTTP is for an endpoint that the operator names, on this machine."""
    whole, connecting = timedelta(seconds=timeout_s), timedelta(seconds=min(timeout_s, 5.0))
    client: ClientConfig = {"timeout": whole, "connect_timeout": connecting, "allow_http": True}
    retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": whole}
    return client, retry
