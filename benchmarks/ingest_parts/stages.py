"""Where the time of a batch goes, and how many calls to the database it takes; in this process."""

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar
from unittest.mock import patch

import httpx

from benchmarks.ingest_parts.running import Running
from shared import images, indexing
from shared.indexing import Outcome
from shared.models import Change, Lane, ObjectEvent, ObjectRef, StoredObject
from shared.ports import Embedder, ObjectStore, OpenObject
from shared.settings import parse_settings
from shared.wiring import Adapters, build_adapters

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_STAGES: Final = ("read", "decode", "look", "preview", "record", "embed", "write preview", "store")


@dataclass(frozen=True)
class _Read:
    stored: StoredObject
    read: Callable[[], bytes]


class _Clock:
    """Adds up what each stage takes; of stages that run side by side, the time of all."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def timed(self, stage: str, act: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
        """A plain function, so that it binds as a method does."""

        def run(*arguments: _Given.args, **named: _Given.kwargs) -> _Result:
            started = time.perf_counter()
            try:
                return act(*arguments, **named)
            finally:
                with self._lock:
                    self.seconds[stage] += time.perf_counter() - started

        return run


def batches(running: Running, bucket: str, files: Sequence[bytes]) -> tuple[dict[str, float], float]:
    """Milliseconds a picture by stage, and database calls for 32 pictures; without events."""
    adapters = build_adapters(parse_settings(running.environment), Lane.INDEXING)
    storage = running.project.client.storage.from_(bucket)
    with running.without_events():
        for number, file in enumerate(files):
            storage.upload(f"{number}.jpg", file, {"content-type": "image/jpeg"})
    events = [
        ObjectEvent(ObjectRef(bucket, f"{number}.jpg"), Change.WRITTEN, "") for number in range(len(files))
    ]
    clock, embedder = _Clock(), adapters.embedders.active(deadline=math.inf)
    with _timing(clock, adapters, embedder), _counting_calls() as calls:
        started = time.perf_counter()
        outcomes = indexing.apply(events, store=adapters.store, embedder=embedder, index=adapters.database)
        whole_s = time.perf_counter() - started
    _check(outcomes)
    by_stage = {stage: 1000 * clock.seconds[stage] / len(files) for stage in _STAGES}
    return {**by_stage, "whole": 1000 * whole_s / len(files)}, calls.total() * indexing.BATCH / len(files)


def _check(outcomes: Sequence[Outcome]) -> None:
    wrong = [outcome for outcome in outcomes if outcome.standing != "indexed" or not outcome.embedded]
    if wrong:
        raise RuntimeError(f"{len(wrong)} pictures were not embedded, the first: {wrong[0]}")


@contextmanager
def _timing(clock: _Clock, adapters: Adapters, embedder: Embedder) -> Iterator[None]:
    store, database = adapters.store, adapters.database
    open_object = type(store).open

    @contextmanager
    def opened(self: ObjectStore, ref: ObjectRef) -> Iterator[OpenObject]:
        """To the last byte: the size is looked at meanwhile, which takes nothing."""
        with ExitStack() as closing:
            found = clock.timed("read", lambda: closing.enter_context(open_object(self, ref)))()
            yield _Read(found.stored, clock.timed("read", found.read))

    with ExitStack() as patches:
        patches.enter_context(patch.object(type(store), "open", opened))
        for owner, name, stage in (
            (images, "decode", "decode"),
            (images.Picture, "preview", "preview"),
            (type(embedder), "view", "look"),
            (type(embedder), "embed_views", "embed"),
            (type(database), "record", "record"),
            (type(database), "store", "store"),
            (type(store), "put", "write preview"),
        ):
            patches.enter_context(patch.object(owner, name, clock.timed(stage, getattr(owner, name))))
        yield


@contextmanager
def _counting_calls() -> Iterator[Counter[str]]:
    """Calls of the database API, by function."""
    calls: Counter[str] = Counter()
    original = httpx.Client.send

    def send(client: httpx.Client, request: httpx.Request, **named: object) -> httpx.Response:
        _, is_call, function = request.url.path.partition("/rest/v1/rpc/")
        if is_call:
            calls[function] += 1
        return original(client, request, **named)  # type: ignore[arg-type] # as they came

    with patch.object(httpx.Client, "send", send):
        yield calls
