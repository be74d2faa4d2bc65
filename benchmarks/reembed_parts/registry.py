"""What the benchmark does to the registry of models: switch, timed; roll back; drop."""

import time
from typing import Final

from benchmarks.reembed_parts.judging import Span
from benchmarks.reembed_parts.running import MODEL, NEXT_MODEL, Running
from shared import reembedding
from shared.errors import Unavailable
from shared.learning import learn_texts

_TRIES: Final = 20


def learn(running: Running) -> tuple[Span, int]:
    """The texts that are asked most, for the model to come; how many."""
    began_s = time.monotonic()
    embedder = running.adapters.embedders.named(NEXT_MODEL)
    count = learn_texts(embedder, running.registry, running.adapters.database)
    return Span(began_s, time.monotonic()), count


def activate(running: Running) -> Span:
    """The transaction that makes the model to come active."""
    began_s = time.monotonic()
    running.registry.activate(NEXT_MODEL, least_coverage=reembedding.LEAST_COVERAGE)
    return Span(began_s, time.monotonic())


def roll_back(running: Running) -> Span:
    """The transaction that makes the model of before active again."""
    began_s = time.monotonic()
    running.registry.activate(MODEL, least_coverage=0)
    return Span(began_s, time.monotonic())


def drop(running: Running) -> None:
    """The model to come, with all its vectors. One that is in use is dropped a little later."""
    for left in reversed(range(_TRIES)):
        try:
            running.registry.drop(NEXT_MODEL)
        except Unavailable:
            if not left:
                raise
            time.sleep(1)
        else:
            return
