"""Google Cloud Storage, through obstore."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, cast
from urllib.parse import quote

from shared.errors import InputError
from shared.models import generation_key
from shared.storage.buckets import Kind
from shared.storage.clouds import CloudStorage, http_options

if TYPE_CHECKING:  # obstore is imported when it is used
    from obstore import ObjectMeta
    from obstore.store import GCSConfig, GCSStore

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,221}")


def _ordering_key(meta: "ObjectMeta") -> str | None:
    """The generation; a list does not tell it."""
    return generation_key(meta["version"]) if meta["version"] else None


_GOOGLE: Final = Kind(
    "Google Cloud Storage",
    may_read="It needs the role storage.objectViewer.",
    may_write="It needs the role storage.objectUser.",
    may_list="It needs the role storage.objectViewer.",
    may_sign="Without a key file the account needs the role iam.serviceAccountTokenCreator on itself.",
    ordering_key=_ordering_key,
)


class GcsStorage(CloudStorage):
    """An `ObjectStore` over Google's buckets.

    The version is the ETag of the XML API and not the generation, because obstore's list does not tell that;
    the generation is the ordering key. An upload link can be used more than once until it expires.
    """

    def __init__(
        self, *, link_expires_s: int, timeout_s: float, config: Mapping[str, str] | None = None
    ) -> None:
        """Credentials come from where Google's own tools take them (`GOOGLE_APPLICATION_CREDENTIALS`, the
        metadata server), unless `config` (obstore's `GCSConfig`) says otherwise."""
        client_options, retry_config = http_options(timeout_s)
        explicit = cast("GCSConfig", dict(config or {}))

        def store_of(bucket: str) -> "GCSStore":
            from obstore.store import GCSStore

            if not _BUCKET.fullmatch(bucket):
                raise InputError(f"no bucket of Google is called {bucket!a}")
            return GCSStore(bucket, config=explicit, client_options=client_options, retry_config=retry_config)

        super().__init__(store_of, _GOOGLE, link_expires_s=link_expires_s)

    def _signed(self, method: Literal["GET", "PUT"], bucket: str, names: Sequence[str]) -> Sequence[str]:
        """obstore puts names into Google's links as they are: with a `#`, one led to another object."""
        return super()._signed(method, bucket, [quote(name) for name in names])
