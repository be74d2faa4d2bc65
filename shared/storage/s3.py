"""S3 and what speaks like it, through obstore."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from shared.errors import InputError
from shared.storage.buckets import Kind
from shared.storage.clouds import CloudStorage, http_options

if TYPE_CHECKING:  # obstore is imported when it is used
    from obstore.store import S3Config, S3Store

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")
_S3: Final = Kind(
    "S3",
    may_read="It needs s3:GetObject, and s3:ListBucket, without which S3 refuses what is not there.",
    may_write="It needs s3:PutObject and s3:DeleteObject.",
    may_list="It needs s3:ListBucket.",
    may_sign="It needs AWS credentials.",
    ordering_key=lambda _: None,
    deletes_many=True,
)


class S3Storage(CloudStorage):
    """An `ObjectStore` over the buckets of one AWS account and region.

    The version is the ETag, which is the same for the same bytes; the sequencer of the event is the ordering
    key. A link ends with the credentials that signed it: those of a Lambda function last for some hours at
    most, whatever `link_expires_s` says. An upload link can be used more than once until then.
    """

    def __init__(
        self, *, link_expires_s: int, timeout_s: float, config: Mapping[str, str] | None = None
    ) -> None:
        """Region, endpoint and credentials come from where AWS's own tools take them (`AWS_*`, the role of
        the function or the machine), unless `config` (obstore's `S3Config`) says otherwise."""
        client_options, retry_config = http_options(timeout_s)
        explicit = cast("S3Config", dict(config or {}))

        def store_of(bucket: str) -> "S3Store":
            from obstore.store import S3Store

            if not _BUCKET.fullmatch(bucket):
                raise InputError(f"no bucket of S3 is called {bucket!a}")
            return S3Store(bucket, config=explicit, client_options=client_options, retry_config=retry_config)

        super().__init__(store_of, _S3, link_expires_s=link_expires_s)
