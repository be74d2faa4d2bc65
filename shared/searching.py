"""Find pictures by what they show."""

from dataclasses import dataclass
from time import perf_counter

from shared.models import Hit
from shared.ports import Embedder, ImageSearch, ObjectStore


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures that a search found, best first, and what it took."""

    hits: list[Hit]
    links: list[str | None]
    """A link to each hit, in the same order."""
    model: str
    embed_ms: float
    search_ms: float
    links_ms: float


def search(
    text: str, *, limit: int, caller_token: str, embedder: Embedder, index: ImageSearch, store: ObjectStore
) -> Found:
    """The pictures nearest to a sentence, with the caller's rights.

    Raises `AccessDenied`, `InputError` or `Unavailable`. A hit whose object the caller may not read
    has no link: the index may lag behind the bucket.
    """
    started = perf_counter()
    [vector] = embedder.embed_texts([text])
    embedded = perf_counter()
    model = embedder.model.name
    hits = index.nearest(vector, model=model, limit=limit, caller_token=caller_token)
    searched = perf_counter()
    links = store.links([hit.ref for hit in hits], caller_token=caller_token)
    linked = perf_counter()
    return Found(
        hits,
        links,
        model,
        embed_ms=1000 * (embedded - started),
        search_ms=1000 * (searched - embedded),
        links_ms=1000 * (linked - searched),
    )
