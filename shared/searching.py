"""Find pictures by what they show."""

import math
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import TIMEOUT_MAX
from time import monotonic, perf_counter
from typing import Final, cast

from shared import images
from shared.beside import start
from shared.errors import InputError, PixseekError, SettingsError, Unavailable
from shared.hits import Links, Page, Part, Query
from shared.languages import foreign_script
from shared.linking import link
from shared.models import EmbeddingModel, Vector
from shared.ports import Admission, Embedder, Embedders, ImageSearch, ObjectLinks, QueryMemory

MAX_QUERY_PIXELS: Final = 12_000_000
_NOTING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """The pictures that a search found, best first, and what it took."""

    page: Page
    links: list[Links]
    """Of each hit, in the same order."""
    model: str
    warnings: list[str]
    """Why the answer may be worse than it could be, and what to do."""
    embed_ms: float
    search_ms: float
    links_ms: float
    memory_error: PixseekError | None
    """Why the query could not be remembered: the answer is as good without."""


def search(
    query: Query,
    *,
    caller_token: str,
    embedders: Embedders,
    index: ImageSearch,
    memory: QueryMemory,
    store: ObjectLinks,
    admission: Admission,
    deadline: float = math.inf,
) -> Found:
    """The pictures nearest to a query, with the caller's rights, in the active model; the pages of a search
    stay in the model that it began with.

    A text whose vector is remembered costs no call to the model, and none is made before the request is
    admitted. Raises `AccessDenied`, `InputError`, `RateLimited`, `SettingsError`, or `Unavailable`, also when
    the deadline (`time.monotonic`) comes first.
    """
    started = perf_counter()
    embedder = _embedder_for(query, embedders, index, admission, deadline)
    embedding = _Embedding(embedder, admission, deadline)
    model = embedder.model
    query = replace(query, parts=embedding.of_pictures([_normal(part) for part in query.parts]))
    foreign = {place for place, part in enumerate(query.parts) if _script(part, model)}
    ask = partial(index.nearest, model=model.name, caller_token=caller_token, deadline=deadline)
    # With the texts as they are first: that also refuses who may not search, before they are paid for.
    try:
        page = ask(query)
    except InputError:  # to be told what is wrong counts, too
        admission.wait()
        raise
    unread = {*page.missing, *foreign}
    query = replace(query, parts=embedding.of_texts(query.parts, unread))
    # A vector that says nothing of its text is not kept: a tower that reads it may come.
    fresh = [query.parts[place] for place in unread - foreign]
    # Beside the search: what was paid for is kept also if that fails.
    texts = [part.text for part in query.parts if part.text is not None]
    # Another page is no other question.
    asked = texts if query.cursor is None else []
    noting = start(partial(_note, memory, fresh, asked, model.name, is_spared=bool(texts) and not unread))
    if unread:
        page = ask(query)
    searched = perf_counter()
    admission.wait()
    entries = [hit.entry for hit in page.hits]
    links = link(entries, store=store, caller_token=caller_token, deadline=deadline)
    return Found(
        page,
        links,
        model.name,
        _warnings(query, page, model),
        embed_ms=1000 * embedding.took_s,
        search_ms=1000 * (searched - started - embedding.took_s),
        links_ms=1000 * (perf_counter() - searched),
        memory_error=_error_of(noting, deadline),
    )


def _embedder_for(
    query: Query, embedders: Embedders, index: ImageSearch, admission: Admission, deadline: float
) -> Embedder:
    if query.cursor is None:
        return embedders.active(deadline=deadline)
    try:
        model = index.cursor_model(query.cursor, deadline=deadline)
        return _of_cursor(model, embedders)
    except InputError:  # to be told what is wrong counts, too
        admission.wait()
        raise


def _of_cursor(model: str, embedders: Embedders) -> Embedder:
    try:
        return embedders.named(model)
    except SettingsError as exc:
        raise InputError(
            f"the model of this search, {model}, is not served here any more: start again without a cursor"
        ) from exc


class _Embedding:
    """What a search has embedded, once it is admitted, and how long that took."""

    def __init__(self, embedder: Embedder, admission: Admission, deadline: float) -> None:
        self._embedder = embedder
        self._admission = admission
        self._deadline = deadline
        self.took_s = 0.0

    def of_pictures(self, parts: Sequence[Part]) -> list[Part]:
        """The parts, with vectors for pictures."""
        places = [place for place, part in enumerate(parts) if part.picture is not None]
        return self._embedded(parts, places, self._picture_vectors)

    def of_texts(self, parts: Sequence[Part], places: Collection[int]) -> list[Part]:
        """The parts, with vectors for the texts at some places."""
        return self._embedded(parts, sorted(places), self._text_vectors)

    def _embedded(
        self,
        parts: Sequence[Part],
        places: Sequence[int],
        embed: Callable[[Sequence[Part]], Sequence[Vector]],
    ) -> list[Part]:
        if not places:
            return list(parts)
        self._admission.wait()
        started = perf_counter()
        vectors = embed([parts[place] for place in places])
        self.took_s += perf_counter() - started
        found = dict(zip(places, vectors, strict=True))
        return [
            replace(part, vector=found.get(place)) if place in found else part
            for place, part in enumerate(parts)
        ]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """To decode a picture. Raises `Unavailable` when it does not come in time."""
        left_s = min(self._deadline - monotonic(), TIMEOUT_MAX)
        if left_s <= 0 or not images.one_at_a_time.acquire(timeout=left_s):
            raise Unavailable("no time is left to look at the picture")
        try:
            yield
        finally:
            images.one_at_a_time.release()

    def _text_vectors(self, parts: Sequence[Part]) -> Sequence[Vector]:
        return self._embedder.embed_texts([part.text or "" for part in parts], deadline=self._deadline)

    def _picture_vectors(self, parts: Sequence[Part]) -> Sequence[Vector]:
        views = []
        for part in parts:
            with self._turn():
                picture = images.decode(part.picture or b"", most_pixels=MAX_QUERY_PIXELS)
                views.append(self._embedder.view(picture))
                del picture  # the next one may need its memory
        vectors = self._embedder.embed_views(views, deadline=self._deadline)
        for vector in vectors:
            if isinstance(vector, PixseekError):
                raise vector
        return cast("list[Vector]", vectors)


def _normal(part: Part) -> Part:
    """As the memory knows a text: else what looks alike and reads otherwise would be remembered as this."""
    if part.text is None:
        return part
    return replace(part, text=" ".join(unicodedata.normalize("NFKC", part.text).split()))


def _script(part: Part, model: EmbeddingModel) -> str | None:
    """The letters of a text that the model does not read."""
    return None if part.text is None else foreign_script(part.text, model.languages)


def _warnings(query: Query, page: Page, model: EmbeddingModel) -> list[str]:
    scripts = dict.fromkeys(filter(None, (_script(part, model) for part in query.parts)))
    languages = ", ".join(model.languages)
    warnings = [
        f"The text has {script} letters, and {model.name} was trained on other languages ({languages}): "
        "what it finds may have nothing to do with it. Ask in one of those, or let the operator choose a "
        "model that reads it (README, Which model to pick)."
        for script in scripts
    ]
    if not page.hits and query.cursor is None:
        floor = model.similarity_floor if query.min_similarity is None else query.min_similarity
        nothing = f"nothing relevant: no picture that you may see has a similarity of {floor:g} or more."
        return [nothing, *warnings]
    return warnings


def _error_of(noting: Future[PixseekError | None], deadline: float) -> PixseekError | None:
    """Nobody waits long for what the answer does not need."""
    try:
        return noting.result(max(0.0, min(_NOTING_S, deadline - monotonic())))
    except TimeoutError:
        return Unavailable(f"the database did not note the query within {_NOTING_S} s")


def _note(
    memory: QueryMemory, fresh: Sequence[Part], asked: Sequence[str], model: str, *, is_spared: bool
) -> PixseekError | None:
    try:
        for part in fresh:
            if part.text is not None and part.vector is not None:
                memory.remember(part.text, part.vector, model=model)
        if is_spared:
            memory.count_spared()
        memory.count_asked(asked)
    except PixseekError as exc:
        return exc
    return None
