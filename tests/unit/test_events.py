"""Every payload shape lies in tests/events with the events that it means."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import AccessDenied, InputError
from shared.events.gcs import decode_cloud_event, decode_cloud_event_request
from shared.events.objects import is_followed
from shared.events.s3 import decode_s3_notification
from shared.events.supabase import check_secret, decode_supabase_webhook
from shared.models import ObjectEvent, ObjectRef, generation_key

_EVENTS = Path(__file__).parents[1] / "events"
_MIB = 1024 * 1024
_OLDER, _NEWER = "o" * 32, "n" * 32

_ROW = {"bucket_id": "photos", "name": "a.jpg", "version": "1", "updated_at": "2026-01-02T03:04:05+00:00"}
_FINALIZED = "google.cloud.storage.object.v1.finalized"
_OBJECT = {"bucket": "photos", "name": "a.jpg", "generation": "1"}
_ATTRIBUTES = {
    "eventType": "OBJECT_FINALIZE",
    "bucketId": "photos",
    "objectId": "a.jpg",
    "objectGeneration": "1",
}
_BINARY = {"ce-type": _FINALIZED, "ce-specversion": "1.0"}
_STRUCTURED = {"content-type": "application/cloudevents+json"}

_NOT_JSON_OBJECTS = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1",
    b"NaN",
    b'"text"',
    b"\xff\xfe",
    b'{"\xff": 1}',
    b'{"half a pair": "\\ud800"}',
    pytest.param(b"[" * 100_000, id="deep lists"),
    pytest.param(b'{"a":' * 100_000, id="deep objects"),
    pytest.param(b'{"a": ' + b"1" * 10_000 + b"}", id="a long number"),
]


def _cases(pattern: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", sorted(_EVENTS.glob(pattern)), ids=lambda path: path.stem)


def _as_expected(events: tuple[ObjectEvent, ...]) -> list[dict[str, str]]:
    return [
        {
            "bucket": event.ref.bucket,
            "name": event.ref.name,
            "change": event.change,
            "ordering_key": event.ordering_key,
        }
        for event in events
    ]


def _s3(key: str = "a.jpg", sequencer: object = "01", **record: object) -> dict[str, object]:
    """A notification of one object written, with other fields in its record as told."""
    stored = {"bucket": {"name": "photos"}, "object": {"key": key, "sequencer": sequencer}}
    base = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": stored}
    return {"Records": [{**base, **record}]}


def _bridged(**detail: object) -> dict[str, object]:
    stored = {"bucket": {"name": "photos"}, "object": {"key": "a.jpg", "sequencer": "01"}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": {**stored, **detail}}


def _sns(message: object) -> dict[str, object]:
    return {"Type": "Notification", "Message": json.dumps(message)}


def _push(**attributes: object) -> bytes:
    return json.dumps({"message": {"attributes": {**_ATTRIBUTES, **attributes}}}).encode()


def _structured(**attributes: object) -> bytes:
    event = {"specversion": "1.0", "type": _FINALIZED, "data": _OBJECT}
    return json.dumps({**event, **attributes}).encode()


def _webhook(name: object) -> bytes:
    return json.dumps({"type": "INSERT", "table": "objects", "record": {**_ROW, "name": name}}).encode()


# What each of them makes of a name that came as `name`.
_NAMED: list[Callable[[str], tuple[ObjectEvent, ...]]] = [
    lambda name: decode_supabase_webhook(_webhook(name)),
    lambda name: decode_s3_notification(_s3(key=name)),
    lambda name: decode_s3_notification(_bridged(object={"key": name, "sequencer": "01"})),
    lambda name: decode_cloud_event(_FINALIZED, {**_OBJECT, "name": name}),
    lambda name: decode_cloud_event_request({}, _push(objectId=name)),
]


@_cases("supabase_*.json")
def test_a_webhook_becomes_the_events_it_means(path: Path) -> None:
    case = json.loads(path.read_text())

    events = decode_supabase_webhook(json.dumps(case["payload"]).encode())

    assert _as_expected(events) == case["expected"]


@pytest.mark.parametrize(
    "sent",
    [dict, json.dumps, lambda payload: json.dumps(payload, ensure_ascii=False).encode()],
    ids=["parsed", "text", "bytes"],
)
@_cases("s3_*.json")
def test_a_notification_of_s3_becomes_the_events_it_means(
    path: Path, sent: Callable[[object], bytes | str | Mapping[str, object]]
) -> None:
    case = json.loads(path.read_text())

    events = decode_s3_notification(sent(case["payload"]))

    assert _as_expected(events) == case["expected"]


@_cases("gcs_*.json")
def test_a_request_of_google_becomes_the_events_it_means(path: Path) -> None:
    case = json.loads(path.read_text())
    body = json.dumps(case["payload"]["body"], ensure_ascii=False).encode()

    events = decode_cloud_event_request(case["payload"]["headers"], body)

    assert _as_expected(events) == case["expected"]


@pytest.mark.parametrize("name", ["gcs_finalized", "gcs_deleted", "gcs_pubsub_binary"])
def test_an_event_that_a_framework_has_parsed_means_the_same(name: str) -> None:
    case = json.loads((_EVENTS / f"{name}.json").read_text())
    headers = {key.lower(): value for key, value in case["payload"]["headers"].items()}

    events = decode_cloud_event(headers["ce-type"], case["payload"]["body"])

    assert _as_expected(events) == case["expected"]


@pytest.mark.parametrize(
    "payload",
    [
        *_NOT_JSON_OBJECTS,
        b'{"type": "INSERT"}',
        json.dumps({"type": "TRUNCATE", "table": "objects", "record": _ROW}).encode(),
        json.dumps({"type": "INSERT", "table": "buckets", "record": _ROW}).encode(),
        json.dumps({"type": "INSERT", "table": "objects", "record": None}).encode(),
        json.dumps({"type": "UPDATE", "table": "objects", "record": _ROW}).encode(),
        json.dumps({"type": "DELETE", "table": "objects", "record": _ROW, "old_record": None}).encode(),
        json.dumps({"type": "INSERT", "table": "objects", "record": {**_ROW, "updated_at": "soon"}}).encode(),
        json.dumps({"type": "INSERT", "table": "objects", "record": {**_ROW, "name": None}}).encode(),
    ],
)
def test_what_is_not_a_storage_webhook_is_an_input_error(payload: bytes) -> None:
    with pytest.raises(InputError, match=r"not a webhook of storage\.objects"):
        decode_supabase_webhook(payload)


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        *((payload, "not JSON") for payload in [b"", b"{", b"\xff\xfe", b"[" * 201, '"\ud800"']),
        *((payload, "not a JSON object") for payload in ["null", "[]", "1", '"text"']),
        ({}, "neither records"),
        ({"Records": {}}, "neither records"),
        ({"Records": [None]}, "neither of aws:s3 nor of aws:sns"),
        ({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}, "neither of aws:s3 nor of aws:sns"),
        ({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, "nor an event of aws.s3"),
        ({"Type": "SubscriptionConfirmation", "Message": "{}"}, "nor an SNS message"),
        (_sns("not an object"), "not a JSON object"),
        (_sns(_sns(_s3())), "neither records"),
        (_sns({"Records": [{"EventSource": "aws:sns", "Sns": _sns(_s3())}]}), "neither of aws:s3"),
        (_s3(eventVersion="3.0"), "eventVersion: only the major version 2 is known"),
        (_s3(eventVersion="21"), "eventVersion: only the major version 2 is known"),
        (_s3(eventVersion=None), "eventVersion: Input should be a valid string"),
        (_s3(eventName=None), "eventName: Input should be a valid string"),
        (_s3(s3=None), "s3: Input should be"),
        (_s3(key="%FF.jpg"), r"s3\.object\.key: the key is not UTF-8"),
        (_s3(key="%ED%A0%80.jpg"), r"s3\.object\.key: the key is not UTF-8"),
        (_s3(key="a%00b"), r"s3\.object\.key: a name cannot hold a NUL character"),
        (_s3(sequencer=None), r"s3\.object\.sequencer: Input should be a valid string"),
        (_s3(sequencer=""), r"s3\.object\.sequencer: String should match"),
        (_s3(sequencer="0x1F"), r"s3\.object\.sequencer: String should match"),
        (_s3(sequencer="01\n"), r"s3\.object\.sequencer: String should match"),
        (_s3(sequencer="\uff11"), r"s3\.object\.sequencer: String should match"),
        (_s3(sequencer="1" * 65), r"s3\.object\.sequencer: String should match"),
        (_bridged(object={"key": "a.jpg"}), r"detail\.object\.sequencer: Field required"),
        (_bridged(bucket={"name": ""}), r"detail\.bucket\.name: a name cannot be empty"),
        (_bridged(bucket=None), r"detail\.bucket: Input should be"),
    ],
)
def test_what_is_not_a_notification_of_s3_is_an_input_error_with_its_cause(
    payload: bytes | str | Mapping[str, object], cause: str
) -> None:
    with pytest.raises(InputError, match=f"^not a notification of S3: .*{cause}"):
        decode_s3_notification(payload)


@pytest.mark.parametrize(
    ("event_type", "data", "cause"),
    [
        ("google.cloud.storage.object.v1.finalize", _OBJECT, "its type is unknown"),
        ("google.cloud.audit.log.v1.written", _OBJECT, "its type is unknown"),
        ("", _OBJECT, "its type is unknown"),
        (_FINALIZED, b"", "not JSON"),
        (_FINALIZED, b"[]", "not a JSON object"),
        (_FINALIZED, {}, "bucket: Field required; name: Field required; generation: Field required"),
        (_FINALIZED, {**_OBJECT, "generation": "one"}, "generation: String should match"),
        (_FINALIZED, {**_OBJECT, "generation": "-1"}, "generation: String should match"),
        (_FINALIZED, {**_OBJECT, "generation": "1" * 21}, "generation: String should match"),
        (_FINALIZED, {**_OBJECT, "generation": 1.5}, "generation: String should match"),
        (_FINALIZED, {**_OBJECT, "generation": None}, "generation: Input should be"),
        (_FINALIZED, {**_OBJECT, "bucket": 1}, "bucket: Input should be"),
    ],
)
def test_what_is_not_an_event_of_google_is_an_input_error_with_its_cause(
    event_type: str, data: bytes | Mapping[str, object], cause: str
) -> None:
    with pytest.raises(InputError, match=f"^not an event of Cloud Storage: .*{cause}"):
        decode_cloud_event(event_type, data)


@pytest.mark.parametrize(
    ("headers", "body", "cause"),
    [
        ({"Content-Type": "application/cloudevents-batch+json"}, b"[]", "a batch"),
        (_BINARY, b"", "not JSON"),
        ({"ce-type": _FINALIZED}, json.dumps(_OBJECT).encode(), "specversion: Input should be '1.0'"),
        ({**_BINARY, "ce-specversion": "0.3"}, b"{}", "specversion: Input should be '1.0'"),
        ({**_BINARY, "ce-type": "example.unknown"}, json.dumps(_OBJECT).encode(), "its type is unknown"),
        (_STRUCTURED, b"{", "not JSON"),
        (_STRUCTURED, b"{}", "specversion: Field required; type: Field required"),
        (_STRUCTURED, _structured(data=None), "data: Field required"),
        (_STRUCTURED, _structured(data="text"), "data: Input should be a valid dictionary"),
        (_STRUCTURED, _structured(data_base64="e"), "data_base64: Base64 decoding error"),
        (_STRUCTURED, _structured(data_base64=b64encode(b"{").decode()), "not JSON"),
        (_STRUCTURED, _structured(type="example.unknown"), "its type is unknown"),
        ({}, b"", "not JSON"),
        ({}, json.dumps(_OBJECT).encode(), "message: Field required"),
        ({}, b'{"message": {"data": "e30="}}', r"message\.attributes: Field required"),
        ({}, _push(eventType="OBJECT_ADDED_LATER"), r"message\.attributes\.eventType: unknown"),
        ({}, _push(eventType=None), r"message\.attributes\.eventType: Input should be"),
        ({}, _push(objectGeneration="x"), r"message\.attributes\.objectGeneration: String should match"),
    ],
)
def test_what_is_not_a_request_of_google_is_an_input_error_with_its_cause(
    headers: Mapping[str, str], body: bytes, cause: str
) -> None:
    with pytest.raises(InputError, match=f"^not an event of Cloud Storage: .*{cause}"):
        decode_cloud_event_request(headers, body)


@pytest.mark.parametrize("decode", _NAMED)
@pytest.mark.parametrize("name", ["n" * 1024, "é" * 512, " ", "..", "a.jpg\n"])
def test_a_name_is_taken_as_it_is(decode: Callable[[str], tuple[ObjectEvent, ...]], name: str) -> None:
    [event] = decode(name)

    assert event.ref == ObjectRef("photos", name)


@pytest.mark.parametrize("decode", _NAMED)
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("", "a name cannot be empty"),
        ("n" * 1025, "1025 bytes are too many for a name, at most 1024"),
        ("é" * 513, "1026 bytes are too many for a name, at most 1024"),
        ("a\0b", "a name cannot hold a NUL character"),
    ],
)
def test_a_name_that_no_store_can_have_given_is_an_input_error(
    decode: Callable[[str], tuple[ObjectEvent, ...]], name: str, cause: str
) -> None:
    with pytest.raises(InputError, match=f"{cause}$"):
        decode(name)


def test_half_of_a_surrogate_pair_in_what_a_runtime_has_parsed_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"s3\.object\.key"):
        decode_s3_notification(_s3(key="\ud800.jpg"))


@pytest.mark.parametrize(
    "decode",
    [
        decode_supabase_webhook,
        decode_s3_notification,
        lambda payload: decode_s3_notification(payload.decode()),
        lambda payload: decode_cloud_event(_FINALIZED, payload),
        lambda payload: decode_cloud_event_request(_STRUCTURED, payload),
        lambda payload: decode_cloud_event_request({}, payload),
    ],
)
def test_a_payload_above_a_mebibyte_is_refused_for_its_size(
    decode: Callable[[bytes], tuple[ObjectEvent, ...]],
) -> None:
    with pytest.raises(InputError, match=f"{10 * _MIB} bytes are too many, at most {_MIB}$"):
        decode(b"[" * (10 * _MIB))


def test_what_a_payload_repeats_counts_as_it_stands_last_and_no_number_is_not_minded() -> None:
    payload = b'{"bucket": "a", "bucket": "photos", "name": "a.jpg", "generation": "1", "size": NaN}'

    [event] = decode_cloud_event(_FINALIZED, payload)

    assert event.ref.bucket == "photos"


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        (decode_supabase_webhook, {"type": "s3cret", "table": "s3cret", "record": "s3cret"}),
        (
            decode_supabase_webhook,
            {"type": "INSERT", "table": "objects", "record": {**_ROW, "name": ["s3cret"]}},
        ),
        (decode_s3_notification, {"s3cret": "s3cret"}),
        (decode_s3_notification, _s3(key="%FFs3cret", sequencer="s3cret", eventVersion="2")),
        (decode_s3_notification, _s3(eventSource="s3cret")),
        (decode_s3_notification, _s3(eventVersion="s3cret")),
        (lambda payload: decode_cloud_event("s3cret", payload), _OBJECT),
        (lambda payload: decode_cloud_event_request({}, payload), {"message": {"attributes": {"s3cret": 1}}}),
        (lambda payload: decode_cloud_event_request(_STRUCTURED, payload), {"type": "x", "data": "s3cret"}),
    ],
)
def test_a_refusal_quotes_nothing_from_the_payload(
    decode: Callable[[bytes], tuple[ObjectEvent, ...]], payload: object
) -> None:
    with pytest.raises(InputError) as caught:
        decode(json.dumps(payload).encode())

    assert "s3cret" not in str(caught.value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Records",
                    "eventSource",
                    "s3",
                    "object",
                    "message",
                    "attributes",
                    "data",
                    "detail",
                    "record",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_BYTES = st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode())


def _decoded(decode: Callable[[], tuple[ObjectEvent, ...]]) -> tuple[ObjectEvent, ...]:
    try:
        return decode()
    except InputError:
        return ()


@given(_BYTES)
@example(json.dumps(_s3()).encode())
def test_any_bytes_become_events_or_an_input_error(payload: bytes) -> None:
    events = (
        *_decoded(lambda: decode_supabase_webhook(payload)),
        *_decoded(lambda: decode_s3_notification(payload)),
        *_decoded(lambda: decode_s3_notification(payload.decode(errors="surrogateescape"))),
        *_decoded(lambda: decode_cloud_event(_FINALIZED, payload)),
        *_decoded(lambda: decode_cloud_event_request({}, payload)),
        *_decoded(lambda: decode_cloud_event_request(_BINARY, payload)),
        *_decoded(lambda: decode_cloud_event_request(_STRUCTURED, payload)),
    )

    assert all(event.ref.name and event.ordering_key for event in events)


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from([_s3, _bridged]))
def test_any_key_and_sequencer_become_an_event_or_an_input_error(
    key: str, sequencer: str, notify: Callable[..., dict[str, object]]
) -> None:
    payload = notify(key=key, sequencer=sequencer, object={"key": key, "sequencer": sequencer})

    events = _decoded(lambda: decode_s3_notification(payload))

    assert len(events) <= 1


_SEQUENCERS = st.text("0123456789abcdefABCDEF", min_size=1, max_size=24)


@given(_SEQUENCERS, _SEQUENCERS)
@example("0055AED6DCD90281E5", "0055AED6DCD90281E50")
@example("00", "0")
@example("0", "0001")
@example("a", "A0")
def test_sequencers_compare_as_text_padded_with_zeros_on_the_right(one: str, other: str) -> None:
    [event] = decode_s3_notification(_s3(sequencer=one))
    [other_event] = decode_s3_notification(_s3(sequencer=other))

    padded, other_padded = one.upper().ljust(24, "0"), other.upper().ljust(24, "0")
    assert (event.ordering_key < other_event.ordering_key) == (padded < other_padded)
    assert (event.ordering_key == other_event.ordering_key) == (padded == other_padded)


@given(st.integers(0, 10**20 - 1), st.integers(0, 10**20 - 1))
def test_generations_compare_as_numbers(one: int, other: int) -> None:
    key, other_key = generation_key(one), generation_key(str(other))

    assert (key < other_key) == (one < other)
    assert len(key) == len(other_key) == 20


@pytest.mark.parametrize("accepted", [[_NEWER], [_NEWER, _OLDER], [_OLDER, _NEWER], ["", _NEWER]])
def test_each_accepted_secret_passes(accepted: list[str]) -> None:
    check_secret(_NEWER, accepted)


@pytest.mark.parametrize("accepted", [[_NEWER], [_NEWER, _OLDER], [], [""]])
@pytest.mark.parametrize("given", [None, "", "n" * 31, "N" * 32, "n" * 33, "ü" * 32, "\udcff"])
def test_a_missing_or_wrong_secret_is_refused(given: str | None, accepted: list[str]) -> None:
    with pytest.raises(AccessDenied):
        check_secret(given, accepted)


def test_a_secret_that_was_replaced_is_refused() -> None:
    with pytest.raises(AccessDenied):
        check_secret(_OLDER, [_NEWER])


def test_a_letter_of_the_secret_is_not_the_secret() -> None:
    with pytest.raises(AccessDenied):
        check_secret(_NEWER[0], _NEWER)


@pytest.mark.parametrize(
    ("bucket", "buckets", "followed"),
    [
        ("photos", [], True),
        ("photos", ["photos", "scans"], True),
        ("videos", ["photos", "scans"], False),
        ("photo", ["photos"], False),
        ("photos-previews", [], False),
        ("photos-previews", ["photos-previews"], False),
        ("previews", [], True),
    ],
)
def test_an_object_is_followed_in_the_named_buckets_and_never_as_a_preview(
    bucket: str, buckets: list[str], followed: bool
) -> None:
    assert is_followed(ObjectRef(bucket, "a.jpg"), buckets) is followed
