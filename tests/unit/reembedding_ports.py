"""A small project on its way to another model: a bucket, an index and an embedder that do as told."""

import hashlib
import io
import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, cast

from PIL import Image

from shared.claiming import Worker
from shared.errors import ObjectGone, PixseekError
from shared.models import (
    EmbeddingModel,
    ImageRecord,
    ObjectEvent,
    ObjectRef,
    Recorded,
    Result,
    Standing,
    StoredObject,
    Vector,
)
from shared.ports import ObjectStore, OpenObject, View
from shared.registered import Claim, Coverage, Estimate, ModelState, RegisteredModel
from tests.unit.search_ports import MODEL, AskedEmbedder

NEW: Final = replace(MODEL, name="tests/new model")
_MOST_TRIES: Final = 5


@cache
def picture(number: int) -> bytes:
    """A small one, different from every other."""
    file = io.BytesIO()
    Image.new("RGB", (8 + number % 200, 8 + number // 200)).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True)
class _Opened:
    stored: StoredObject
    data: bytes

    def read(self) -> bytes:
        return self.data


@dataclass
class Bucket:
    """Files by their names. What cannot be read meets its error."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, PixseekError] = field(default_factory=dict)

    @contextmanager
    def open(self, ref: ObjectRef) -> Iterator[OpenObject]:
        if ref.name in self.faults:
            raise self.faults[ref.name]
        if ref.name not in self.files:
            raise ObjectGone(ref.name)
        data = self.files[ref.name]
        yield _Opened(StoredObject(ref, "1", len(data)), data)


class SeeingEmbedder(AskedEmbedder):
    """Answers a vector a view, and counts; some calls may meet errors."""

    def __init__(self) -> None:
        super().__init__(of=NEW)
        self.errors: list[PixseekError] = []
        """Of the next calls, one a call; all of its views meet it."""
        self.unanswered: dict[int, PixseekError] = {}
        """By the width of their pictures."""
        self.dimensions = 2
        """Of the answers."""
        self.calls = 0
        self.refused: frozenset[str] = frozenset()
        """Texts."""
        self.refusal_of_texts: PixseekError | None = None
        self._counting = threading.Lock()

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        with self._counting:
            self.calls += len(views)
            self.deadlines.append(deadline)
            error = self.errors.pop(0) if self.errors else self.refusal
        return [error or self.unanswered.get(view[0]) or [float(view[0])] * self.dimensions for view in views]

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        if self.refusal_of_texts and self.refused & set(texts):
            self.texts.append(list(texts))
            raise self.refusal_of_texts
        return super().embed_texts(texts, deadline=deadline)


class Index:
    """An `ImageIndex` and a `ModelRegistry`: what is known of the bucket's files under the model to come."""

    def __init__(self, hashes: Mapping[str, str | None]) -> None:
        self.hashes = dict(hashes)
        self.vectors: dict[str, Vector] = {}
        self.failed: dict[str, str] = {}
        self.leased: set[str] = set()
        self.tries: Counter[str] = Counter()
        self.state: ModelState = "building"
        self.others: list[RegisteredModel] = []
        self.claims: list[int] = []
        """How many were asked for, a call each."""
        self.buckets: list[Collection[str]] = []
        self.texts: list[str] = []
        """That are asked most."""
        self.acts: list[str] = []
        self.fault: Exception | None = None
        """Of every claim."""
        self.faults: list[Exception | None] = []
        """Of the next claims."""
        self.in_use: dict[str, PixseekError] = {}
        """Models that cannot be dropped, and why."""
        self.gate: PixseekError | None = None
        """Why the model cannot be made active after all."""
        self.at_switch: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def aim(self, model: EmbeddingModel) -> ModelState:
        self.acts.append(f"aim at {model.name}")
        return self.state

    def models(self) -> Sequence[RegisteredModel]:
        return [*self.others, RegisteredModel(NEW.name, 2, self.state, len(self.vectors))]

    def coverage(self, model: str) -> Coverage:
        if model != NEW.name:
            [other] = [known for known in self.others if known.name == model]
            return Coverage(1.0, other.vectors, 0, 0)
        wanted = len(self.hashes) - len(self.failed)
        share = len(self.vectors) / wanted if wanted else 1.0
        return Coverage(share, len(self.vectors), wanted - len(self.vectors), len(self.failed))

    def estimate(self, model: str | None) -> Estimate:
        raise NotImplementedError

    def activate(self, model: str, *, least_coverage: float) -> None:
        assert self.coverage(model).share >= least_coverage
        if self.gate:
            raise self.gate
        self.acts.append(f"activate {model}")
        self.state = "active"
        self.at_switch()

    def drop(self, model: str) -> None:
        if model in self.in_use:
            raise self.in_use[model]
        self.acts.append(f"drop {model}")

    def claim(
        self, model: str, count: int, *, lease_s: int, buckets: Collection[str] = ()
    ) -> Sequence[Claim]:
        assert model == NEW.name
        assert lease_s > 0
        with self._lock:
            self.claims.append(count)
            self.buckets.append(buckets)
            if fault := self.faults.pop(0) if self.faults else self.fault:
                raise fault
            done = {*self.vectors, *self.failed, *self.leased}
            handed_out = [name for name in self.hashes if name not in done][:count]
            self.leased.update(handed_out)
            self.tries.update(handed_out)
        return [
            Claim(number, ObjectRef("photos", name), f"key of {name}", self.hashes[name])
            for number, name in enumerate(handed_out)
        ]

    def give_back(self, claims: Sequence[Claim], *, model: str) -> None:
        assert model == NEW.name
        with self._lock:
            for claim in claims:
                self.leased.remove(claim.ref.name)
                self.tries[claim.ref.name] -= 1

    def asked_most(self, model: str, count: int) -> Sequence[str]:
        assert model == NEW.name
        return self.texts[:count]

    def record(
        self, images: Sequence[ImageRecord], *, model: str, deadline: float = math.inf
    ) -> list[Recorded]:
        raise NotImplementedError

    def store(self, results: Sequence[Result], *, model: str, deadline: float = math.inf) -> list[Standing]:  # noqa: ARG002
        assert model == NEW.name
        with self._lock:
            return [self._store(result) for result in results]

    def _store(self, result: Result) -> Standing:
        name = result.image.stored.ref.name
        self.leased.discard(name)
        if result.vector is not None:
            self.vectors[name] = result.vector
            return Standing.INDEXED
        if result.may_retry and self.tries[name] < _MOST_TRIES:
            return Standing.PENDING
        self.failed[name] = result.reason or ""
        return Standing.FAILED

    def release(self, images: Sequence[ImageRecord], *, model: str) -> None:
        assert model == NEW.name
        with self._lock:
            for image in images:
                name = image.stored.ref.name
                assert image.content_hash == self.hashes[name]
                self.leased.remove(name)
                self.tries[name] -= 1

    def fail_unread(self, events: Sequence[ObjectEvent], reason: str) -> None:
        raise NotImplementedError

    def remove(self, events: Sequence[ObjectEvent]) -> list[Recorded]:
        raise NotImplementedError


@dataclass
class Followed:
    """As the following of an object's event answers."""

    standing: Standing | None = None
    error: PixseekError | None = None
    embedded: bool = False


class Texts:
    """A memory of texts."""

    def __init__(self) -> None:
        self.remembered: dict[str, Vector] = {}

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        assert model == NEW.name
        self.remembered[text] = vector


class Project:
    """`count` pictures that the active model knows, and the one to come does not."""

    def __init__(self, count: int = 0) -> None:
        files = {f"{number:03}.png": picture(number) for number in range(count)}
        self.bucket = Bucket(files)
        self.embedder = SeeingEmbedder()
        self.index = Index({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        self.index.others = [RegisteredModel(MODEL.name, 2, "active", count)]
        self.memory = Texts()
        self.followed: list[ObjectEvent] = []
        self.outcomes: dict[str, Followed] = {}
        """Of what is followed; the index knows all else by then."""

    def worker(self, *, buckets: Collection[str] = (), begin_by: float = math.inf) -> Worker:
        store = cast(ObjectStore, self.bucket)
        return Worker(
            self.embedder, store, self.index, self.index, self._follow, buckets, begin_by, deadline=1e9
        )

    def _follow(self, events: Sequence[ObjectEvent]) -> Sequence[Followed]:
        self.followed += events
        return [self._followed(event.ref.name) for event in events]

    def _followed(self, name: str) -> Followed:
        outcome = self.outcomes.get(name, Followed(Standing.INDEXED))
        self.index.leased.discard(name)
        if outcome.standing is Standing.INDEXED:
            self.index.vectors[name] = [1.0, 0.0]
        elif outcome.standing is Standing.DELETED:
            del self.index.hashes[name]
        elif outcome.standing is Standing.FAILED:
            self.index.failed[name] = "no picture"
        return outcome
