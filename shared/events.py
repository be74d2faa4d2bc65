"""Storage events, decoded once: every payload becomes `ObjectEvent`s here and nowhere else."""

import hmac
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from shared.errors import AccessDenied, InputError
from shared.models import Change, ObjectEvent, ObjectRef, ordering_key

SECRET_HEADER = "x-webhook-secret"  # noqa: S105 -- the header's name
_FOLDER_MARK = ".emptyFolderPlaceholder"


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("not a moment that a store can have dated") from exc


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    bucket_id: str
    name: str
    version: str | None = None
    updated_at: Annotated[datetime, AfterValidator(_in_utc)]


class _Webhook(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["INSERT", "UPDATE", "DELETE"]
    table: Literal["objects"]
    record: _Row | None = None
    old_record: _Row | None = None


def check_secret(given: str | None, expected: str) -> None:
    """Refuse a webhook that does not carry the shared secret. Raises `AccessDenied`."""
    if not hmac.compare_digest((given or "").encode(), expected.encode()):
        raise AccessDenied(f"the header {SECRET_HEADER} is missing or wrong")


def decode_supabase_webhook(payload: bytes) -> tuple[ObjectEvent, ...]:
    """A database webhook of `storage.objects`: one event for a write or a delete, two for a move, none for an
    update that touches neither bytes nor name.

    Raises `InputError` for anything else. Source: Supabase, "Database Webhooks".
    """
    try:
        webhook = _Webhook.model_validate_json(payload)
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}" for error in exc.errors()
        )
        raise InputError(f"not a webhook of storage.objects: {problems}") from None
    new, old = webhook.record, webhook.old_record
    match webhook.type:
        case "INSERT" if new:
            events = [_event(new, Change.WRITTEN)]
        case "DELETE" if old:
            events = [_event(old, Change.REMOVED)]
        case "UPDATE" if new and old and _ref(new) != _ref(old):
            # The new name first, so that it finds the old one's vector.
            events = [_event(new, Change.WRITTEN), _event(old, Change.REMOVED)]
        case "UPDATE" if new and old:
            events = [_event(new, Change.WRITTEN)] if new.version != old.version else []
        case _:
            raise InputError(f"not a webhook of storage.objects: a row is missing for {webhook.type}")
    return tuple(event for event in events if not event.ref.name.endswith(_FOLDER_MARK))


def _event(row: _Row, change: Change) -> ObjectEvent:
    return ObjectEvent(_ref(row), change, ordering_key(row.updated_at))


def _ref(row: _Row) -> ObjectRef:
    return ObjectRef(row.bucket_id, row.name)
