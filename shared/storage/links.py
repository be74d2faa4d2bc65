"""Links that were made a while ago, made use of again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from shared.models import ObjectRef

_MOST_KEPT: Final = 20_000
_LONGEST_S: Final = 600.0


class LinkMemory:
    """A caller gets the same link for a while: that spares calls, and browsers find pictures in their cache.

    Of a private picture it goes to the caller alone who had it before, and ends when it would have.
    """

    def __init__(self, expires_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`expires_s`: how long a link works. It is given out for a quarter of that at most."""
        self._kept_s = min(_LONGEST_S, expires_s / 4)
        self._clock = clock
        self._lock = threading.Lock()
        self._links: OrderedDict[tuple[str | None, ObjectRef], tuple[str, float]] = OrderedDict()

    def known(self, refs: Sequence[ObjectRef], caller_token: str | None) -> dict[ObjectRef, str]:
        """Those of some objects that the caller was given lately."""
        now = self._clock()
        with self._lock:
            found = {ref: self._links.get((caller_token, ref)) for ref in refs}
        return {ref: link[0] for ref, link in found.items() if link is not None and now < link[1]}

    def keep(self, links: dict[ObjectRef, str | None], caller_token: str | None) -> None:
        """Keep new links; of what may not be read there is none to keep."""
        ends_at = self._clock() + self._kept_s
        with self._lock:
            for ref, link in links.items():
                if link is not None:
                    self._links[caller_token, ref] = (link, ends_at)
                    self._links.move_to_end((caller_token, ref))
            while len(self._links) > _MOST_KEPT:
                self._links.popitem(last=False)
