"""Events come twice, late and out of order: whatever comes, the index ends as a simple model says."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    Row,
    Session,
    call,
    own_database,
    result,
    search,
    sha256,
    vector,
)

pytestmark = pytest.mark.long

_NAMES = ["a.jpg", "b.jpg", "c.jpg"]
# Ranked as bytes: none of these comes where a language or a number would put it.
_KEYS = ["", "10", "2", "B", "a", "é"]
_CONTENTS = ["x", "y", "z"]
_buckets = count()
_reproducible = settings(derandomize=True, max_examples=100, deadline=None, database=None)


@dataclass(frozen=True)
class _Event:
    """An upload with its content, or a removal without."""

    name: str
    key: str
    content: str | None


_events = st.lists(
    st.builds(_Event, st.sampled_from(_NAMES), st.sampled_from(_KEYS), st.sampled_from([*_CONTENTS, None])),
    min_size=1,
    max_size=14,
)


@pytest.fixture(scope="module")
def service(server: Postgres) -> Iterator[Session]:
    """Of one database for all examples: each has a bucket of its own, whose bytes no other bucket has."""
    with own_database(server) as database:
        yield database.session()


def _object(bucket: str, event: _Event) -> Row:
    named = {"bucket": bucket, "name": event.name, "ordering_key": event.key}
    return named if event.content is None else {**named, "content_hash": sha256(bucket + event.content)}


def _apply(service: Session, bucket: str, events: list[_Event], *, batched: bool) -> None:
    """One by one, or what is alike and comes in a row in one call."""
    runs = [list(run) for _, run in groupby(events, lambda event: event.content is None)]
    for run in runs if batched else [[event] for event in events]:
        objects = [_object(bucket, event) for event in run]
        if run[0].content is None:
            call(service, "remove_images_v1", objects=objects)
        else:
            call(service, "record_images_v1", images=objects)


def _expected(events: list[_Event]) -> dict[str, str | None]:
    """The newest event of a name decides; of one key a removal, or else the upload that came last."""
    newest: dict[str, _Event] = {}
    for event in events:
        known = newest.get(event.name)
        is_newer = known is None or event.key > known.key
        is_as_new = known is not None and event.key == known.key and known.content is not None
        if is_newer or is_as_new:
            newest[event.name] = event
    return {name: event.content for name, event in newest.items()}


def _live(contents: dict[str, str | None]) -> dict[str, str]:
    return {name: content for name, content in contents.items() if content is not None}


def _hashes(service: Session, bucket: str) -> dict[str, tuple[str, str | None]]:
    rows = call(service, "image_states_v1", bucket_name=bucket, object_names=_NAMES)
    return {row["name"]: (row["state"], row["content_hash"]) for row in rows}


def _embed_pending(service: Session, bucket: str, contents: dict[str, str]) -> None:
    """Whoever embeds does so for what the index says is pending."""
    vectors = [
        result({"bucket": bucket, "name": name, "content_hash": content_hash}, _vector(contents[name]))
        for name, (state, content_hash) in _hashes(service, bucket).items()
        if state == "pending"
    ]
    if vectors:
        call(service, "store_vectors_v1", vectors=vectors)


def _vector(content: str) -> str:
    return vector(*[float(content == other) for other in _CONTENTS])


def _found(service: Session, bucket: str) -> dict[str, str]:
    """What each picture that a search finds shows: to this query the contents are similar as 3 : 2 : 1."""
    hits = search(service, vector(3, 2, 1), filters={"bucket": bucket})["hits"]
    return {hit["image"]: _CONTENTS[round(3 - hit["similarity"] * math.sqrt(14))] for hit in hits}


@_reproducible
@given(events=_events, batched=st.booleans())
def test_the_index_ends_as_the_newest_events_say(
    events: list[_Event], batched: bool, service: Session
) -> None:
    bucket = f"example-{next(_buckets)}"
    expected = _expected(events)

    _apply(service, bucket, events, batched=batched)

    assert _hashes(service, bucket) == {
        name: ("deleted", None) if content is None else ("pending", sha256(bucket + content))
        for name, content in expected.items()
    }


@_reproducible
@given(before=_events, after=_events, batched=st.booleans())
def test_what_is_searchable_is_what_is_live(
    before: list[_Event], after: list[_Event], batched: bool, service: Session
) -> None:
    bucket = f"example-{next(_buckets)}"
    midway, live = _live(_expected(before)), _live(_expected(before + after))

    _apply(service, bucket, before, batched=batched)
    _embed_pending(service, bucket, midway)
    found_midway = _found(service, bucket)
    _apply(service, bucket, after, batched=batched)
    _embed_pending(service, bucket, live)

    assert found_midway == midway
    assert _found(service, bucket) == live


def _versions(events: list[_Event]) -> list[_Event]:
    """One key of a name stands for one content, as in storage."""
    contents = {(event.name, event.key): event.content for event in events if event.content is not None}
    return [
        _Event(event.name, event.key, event.content and contents[event.name, event.key]) for event in events
    ]


@_reproducible
@given(events=_events.map(_versions), data=st.data())
def test_the_order_of_arrival_does_not_matter(
    events: list[_Event], data: st.DataObject, service: Session
) -> None:
    shuffled = data.draw(st.permutations(events + events[: len(events) // 2]))
    buckets = [f"example-{next(_buckets)}" for _ in range(2)]

    for bucket, order in zip(buckets, [events, shuffled], strict=True):
        _apply(service, bucket, order, batched=True)
        _embed_pending(service, bucket, _live(_expected(order)))

    assert _found(service, buckets[0]) == _found(service, buckets[1]) == _live(_expected(events))
