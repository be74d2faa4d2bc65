"""A bucket beside its index: every name once, and what is wrong with it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audits import AuditedImage, FaultKind
from shared.comparing import fault_of, merged, name_of, pages
from shared.models import ObjectRef, Standing, StoredObject

_STORED = StoredObject(ObjectRef("photos", "a.jpg"), "v1", 100)
_IMAGE = AuditedImage(
    ObjectRef("photos", "a.jpg"),
    Standing.INDEXED,
    "v1",
    100,
    "key-1",
    has_preview=True,
    has_vector=True,
    is_given_up=False,
    is_stuck=False,
)
_TOMBSTONE = replace(
    _IMAGE, standing=Standing.DELETED, version=None, size_bytes=None, has_preview=False, has_vector=False
)
_PENDING = replace(_IMAGE, standing=Standing.PENDING, has_vector=False, has_preview=False)
_NAMES = st.sets(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))


def _objects(names: set[str]) -> list[StoredObject]:
    return [replace(_STORED, ref=ObjectRef("photos", name)) for name in sorted(names, key=str.encode)]


def _images(names: set[str]) -> list[AuditedImage]:
    return [replace(_IMAGE, ref=ObjectRef("photos", name)) for name in sorted(names, key=str.encode)]


@given(_NAMES, _NAMES)
def test_every_name_comes_once_in_the_order_of_its_bytes_with_what_both_have(
    stored: set[str], indexed: set[str]
) -> None:
    pairs = list(merged(iter(_objects(stored)), iter(_images(indexed))))

    assert [name_of(pair) for pair in pairs] == sorted(stored | indexed, key=str.encode)
    assert {name_of(pair) for pair in pairs if pair[0] is not None} == stored
    assert {name_of(pair) for pair in pairs if pair[1] is not None} == indexed


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_pages_of_any_size_are_read_to_their_end_from_where_they_were_left(size: int) -> None:
    objects = _objects({"a", "b", "c", "d"})
    asked: list[str] = []

    def page_after(after: str) -> list[StoredObject]:
        asked.append(after)
        return [stored for stored in objects if stored.ref.name > after][:size]

    found = [stored.ref.name for stored in pages(page_after, after="a")]

    assert found == ["b", "c", "d"]
    assert asked[0] == "a"
    assert asked[-1] == "d"


@pytest.mark.parametrize(
    ("stored", "image", "kind"),
    [
        (_STORED, None, FaultKind.MISSING),
        (_STORED, _TOMBSTONE, FaultKind.MISSING),
        (None, _IMAGE, FaultKind.ORPHANED),
        (None, _PENDING, FaultKind.ORPHANED),
        (None, replace(_IMAGE, standing=Standing.BLOCKED), FaultKind.ORPHANED),
        (_STORED, replace(_IMAGE, version="v0"), FaultKind.STALE),
        (_STORED, replace(_IMAGE, size_bytes=99), FaultKind.STALE),
        (_STORED, replace(_IMAGE, standing=Standing.FAILED, version="v0"), FaultKind.STALE),
        (_STORED, replace(_IMAGE, has_vector=False), FaultKind.WRONG_MODEL),
        (_STORED, replace(_PENDING, standing=Standing.FAILED, is_given_up=True), FaultKind.FAILED),
        (
            _STORED,
            replace(_PENDING, standing=Standing.FAILED, version=None, is_given_up=True),
            FaultKind.FAILED,
        ),
        (_STORED, replace(_PENDING, is_stuck=True), FaultKind.STUCK_LEASE),
        (_STORED, replace(_IMAGE, has_preview=False), FaultKind.LOST_PREVIEW),
    ],
)
def test_what_does_not_fit_has_a_word(
    stored: StoredObject | None, image: AuditedImage | None, kind: FaultKind
) -> None:
    fault = fault_of(stored, image)

    assert fault is not None
    assert fault.kind is kind
    assert fault.ref == ObjectRef("photos", "a.jpg")
    assert (fault.stored, fault.image) == (stored, image)


@pytest.mark.parametrize(
    ("stored", "image"),
    [
        (_STORED, _IMAGE),
        (_STORED, _PENDING),
        (_STORED, replace(_PENDING, standing=Standing.FAILED)),
        (_STORED, replace(_PENDING, standing=Standing.FAILED, version=None, size_bytes=None)),
        (_STORED, replace(_IMAGE, standing=Standing.BLOCKED, has_preview=False)),
        (None, _TOMBSTONE),
    ],
    ids=[
        "as it is",
        "somebody is at it",
        "no picture",
        "may not be read",
        "blocked",
        "gone, and so it is known",
    ],
)
def test_what_fits_is_no_fault(stored: StoredObject | None, image: AuditedImage) -> None:
    assert fault_of(stored, image) is None


def test_where_no_previews_are_kept_none_is_missed() -> None:
    assert fault_of(_STORED, replace(_IMAGE, has_preview=False), with_previews=False) is None
