"""Whether searches can be answered now: the database, the embedder, and its model in the index."""

import math
from functools import partial

from shared.beside import outcome, start
from shared.errors import PixseekError, SettingsError
from shared.ports import Embedders


def probe(*, embedders: Embedders, deadline: float = math.inf) -> dict[str, PixseekError | None]:
    """What is wrong with each of `database`, `embedder` and `model`, or None. No call that costs is made.

    `model`: none is active, or no embedder is configured for the one that is. What only the database could
    tell is not wrong as long as that does not answer.
    """
    wrong: dict[str, PixseekError | None] = {"database": None, "embedder": None, "model": None}
    try:
        embedder = embedders.active(deadline=deadline, afresh=True)
        checking = start(partial(embedder.check, deadline=deadline))
    except SettingsError as exc:
        return wrong | {"model": exc}
    except PixseekError as exc:
        return wrong | {"database": exc}
    try:
        outcome(checking, deadline=deadline, of="the embedder's answer")
    except PixseekError as exc:
        return wrong | {"embedder": exc}
    return wrong
