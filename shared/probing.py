"""Whether searches can be answered now: the database, the embedder, and its model in the index."""

import math
from collections.abc import Callable
from functools import partial

from shared.beside import outcome, start
from shared.errors import PixseekError, SettingsError
from shared.ports import Embedder, ImageSearch


def probe(
    *, embedder: Embedder, index: ImageSearch, deadline: float = math.inf
) -> dict[str, PixseekError | None]:
    """What is wrong with each of `database`, `embedder` and `model`, or None. No call that costs is made."""
    embedding = start(partial(embedder.check, deadline=deadline))
    database = _error_of(partial(_check_model, index, embedder.model.name, deadline))
    # The database answers that it does not know the model.
    model = database if isinstance(database, SettingsError) else None
    broken = _error_of(partial(outcome, embedding, deadline=deadline, of="the embedder's answer"))
    return {"database": None if model else database, "embedder": broken, "model": model}


def _check_model(index: ImageSearch, model: str, deadline: float) -> None:
    state = index.model_state(model, deadline=deadline)
    if state != "active":
        raise SettingsError(f"model {model} is {state}: it does not answer searches")


def _error_of(act: Callable[[], object]) -> PixseekError | None:
    try:
        act()
    except PixseekError as exc:
        return exc
    return None
