"""A search among ports that do as they are told: what it asks the model, and what it does not wait for."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from shared import searching
from shared.errors import Unavailable
from shared.models import EmbeddingModel, Hit, ObjectRef, Vector
from shared.searching import Found

_HIT = Hit(1, ObjectRef("photos", "a.jpg"), 0.5)


@dataclass
class Embedder:
    """Knows English, and keeps what it was asked."""

    asked: list[str] = field(default_factory=list)

    @property
    def model(self) -> EmbeddingModel:
        return EmbeddingModel("tests/model", 2, 0.2, ("en",))

    def embed_texts(self, texts: Sequence[str], *, deadline: float = 0) -> list[Vector]:  # noqa: ARG002
        self.asked += texts
        return [[1.0, 0.0] for _ in texts]

    def embed_pictures(self, *_: object, **__: object) -> list[Vector]:
        raise AssertionError("a search by text embeds no picture")


@dataclass
class Index:
    """Has one picture, and remembers some texts."""

    remembered: frozenset[str] = frozenset()

    def nearest_to_text(self, text: str, **_: object) -> list[Hit] | None:
        return [_HIT] if text in self.remembered else None

    def nearest(self, vector: Vector, **_: object) -> list[Hit]:  # noqa: ARG002
        return [_HIT]


class Store:
    def head(self, *_: object) -> None:
        raise AssertionError("a search asks for links only")

    def read(self, *_: object) -> bytes:
        raise AssertionError("a search asks for links only")

    def links(self, refs: Sequence[ObjectRef], *, caller_token: str | None) -> list[str | None]:  # noqa: ARG002
        return [f"https://{ref.name}" for ref in refs]


@dataclass
class Memory:
    """Keeps what it is told."""

    texts: list[str] = field(default_factory=list)
    spared: int = 0

    def remember(self, text: str, vector: Vector, *, model: str) -> None:  # noqa: ARG002
        self.texts.append(text)

    def count_spared(self) -> None:
        self.spared += 1


class HangingMemory(Memory):
    """Answers nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        assert self.let_go.wait(60)
        super().remember(text, vector, model=model)


class FailingMemory(Memory):
    def remember(self, *_: object, **__: object) -> None:
        raise Unavailable("no database")


@pytest.fixture
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture
def hanging() -> Iterator[HangingMemory]:
    memory = HangingMemory()
    yield memory
    memory.let_go.set()


def _search(text: str, embedder: Embedder, memory: Memory, index: Index | None = None) -> Found:
    return searching.search(
        text,
        limit=5,
        caller_token="t",
        embedder=embedder,
        index=index or Index(),
        memory=memory,
        store=Store(),
    )


def test_a_text_is_embedded_and_remembered_as_the_memory_knows_it(embedder: Embedder) -> None:
    memory = Memory()

    _search("  \uff43\uff41\uff54  \ufb01t ", embedder, memory)

    assert embedder.asked == memory.texts == ["cat fit"]


def test_a_remembered_text_costs_no_call_and_counts_as_spared(embedder: Embedder) -> None:
    memory = Memory()

    found = _search("cat", embedder, memory, Index(frozenset({"cat"})))

    assert found.hits == [_HIT]
    assert (embedder.asked, memory.texts, memory.spared) == ([], [], 1)


def test_a_text_in_letters_that_the_model_cannot_read_is_embedded_anew_and_not_remembered(
    embedder: Embedder,
) -> None:
    memory = Memory()

    found = _search("猫", embedder, memory, Index(frozenset({"猫"})))

    assert "Chinese letters" in found.warnings[0]
    assert (embedder.asked, memory.texts, memory.spared) == (["猫"], [], 0)


def test_nobody_waits_for_a_memory_that_hangs(
    embedder: Embedder, hanging: HangingMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_NOTING_S", 0.01)

    found = _search("cat", embedder, hanging)

    assert found.links == ["https://a.jpg"]
    assert hanging.texts == []
    assert "did not note the query" in str(found.memory_error)


def test_an_answer_is_as_good_when_the_memory_fails(embedder: Embedder) -> None:
    found = _search("cat", embedder, FailingMemory())

    assert found.links == ["https://a.jpg"]
    assert str(found.memory_error) == "no database"
