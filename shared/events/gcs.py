"""Google's events of Cloud Storage: CloudEvents of Eventarc, and Pub/Sub messages."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Base64Bytes, Field

from shared.errors import InputError
from shared.events.objects import Name, object_events
from shared.events.payloads import Payload, parse, read
from shared.models import Change, ObjectEvent, ObjectRef, generation_key

_WHAT = "an event of Cloud Storage"
_PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
_CHANGES = {
    "finalized": Change.WRITTEN,
    "deleted": Change.REMOVED,
    # A live version became an old one; should another live one have replaced it, the object itself tells.
    "archived": Change.REMOVED,
    # The bytes are as they were, but perhaps not the owner: a bucket's rule may take it from the metadata.
    "metadataUpdated": Change.WRITTEN,
}
_TYPES = {f"google.cloud.storage.object.v1.{kind}": change for kind, change in _CHANGES.items()} | {
    "google.storage.object.finalize": _CHANGES["finalized"],
    "google.storage.object.delete": _CHANGES["deleted"],
    "google.storage.object.archive": _CHANGES["archived"],
    "google.storage.object.metadataUpdate": _CHANGES["metadataUpdated"],
}
_MESSAGES = {
    "OBJECT_FINALIZE": _CHANGES["finalized"],
    "OBJECT_DELETE": _CHANGES["deleted"],
    "OBJECT_ARCHIVE": _CHANGES["archived"],
    "OBJECT_METADATA_UPDATE": _CHANGES["metadataUpdated"],
}

_Generation = Annotated[str, Field(pattern=r"^[0-9]{1,20}$", coerce_numbers_to_str=True)]


class _Object(Payload):
    bucket: Name
    name: Name
    generation: _Generation


class _Attributes(Payload):
    kind: Annotated[str, Field(alias="eventType")]
    bucket: Annotated[Name, Field(alias="bucketId")]
    name: Annotated[Name, Field(alias="objectId")]
    generation: Annotated[_Generation, Field(alias="objectGeneration")]


class _Message(Payload):
    # The message's own data repeats these, and may be switched off (`payloadFormat` NONE).
    attributes: _Attributes


class _Push(Payload):
    message: _Message


class _CloudEvent(Payload):
    specversion: Literal["1.0"]
    type: str


class _Structured(_CloudEvent):
    data: dict[str, object] | None = None
    data_base64: Base64Bytes | None = None


def decode_cloud_event(event_type: str, data: bytes | Mapping[str, object]) -> tuple[ObjectEvent, ...]:
    """A CloudEvent of Cloud Storage, under its names of today or of the first generation, or of a Pub/Sub
    message about an object.

    New metadata reads as a write of the same generation. Raises `InputError` for anything else. Source:
    Google Cloud, "Cloud Storage triggers".
    """
    if event_type == _PUBLISHED:
        return _published(data)
    change = _TYPES.get(event_type)
    if change is None:
        raise InputError(f"not {_WHAT}: its type is unknown")
    found = read(_Object, parse(data, _WHAT), _WHAT)
    return object_events(ObjectRef(found.bucket, found.name), change, generation_key(found.generation))


def decode_cloud_event_request(headers: Mapping[str, str], body: bytes) -> tuple[ObjectEvent, ...]:
    """One HTTP request: a CloudEvent, in its headers and body or all in its body, or a push of Pub/Sub.

    The object's name is taken from the body: in the header `ce-subject` only ASCII arrives unharmed. Raises
    `InputError`. Sources: CloudEvents, "HTTP Protocol Binding"; Google Cloud, "Pub/Sub notifications for
    Cloud Storage".
    """
    given = {name.lower(): value for name, value in headers.items()}
    match given.get("content-type", "").partition(";")[0].strip().lower():
        case "application/cloudevents+json":
            return _structured(body)
        case "application/cloudevents-batch+json":
            raise InputError(f"not {_WHAT}: a batch; each event has to come alone")
        case _ if "ce-type" in given:
            attributes = {"specversion": given.get("ce-specversion"), "type": given["ce-type"]}
            return decode_cloud_event(read(_CloudEvent, attributes, _WHAT).type, body)
        case _:
            return _published(body)


def _structured(body: bytes) -> tuple[ObjectEvent, ...]:
    event = read(_Structured, parse(body, _WHAT), _WHAT)
    data = event.data if event.data_base64 is None else event.data_base64
    if data is None:
        raise InputError(f"not {_WHAT}: data: Field required")
    return decode_cloud_event(event.type, data)


def _published(body: bytes | Mapping[str, object]) -> tuple[ObjectEvent, ...]:
    found = read(_Push, parse(body, _WHAT), _WHAT).message.attributes
    change = _MESSAGES.get(found.kind)
    if change is None:
        raise InputError(f"not {_WHAT}: message.attributes.eventType: unknown")
    return object_events(ObjectRef(found.bucket, found.name), change, generation_key(found.generation))
