"""Buckets: made in Storage where they are missing, and entered in the index with who owns their pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, LiteralString

import psycopg

from infra.hosted.changes import Change
from infra.hosted.database import explained
from infra.hosted.errors import HostedError
from infra.hosted.plan import Bucket
from infra.hosted.storage import storage
from shared.images.kinds import FORMATS
from shared.images.limits import MAX_BYTES
from shared.models import PREVIEWS_SUFFIX
from shared.settings import Settings

PICTURES: Final = sorted(FORMATS.values())
PREVIEWS: Final = ["image/webp"]
_PREVIEW_BYTES: Final = 1_000_000

_PUT: LiteralString = """
select public.put_bucket_v1(bucket_name => %s, provider => %s, is_public => %s, owner_rule => %s,
                            owner_metadata_key => %s)
"""
_KNOWN: LiteralString = (
    "select name, provider, is_public, owner_rule, owner_metadata_key from public.list_buckets_v1()"
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A bucket of Storage."""

    name: str
    is_public: bool
    size_limit_bytes: int
    types: Sequence[str]


def storage_changes(settings: Settings, buckets: Sequence[Bucket], found: Mapping[str, bool]) -> list[Change]:
    """The buckets that Storage lacks, where it has these, public or not. Those stay as they are.

    Raises `HostedError` for one with another visibility.
    """
    wanted = _wanted(buckets, with_previews=settings.previews)
    for bucket in wanted:
        _check_visibility(bucket, found.get(bucket.name, bucket.is_public))
    return [
        Change(
            f"make bucket {bucket.name}, {_visibility(bucket.is_public)}", partial(_make, settings, bucket)
        )
        for bucket in wanted
        if bucket.name not in found
    ]


def _wanted(buckets: Sequence[Bucket], *, with_previews: bool) -> list[_Wanted]:
    wanted = [_Wanted(bucket.name, bucket.is_public, MAX_BYTES, PICTURES) for bucket in buckets]
    if with_previews:
        # Links to previews are signed for whoever may see the picture.
        wanted += [
            _Wanted(bucket.name + PREVIEWS_SUFFIX, False, _PREVIEW_BYTES, PREVIEWS) for bucket in buckets
        ]
    return wanted


def _check_visibility(wanted: _Wanted, is_public: bool) -> None:
    if is_public != wanted.is_public:
        mend = (
            f"put {wanted.name} into PUBLIC_BUCKETS"
            if is_public and wanted.types is PICTURES
            else f"take {wanted.name} out of PUBLIC_BUCKETS"
            if wanted.is_public
            else "pixseek's previews are private"
        )
        raise HostedError(
            f"bucket {wanted.name} is there, and {_visibility(is_public)}, not "
            f"{_visibility(wanted.is_public)}: {mend}, or change the bucket (dashboard: Storage). This never "
            "makes pictures public by itself."
        )


def _visibility(is_public: bool) -> str:
    return "public" if is_public else "private"


def _make(settings: Settings, bucket: _Wanted) -> None:
    with storage(settings, settings.supabase_service_role_key.get_secret_value()) as client:
        client.create_bucket(
            bucket.name,
            options={
                "public": bucket.is_public,
                "file_size_limit": bucket.size_limit_bytes,
                "allowed_mime_types": list(bucket.types),
            },
        )


def registry_changes(
    connection: psycopg.Connection, provider: str, buckets: Sequence[Bucket]
) -> list[Change]:
    """What pixseek's own table lacks or has otherwise."""
    known = _known(connection)
    changes = []
    for bucket in buckets:
        old = known.get(bucket.name)
        if old is None or old != (provider, _as_told(bucket, old)):
            changes.append(Change(_described(bucket, old), partial(_put, connection, provider, bucket)))
    return changes


def _known(connection: psycopg.Connection) -> dict[str, tuple[str, Bucket]]:
    try:
        rows = connection.execute(_KNOWN).fetchall()
    except psycopg.errors.UndefinedFunction:  # a dry run, before the migrations
        return {}
    return {name: (provider, Bucket(name, *rest)) for name, provider, *rest in rows}


def _as_told(bucket: Bucket, old: tuple[str, Bucket]) -> Bucket:
    """What is not told stays."""
    if bucket.owner_rule is not None:
        return bucket
    return Bucket(bucket.name, bucket.is_public, old[1].owner_rule, old[1].owner_metadata_key)


def _described(bucket: Bucket, old: tuple[str, Bucket] | None) -> str:
    rule = bucket.owner_rule or (old[1].owner_rule if old else "storage_owner")
    text = f"enter {bucket.name} in the index: {_visibility(bucket.is_public)}, owner rule {rule}"
    if old is not None and old[1].owner_rule != rule:
        text += (
            f" instead of {old[1].owner_rule} (owners that it cannot tell by itself are empty until "
            f"`pixseek audit {bucket.name} --repair`)"
        )
    return text


def _put(connection: psycopg.Connection, provider: str, bucket: Bucket) -> None:
    with explained(f"bucket {bucket.name} cannot be entered in the index"):
        connection.execute(
            _PUT, (bucket.name, provider, bucket.is_public, bucket.owner_rule, bucket.owner_metadata_key)
        )
