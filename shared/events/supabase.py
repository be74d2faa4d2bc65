"""Supabase's database webhooks of `storage.objects`."""

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator

from shared.errors import AccessDenied, InputError
from shared.events.objects import Name, object_events
from shared.events.payloads import Payload, parse, read
from shared.models import Change, ObjectEvent, ObjectRef, ordering_key

SECRET_HEADER = "x-webhook-secret"  # noqa: S105 -- the header's name
_WHAT = "a webhook of storage.objects"
_FOLDER_MARK = ".emptyFolderPlaceholder"


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("not a moment that a store can have dated") from exc


class _Row(Payload):
    bucket_id: Name
    name: Name
    version: str | None = None
    updated_at: Annotated[datetime, AfterValidator(_in_utc)]

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.bucket_id, self.name)


class _Webhook(Payload):
    type: Literal["INSERT", "UPDATE", "DELETE"]
    table: Literal["objects"]
    record: _Row | None = None
    old_record: _Row | None = None


def check_secret(given: str | None, accepted: Sequence[str]) -> None:
    """Refuse a webhook that carries none of the accepted secrets: one, or two while the older is replaced.

    All are compared, each in constant time. Raises `AccessDenied`.
    """
    # A text is a sequence of texts too: each of its characters would do as the secret.
    secrets = [accepted] if isinstance(accepted, str) else accepted
    shown = _as_bytes(given or "")
    # A list, so that the first match does not end it. An empty secret is one that nobody has set.
    matches = [hmac.compare_digest(shown, _as_bytes(secret)) for secret in secrets if secret]
    if not any(matches):
        raise AccessDenied(f"the header {SECRET_HEADER} is missing or wrong")


def decode_supabase_webhook(payload: bytes) -> tuple[ObjectEvent, ...]:
    """A database webhook of `storage.objects`: one event for a write or a delete, two for a move, none for an
    update that touches neither bytes nor name.

    Raises `InputError` for anything else. Source: Supabase, "Database Webhooks".
    """
    webhook = read(_Webhook, parse(payload, _WHAT), _WHAT)
    new, old = webhook.record, webhook.old_record
    match webhook.type:
        case "INSERT" if new:
            events = _events(new, Change.WRITTEN)
        case "DELETE" if old:
            events = _events(old, Change.REMOVED)
        case "UPDATE" if new and old and new.ref != old.ref:
            # The new name first, so that it finds the old one's vector.
            events = _events(new, Change.WRITTEN) + _events(old, Change.REMOVED)
        case "UPDATE" if new and old:
            events = _events(new, Change.WRITTEN) if new.version != old.version else ()
        case _:
            raise InputError(f"not {_WHAT}: a row is missing for {webhook.type}")
    return events


def _events(row: _Row, change: Change) -> tuple[ObjectEvent, ...]:
    """None for the empty object that stands for a folder."""
    is_folder = row.name.endswith(_FOLDER_MARK)
    return () if is_folder else object_events(row.ref, change, ordering_key(row.updated_at))


def _as_bytes(secret: str) -> bytes:
    return secret.encode(errors="surrogatepass")
