"""The texts that are asked most, embedded for a model before searches use it."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from shared.errors import InputError
from shared.languages import foreign_script
from shared.models import Vector
from shared.ports import Embedder
from shared.registered import ModelRegistry

_TEXTS: Final = 500
_TEXTS_A_CALL: Final = 16
_NOTES_AT_ONCE: Final = 8


class Memory(Protocol):
    """Vectors of texts that are searched for."""

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        """Spare the next search for a text the call to the model. Raises `Unavailable`."""


def learn_texts(
    embedder: Embedder, registry: ModelRegistry, memory: Memory, *, deadline: float = math.inf
) -> int:
    """Embed and remember the texts that are asked most, so that the first searches with a model cost no
    calls; returns how many. Raises what the embedder raises.
    """
    model, count = embedder.model, 0
    # A vector that says nothing of its text is not kept: a tower that reads it may come.
    texts = [
        text for text in registry.asked_most(model.name, _TEXTS) if not foreign_script(text, model.languages)
    ]
    with ThreadPoolExecutor(_NOTES_AT_ONCE, thread_name_prefix="learning") as pool:
        for start in range(0, len(texts), _TEXTS_A_CALL):
            found = _vectors(embedder, texts[start : start + _TEXTS_A_CALL], deadline)
            notes = [pool.submit(memory.remember, text, vector, model=model.name) for text, vector in found]
            for note in notes:
                note.result()
            count += len(notes)
    return count


def _vectors(embedder: Embedder, texts: Sequence[str], deadline: float) -> list[tuple[str, Vector]]:
    """Without those that the model refuses."""
    try:
        return list(zip(texts, embedder.embed_texts(texts, deadline=deadline), strict=True))
    except InputError:
        if len(texts) == 1:
            return []
        return [found for text in texts for found in _vectors(embedder, [text], deadline)]
