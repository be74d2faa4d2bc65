"""What the functions of the database API are given."""

from collections import defaultdict
from collections.abc import Iterable

from shared.hits import Part
from shared.models import ImageRecord, ObjectEvent, ObjectRef, Provider, Result, Vector

# A generation that has a tombstone never comes back, so that what a sweep still saw of it is gone.
_NUMBERED = {"gcs"}
# Of a unit vector; halfvec keeps fewer.
_DECIMALS = 6


def by_bucket(refs: Iterable[ObjectRef]) -> dict[str, list[str]]:
    """The names of some objects, by their buckets."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for ref in refs:
        names[ref.bucket].append(ref.name)
    return names


def event_item(event: ObjectEvent) -> dict[str, object]:
    """For a removal."""
    return {**ref_item(event.ref), "ordering_key": event.ordering_key}


def ref_item(ref: ObjectRef) -> dict[str, object]:
    """Where an object lies."""
    return {"bucket": ref.bucket, "name": ref.name}


def image_item(image: ImageRecord, provider: Provider) -> dict[str, object]:
    """For `record_images_v3`."""
    stored, facts = image.stored, image.facts
    item = {
        **ref_item(stored.ref),
        "owner": stored.owner,
        "metadata": dict(stored.metadata),
        "version": stored.version,
        "etag": stored.etag,
        "ordering_key": _key_of(image),
        "size_bytes": stored.size_bytes,
        "created_at": stored.created_at and stored.created_at.isoformat(),
        "content_hash": image.content_hash,
        "reason": image.reason,
        "is_of_sweep": image.is_of_sweep and provider not in _NUMBERED,
    }
    if facts is None:
        return item
    return item | {
        "content_type": facts.content_type,
        "width": facts.width,
        "height": facts.height,
        "average_colour": facts.average_colour,
        "taken_at": facts.taken_at and facts.taken_at.isoformat(),
    }


def _key_of(image: ImageRecord) -> str:
    known = image.stored.ordering_key
    if known is None:
        return image.ordering_key
    # A file may be older than the tombstone that a sweep found in its place.
    return max(known, image.ordering_key) if image.is_of_sweep else known


def result_item(result: Result) -> dict[str, object]:
    """For `store_vectors_v2`."""
    return {
        **ref_item(result.image.stored.ref),
        "content_hash": result.image.content_hash,
        "embedding": result.vector and rounded(result.vector),
        "reason": result.reason,
        "may_retry": result.may_retry,
        "preview": result.preview and result.preview.name,
    }


def part_item(part: Part) -> dict[str, object]:
    """For `search_images_v2`; a picture's file is embedded before."""
    item: dict[str, object] = {"weight": part.weight} if part.weight != 1 else {}
    if part.vector is not None:
        return item | {"embedding": rounded(part.vector)}
    if part.image_id is not None:
        return item | {"image_id": part.image_id}
    return item | {"text": part.text}


def rounded(vector: Vector) -> list[float]:
    """As vectors are sent: one that is remembered must be the one that was searched with, or the next page of
    that search would be one of another.
    """
    # Without -0.0, which `jsonb` does not keep: the same vector has to be the same on every way.
    return [round(number, _DECIMALS) + 0.0 for number in vector]
