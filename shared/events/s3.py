"""S3's notifications: straight, or through SQS, SNS or EventBridge."""

from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import unquote_plus

from pydantic import AfterValidator, Field

from shared.errors import InputError
from shared.events.objects import Name, check_name, object_events
from shared.events.payloads import Payload, parse, read
from shared.models import Change, ObjectEvent, ObjectRef

_WHAT = "a notification of S3"
_NOTIFIED = {  # what lifecycle rules delete is a family of its own
    "ObjectCreated": Change.WRITTEN,
    "ObjectRemoved": Change.REMOVED,
    "LifecycleExpiration": Change.REMOVED,
}
_BRIDGED = {"Object Created": Change.WRITTEN, "Object Deleted": Change.REMOVED}


def _known(version: str) -> str:
    if version.partition(".")[0] != "2":
        raise ValueError("only the major version 2 is known")
    return version


def _form_decoded(key: str) -> str:
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("the key is not UTF-8") from None


def _canonical(sequencer: str) -> str:
    return sequencer.upper().rstrip("0") or "0"


_Sequencer = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{1,64}$"), AfterValidator(_canonical)]
"""AWS has two of them compared as text once the shorter is padded on its right with zeros. With all zeros
there taken off instead, in capitals, text order is that order. Source: AWS, S3 user guide, "Event message
structure"."""


class _Bucket(Payload):
    name: Name


class _NotifiedObject(Payload):
    # Form-encoded: AWS leaves slashes alone, others write %2F.
    key: Annotated[str, AfterValidator(_form_decoded), AfterValidator(check_name)]
    sequencer: _Sequencer


class _Notified(Payload):
    bucket: _Bucket
    object: _NotifiedObject


class _Kind(Payload):
    version: Annotated[str, Field(alias="eventVersion"), AfterValidator(_known)]
    name: Annotated[str, Field(alias="eventName")]


class _Record(Payload):
    s3: _Notified


class _BridgedObject(Payload):
    # As stored, and not encoded: a key may hold "+" and "%".
    key: Name
    sequencer: _Sequencer


class _Detail(Payload):
    bucket: _Bucket
    object: _BridgedObject


class _Bridge(Payload):
    detail: _Detail


def decode_s3_notification(payload: bytes | str | Mapping[str, object]) -> tuple[ObjectEvent, ...]:
    """What a Lambda gets, or the body of an SQS message: the notification itself, in an SNS message, or
    EventBridge's form of it. An event for each write or removal; none for other kinds and S3's test message.

    A delete marker and the delete of an old version both read as removals: storage tells which it was. Raises
    `InputError` for anything else. Sources: AWS, S3 user guide, "Event message structure" and "EventBridge
    event message structure".
    """
    return tuple(_message(parse(payload, _WHAT), may_be_wrapped=True))


def _message(message: Mapping[str, object], *, may_be_wrapped: bool) -> Iterator[ObjectEvent]:
    match message:
        case {"Records": list(records)}:
            for record in records:
                yield from _record(record, may_be_wrapped=may_be_wrapped)
        case {"Type": "Notification", "Message": str(text)} if may_be_wrapped:
            yield from _message(parse(text, _WHAT), may_be_wrapped=False)
        case {"source": "aws.s3", "detail-type": str(kind)}:
            yield from _bridged(kind, message)
        case {"Event": "s3:TestEvent"}:
            return
        case _:
            raise InputError(f"not {_WHAT}: neither records, nor an SNS message, nor an event of aws.s3")


def _record(record: object, *, may_be_wrapped: bool) -> Iterator[ObjectEvent]:
    match record:
        case {"EventSource": "aws:sns", "Sns": {"Message": str(text)}} if may_be_wrapped:
            yield from _message(parse(text, _WHAT), may_be_wrapped=False)
        case {"eventSource": "aws:s3"}:
            kind = read(_Kind, record, _WHAT)
            change = _NOTIFIED.get(kind.name.partition(":")[0])
            if change:
                s3 = read(_Record, record, _WHAT).s3
                ref = ObjectRef(s3.bucket.name, s3.object.key)
                yield from object_events(ref, change, s3.object.sequencer)
        case _:
            raise InputError(f"not {_WHAT}: a record is neither of aws:s3 nor of aws:sns")


def _bridged(kind: str, message: Mapping[str, object]) -> tuple[ObjectEvent, ...]:
    change = _BRIDGED.get(kind)
    if change is None:
        return ()
    detail = read(_Bridge, message, _WHAT).detail
    return object_events(ObjectRef(detail.bucket.name, detail.object.key), change, detail.object.sequencer)
