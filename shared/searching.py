"""Find pictures by what they show."""

import math
import unicodedata
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from shared.errors import PixseekError, Unavailable
from shared.languages import foreign_script
from shared.models import EmbeddingModel, Hit, Vector
from shared.ports import ImageSearch, ObjectLinks, QueryMemory, TextEmbedder

_NOTING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures that a search found, best first, and what it took."""

    hits: list[Hit]
    links: list[str | None]
    """A link to each hit, in the same order."""
    model: str
    warnings: list[str]
    """Why the answer may be worse than it could be, and what to do."""
    embed_ms: float
    search_ms: float
    links_ms: float
    memory_error: PixseekError | None
    """Why the query could not be remembered or counted: the answer is as good without."""


def search(
    text: str,
    *,
    limit: int,
    caller_token: str,
    embedder: TextEmbedder,
    index: ImageSearch,
    memory: QueryMemory,
    store: ObjectLinks,
    deadline: float = math.inf,
) -> Found:
    """The pictures nearest to a sentence, with the caller's rights.

    A text whose vector is remembered costs no model call. Raises `AccessDenied`, `InputError`,
    `SettingsError`, or `Unavailable`, also when the deadline (`time.monotonic`) comes first. A hit whose
    object the caller may not read has no link: the index may lag behind the bucket.
    """
    model = embedder.model
    # As the memory knows it: else what looks alike and reads otherwise would be remembered as this.
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    warnings = _warnings(text, model)
    started = perf_counter()
    vector, embed_s = None, 0.0
    # First of all, because it also refuses who may not search, before a call is paid for.
    hits = index.nearest_to_text(text, model=model.name, limit=limit, caller_token=caller_token)
    if hits is None or warnings:
        embedding = perf_counter()
        [vector] = embedder.embed_texts([text], deadline=deadline)
        embed_s = perf_counter() - embedding
        hits = index.nearest(vector, model=model.name, limit=limit, caller_token=caller_token)
    searched = perf_counter()
    beside = ThreadPoolExecutor(1)
    # A vector that says nothing of the text is not kept: a tower that reads it may come.
    noting = None if warnings else beside.submit(_note, memory, text, vector, model.name)
    beside.shutdown(wait=False)
    links = store.links([hit.ref for hit in hits], caller_token=caller_token)
    return Found(
        hits,
        links,
        model.name,
        warnings,
        embed_ms=1000 * embed_s,
        search_ms=1000 * (searched - started - embed_s),
        links_ms=1000 * (perf_counter() - searched),
        memory_error=_error_of(noting) if noting else None,
    )


def _warnings(text: str, model: EmbeddingModel) -> list[str]:
    script = foreign_script(text, model.languages)
    if script is None:
        return []
    languages = ", ".join(model.languages)
    return [
        f"The text has {script} letters, and {model.name} was trained on other languages ({languages}): "
        "what it finds may have nothing to do with it. Ask in one of those, or let the operator choose a "
        "model that reads it (README, Which model to pick)."
    ]


def _error_of(noting: Future[PixseekError | None]) -> PixseekError | None:
    """Nobody waits long for what the answer does not need."""
    try:
        return noting.result(_NOTING_S)
    except TimeoutError:
        return Unavailable(f"the database did not note the query within {_NOTING_S} s")


def _note(memory: QueryMemory, text: str, vector: Vector | None, model: str) -> PixseekError | None:
    try:
        if vector is None:
            memory.count_spared()
        else:
            memory.remember(text, vector, model=model)
    except PixseekError as exc:
        return exc
    return None
