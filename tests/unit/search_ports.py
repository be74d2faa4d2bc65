"""Ports of the searching use-cases that do as they are told, and keep what they were asked in one log."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared import searching
from shared.errors import PixseekError, SettingsError, UnknownImage
from shared.hits import Entry, Hit, ImageState, Page, Part, Query
from shared.images import Picture
from shared.models import EmbeddingModel, ObjectRef, Standing, UploadLink, Vector
from shared.ports import Embedder, Embedders, View
from shared.searching import Found

MODEL = EmbeddingModel("tests/model", 2, 0.2, ("en",))
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def entry(
    image_id: int = 1, name: str = "a.jpg", *, is_public: bool = True, preview: str | None = None
) -> Entry:
    """A picture in `photos`."""
    return Entry(
        image_id,
        ObjectRef("photos", name),
        is_public,
        NOON,
        None if preview is None else ObjectRef("photos-previews", preview),
    )


def state(shown: Entry, *, is_own: bool = True) -> ImageState:
    """A picture that can be found."""
    return ImageState(shown, Standing.INDEXED, None, 100, is_own=is_own, ordering_key="key-1")


HIT = Hit(entry(), 0.5)


@dataclass
class AskedEmbedder(Embedder):
    """Reads English. A text's vector begins with its length, a picture's ends with its width."""

    log: list[str] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    views: list[list[View]] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    refusal: PixseekError | None = None
    """Of every view."""
    fault: PixseekError | None = None
    """Of a check."""
    of: EmbeddingModel = MODEL
    meet: Callable[[], object] = lambda: None
    """Before texts are embedded."""

    @property
    def model(self) -> EmbeddingModel:
        return self.of

    def embed_texts(self, texts: Sequence[str], *, deadline: float = math.inf) -> list[Vector]:
        self.meet()
        self.log.append("embed texts")
        self.texts.append(list(texts))
        self.deadlines.append(deadline)
        return [[float(len(text)), 0.0] for text in texts]

    def view(self, picture: Picture) -> View:
        return bytes([picture.width])

    def embed_views(
        self, views: Sequence[View], *, deadline: float = math.inf
    ) -> list[Vector | PixseekError]:
        self.log.append("embed pictures")
        self.views.append(list(views))
        self.deadlines.append(deadline)
        return [self.refusal or [0.0, float(view[0])] for view in views]

    def check(self, *, deadline: float) -> None:
        self.deadlines.append(deadline)
        if self.fault:
            raise self.fault


@dataclass
class OneEmbedder:
    """The only embedder of a deployment; its model is active."""

    embedder: AskedEmbedder
    fault: PixseekError | None = None
    """When it is asked for the active model."""
    asked: list[tuple[float, bool]] = field(default_factory=list)
    """Deadlines, and whether it was asked afresh."""

    def active(self, *, deadline: float, afresh: bool = False) -> Embedder:
        self.asked.append((deadline, afresh))
        if self.fault:
            raise self.fault
        return self.embedder

    def named(self, model: str) -> Embedder:
        if model != self.embedder.model.name:
            raise SettingsError(f"no embedder is configured here for model {model}")
        return self.embedder


@dataclass
class AskedIndex:
    """Has some hits, and remembers some texts."""

    log: list[str] = field(default_factory=list)
    remembered: frozenset[str] = frozenset()
    hits: Sequence[Hit] = (HIT,)
    shown: Mapping[int, ImageState] = field(default_factory=dict)
    fault: PixseekError | None = None
    of_cursors: str | PixseekError = MODEL.name
    """The model of every search that has a cursor."""
    queries: list[Query] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)

    def nearest(self, query: Query, *, model: str, caller_token: str, deadline: float = math.inf) -> Page:
        self._note(f"search {model}", caller_token, deadline)
        self.queries.append(query)
        missing = [place for place, part in enumerate(query.parts) if self._is_missing(part)]
        return Page([] if missing else self.hits, "index", None, missing)

    def image(self, image_id: int, *, caller_token: str, deadline: float = math.inf) -> ImageState:
        self._note("image", caller_token, deadline)
        if image_id not in self.shown:
            raise UnknownImage("unknown image")
        return self.shown[image_id]

    def image_named(self, ref: ObjectRef, *, caller_token: str, deadline: float = math.inf) -> ImageState:
        self._note("image named", caller_token, deadline)
        return {shown.entry.ref: shown for shown in self.shown.values()}[ref]

    def cursor_model(self, cursor: str, *, deadline: float = math.inf) -> str:
        self._note(f"model of {cursor}", "", deadline)
        if isinstance(self.of_cursors, PixseekError):
            raise self.of_cursors
        return self.of_cursors

    def _is_missing(self, part: Part) -> bool:
        return part.vector is None and part.text is not None and part.text not in self.remembered

    def _note(self, act: str, token: str, deadline: float) -> None:
        self.log.append(act)
        self.tokens.append(token)
        self.deadlines.append(deadline)
        if self.fault:
            raise self.fault


@dataclass
class AskedMemory:
    """Keeps what it is told."""

    remembered: dict[str, Vector] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    """Whose vectors they are."""
    spared: int = 0
    asked: list[str] = field(default_factory=list)
    fault: PixseekError | None = None
    let_go: threading.Event | None = None
    """It hangs until then."""

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        self.models.append(model)
        if self.fault:
            raise self.fault
        assert self.let_go is None or self.let_go.wait(60)
        self.remembered[text] = vector

    def count_spared(self) -> None:
        self.spared += 1

    def count_asked(self, texts: Sequence[str]) -> None:
        self.asked += texts


@dataclass
class AskedStore:
    """Links whatever it is asked for, but what is not there."""

    log: list[str] = field(default_factory=list)
    knows_callers: bool = True
    gone: frozenset[str] = frozenset()
    faults: Mapping[str | None, PixseekError] = field(default_factory=dict)
    """By the token that meets them."""
    let_go: threading.Event | None = None
    """It hangs until then."""
    asked: dict[str | None, list[str]] = field(default_factory=dict)
    """Names, by the token that asked."""
    uploads: list[tuple[ObjectRef, str, str | None]] = field(default_factory=list)

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str | None) -> list[str | None]:
        self.log.append("links")
        self.asked[caller_token] = [ref.name for ref in refs]
        assert self.let_go is None or self.let_go.wait(60)
        if caller_token in self.faults:
            raise self.faults[caller_token]
        return [None if ref.name in self.gone else f"https://{ref.bucket}/{ref.name}" for ref in refs]

    def upload_link(self, ref: ObjectRef, *, content_type: str, caller_token: str | None) -> UploadLink:
        self.log.append("upload link")
        if caller_token in self.faults:
            raise self.faults[caller_token]
        self.uploads.append((ref, content_type, caller_token))
        return UploadLink(f"https://{ref.bucket}/{ref.name}", "PUT", {"Content-Type": content_type})


@dataclass
class AskedAdmission:
    """Admits, unless told otherwise."""

    log: list[str] = field(default_factory=list)
    refusal: PixseekError | None = None

    def wait(self) -> None:
        self.log.append("admission")
        if self.refusal:
            raise self.refusal


class Ports:
    """All that a search needs, with one log."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.embedder = AskedEmbedder(self.log)
        self.embedders: Embedders = OneEmbedder(self.embedder)
        self.index = AskedIndex(self.log)
        self.memory = AskedMemory()
        self.store = AskedStore(self.log)
        self.admission = AskedAdmission(self.log)

    def search(
        self,
        *parts: Part,
        cursor: str | None = None,
        min_similarity: float | None = None,
        deadline: float = math.inf,
    ) -> Found:
        return searching.search(
            Query(parts, 5, cursor, min_similarity),
            caller_token="t",
            embedders=self.embedders,
            index=self.index,
            memory=self.memory,
            store=self.store,
            admission=self.admission,
            deadline=deadline,
        )
