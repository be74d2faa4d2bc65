"""Whether searches can be answered, looked at now and then: everybody may ask, and asking costs."""

import math
import threading
import time
from typing import Final

from shared.probing import probe
from shared.telemetry import log_failure
from shared.wiring import Adapters

_KEPT_S: Final = 3.0


class Readiness:
    """Of one deployment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = -math.inf
        self._wrong: list[str] = []

    def wrong(self, adapters: Adapters, deadline: float) -> list[str]:
        """The parts that are not at work, by their names."""
        with self._lock:
            if time.monotonic() >= self._until:
                probed = probe(embedders=adapters.embedders, deadline=deadline)
                for part, error in probed.items():
                    if error is not None:
                        log_failure("not_ready", error, part=part)
                self._wrong = sorted(part for part, error in probed.items() if error is not None)
                self._until = time.monotonic() + _KEPT_S
            return self._wrong
