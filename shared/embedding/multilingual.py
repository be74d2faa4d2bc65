"""A model with a second text tower: sentences that the first cannot read go to one that shares its space.

Reimers and Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation",
arXiv 2004.09813: a tower taught to give the vectors that the first gives for the translation.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from shared.errors import PixseekError, SettingsError
from shared.images import Picture
from shared.languages import foreign_script
from shared.models import EmbeddingModel, Vector
from shared.ports import Embedder, View


class MultilingualEmbedder(Embedder):
    """Pictures and what the first tower reads go to the first; the script of a sentence decides."""

    def __init__(self, first: Embedder, tower: Embedder) -> None:
        """`tower` gives text vectors in the first one's space; raises `SettingsError` if in another."""
        if tower.model.name != first.model.name:
            raise SettingsError(
                f"CLIP_TEXT_MODEL is made for {tower.model.name}, and CLIP_MODEL is {first.model.name}"
            )
        self._first = first
        self._tower = tower
        languages = dict.fromkeys((*first.model.languages, *tower.model.languages))
        self._model = replace(first.model, languages=tuple(languages))

    @property
    def model(self) -> EmbeddingModel:
        """The first one's, with the languages of both."""
        return self._model

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        """One unit vector a text, in order. Raises what the towers raise."""
        is_foreign = [foreign_script(text, self._first.model.languages) is not None for text in texts]
        found = {
            tower: iter(self._embed(embedder, texts, is_foreign, tower, deadline))
            for tower, embedder in ((False, self._first), (True, self._tower))
        }
        return [next(found[tower]) for tower in is_foreign]

    def view(self, picture: Picture) -> View:
        """The first one's. Raises what that raises."""
        return self._first.view(picture)

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        """One unit vector a view, in order, or the error that the first has met with it."""
        return self._first.embed_views(views, deadline=deadline)

    def check(self, *, deadline: float) -> None:
        """Raises what would keep either from embedding now."""
        self._first.check(deadline=deadline)
        self._tower.check(deadline=deadline)

    def _embed(
        self,
        embedder: Embedder,
        texts: Sequence[str],
        is_foreign: Sequence[bool],
        tower: bool,
        deadline: float,
    ) -> list[Vector]:
        own = [text for text, foreign in zip(texts, is_foreign, strict=True) if foreign is tower]
        return embedder.embed_texts(own, deadline=deadline) if own else []
