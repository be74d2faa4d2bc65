"""Judges the end: the bucket against the index. Plain data in, the wrong things out."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_ALIKE: Final = 0.999
"""Cosine: the index keeps half the digits."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An object that is there, and what the index should make of it."""

    name: str
    version: str
    size_bytes: int
    content_hash: str
    words: str | None = None
    """That its reason holds, if it is poisoned."""
    vector: Sequence[float] = ()
    preview_hash: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Of the index."""

    image_id: int
    name: str
    state: str
    version: str | None
    size_bytes: int | None
    content_hash: str | None
    reason: str | None = None
    preview: str = ""
    """Where its preview belongs."""
    has_preview: bool = False

    @property
    def is_live(self) -> bool:
        """Whether the index takes the object for one that is there."""
        return self.state != "deleted"


@dataclass(frozen=True, slots=True)
class StoredVector:
    """Of the active model."""

    image_id: int
    embedding: Sequence[float]


@dataclass(frozen=True, slots=True)
class End:
    """All that is there when everything is over."""

    objects: Sequence[Expected]
    rows: Sequence[Row]
    vectors: Sequence[StoredVector]
    previews: Mapping[str, str] = field(default_factory=dict)
    """Name → sha256."""
    are_versions_unique: bool = False
    """Whether no two objects can have the same version."""


Wrong = tuple[str, str]
"""A figure, and what is wrong."""


def compare(end: End) -> list[Wrong]:
    """Every wrong thing, under the figure that counts it."""
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in end.rows:
        rows[row.name].append(row)
    vectors: defaultdict[int, list[Sequence[float]]] = defaultdict(list)
    for vector in end.vectors:
        vectors[vector.image_id].append(vector.embedding)
    wrong = [*_twice(end, rows, vectors), *_resurrected(end, vectors), *_orphan_previews(end)]
    for expected in end.objects:
        wrong += _of_object(expected, rows[expected.name], vectors, end.previews)
    return wrong


def _of_object(
    expected: Expected,
    rows: Sequence[Row],
    vectors: Mapping[int, Sequence[Sequence[float]]],
    previews: Mapping[str, str],
) -> Iterator[Wrong]:
    if expected.words is not None:
        if not any(row.state == "failed" and expected.words in (row.reason or "") for row in rows):
            yield "unexplained", f"{expected.name}: {_shown(rows)}, and not failed with {expected.words!r}"
        return
    indexed = [row for row in rows if row.state == "indexed" and vectors.get(row.image_id)]
    if not indexed:
        yield "lost", f"{expected.name}: {_shown(rows)}"
    for row in indexed:
        for difference in _differences(expected, row, vectors[row.image_id]):
            yield "stale", f"{row.name}: {difference}"
        if not row.has_preview or row.preview not in previews:
            yield "lost previews", row.name
        elif previews[row.preview] != expected.preview_hash:
            yield "stale", f"{row.name}: its preview shows something else"


def _differences(expected: Expected, row: Row, vectors: Sequence[Sequence[float]]) -> Iterator[str]:
    if row.content_hash != expected.content_hash:
        yield "its bytes were others"
    if row.version != expected.version:
        yield f"its version is {expected.version}, not {row.version}"
    if row.size_bytes != expected.size_bytes:
        yield f"it has {expected.size_bytes} bytes, not {row.size_bytes}"
    if any(_cosine(vector, expected.vector) < _ALIKE for vector in vectors):
        yield "its vector is that of other bytes"


def _twice(
    end: End, rows: Mapping[str, Sequence[Row]], vectors: Mapping[int, Sequence[Sequence[float]]]
) -> Iterator[Wrong]:
    for name, known in rows.items():
        yield from [("twice", f"{name}: {len(known)} rows")] * (len(known) - 1)
    for image_id, stored in vectors.items():
        yield from [("twice", f"image {image_id}: {len(stored)} vectors")] * (len(stored) - 1)
    if end.are_versions_unique:
        versions = Counter(row.version for row in end.rows if row.is_live and row.version is not None)
        for version, count in versions.items():
            yield from [("twice", f"version {version} under {count} names")] * (count - 1)


def _resurrected(end: End, vectors: Mapping[int, object]) -> Iterator[Wrong]:
    there = {expected.name for expected in end.objects}
    with_preview = {preview.partition("/")[0] for preview in end.previews}
    for row in end.rows:
        if row.name not in there:
            if row.is_live:
                yield "resurrected", f"{row.name}: {row.state}, and not there"
            if str(row.image_id) in with_preview:
                yield "resurrected", f"{row.name}: a preview of it is there, and it is not"
    searchable = {row.image_id for row in end.rows if row.state != "deleted"}
    for image_id in vectors:
        if image_id not in searchable:
            yield "resurrected", f"image {image_id}: a vector without a picture"


def _orphan_previews(end: End) -> Iterator[Wrong]:
    there = {expected.name for expected in end.objects if expected.words is None}
    wanted = {row.preview for row in end.rows if row.state == "indexed" and row.name in there}
    for preview in end.previews:
        if preview not in wanted:
            yield "orphan_previews", preview


def _shown(rows: Sequence[Row]) -> str:
    return "; ".join(f"{row.state} {row.reason or ''}".strip() for row in rows) or "not in the index"


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0
