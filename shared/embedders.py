"""Which embedder serves which model, and which model searches use now."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from shared.errors import PixseekError, SettingsError, Unavailable
from shared.ports import Embedder

_ASKED_EVERY_S: Final = 30.0
"""So soon every process follows a switch."""


class ConfiguredEmbedders:
    """Those of this deployment: that of EMBEDDER, and that of NEXT_EMBEDDER during a switch. Each is built
    when it first serves. Threads share it.
    """

    def __init__(
        self,
        builders: Sequence[Callable[[], Embedder]],
        active_model: Callable[[float], str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`builders` in the order in which they are looked at, the model to come last. `active_model` asks
        the database, until a deadline.
        """
        self._builders = list(builders)
        self._built: dict[int, Embedder] = {}
        self._ask = active_model
        self._clock = clock
        self._active: str | None = None
        self._known_at = self._ask_at = -math.inf
        self._lock = threading.RLock()

    def active(self, *, deadline: float, afresh: bool = False) -> Embedder:
        """That of the active model, as the database had it at most half a minute ago, or has it `afresh`.

        Raises `SettingsError` when none is configured for it, `Unavailable`.
        """
        return self.named(self._active_model(deadline, afresh=afresh))

    def named(self, model: str) -> Embedder:
        """That of a model. Raises `SettingsError` that says which variables would make it known."""
        for place in range(len(self._builders)):
            embedder = self._at(place)
            if embedder.model.name == model:
                return embedder
        known = ", ".join(self._at(place).model.name for place in range(len(self._builders)))
        raise SettingsError(
            f"no embedder is configured here for model {model}, only for {known}: set NEXT_EMBEDDER "
            "(offline, clip or roboflow) and NEXT_CLIP_MODEL, or EMBEDDER and CLIP_MODEL"
        )

    def first(self) -> Embedder:
        """That of EMBEDDER. Raises `SettingsError` for what cannot be built."""
        return self._at(0)

    def target(self) -> Embedder:
        """That of the model to come. Raises `SettingsError` for what cannot be built."""
        return self._at(len(self._builders) - 1)

    def _at(self, place: int) -> Embedder:
        with self._lock:
            if place not in self._built:
                self._built[place] = self._builders[place]()
            return self._built[place]

    def _active_model(self, deadline: float, *, afresh: bool) -> str:
        with self._lock:
            known, now = self._active, self._clock()
            if known is not None and now < self._ask_at and not afresh:
                return known
            # One asks; meanwhile the others go on with what is known.
            self._ask_at = now + _ASKED_EVERY_S
        try:
            found = self._ask(deadline)
        except PixseekError as exc:
            with self._lock:
                self._ask_at = now
            # Whoever goes on learns for themselves whether it answers again.
            if isinstance(exc, Unavailable) and known is not None and not afresh:
                return known
            raise
        with self._lock:
            if now >= self._known_at:  # else somebody who asked later was answered sooner
                self._active, self._known_at = found, now
        return found
