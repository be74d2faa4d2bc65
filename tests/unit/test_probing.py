"""Whether searches can be answered: each part tells for itself what is wrong."""

import threading
import time

import pytest

from shared.errors import PixseekError, SettingsError, Unavailable
from shared.probing import probe
from tests.unit.search_ports import AskedEmbedder, AskedIndex


class HangingEmbedder(AskedEmbedder):
    """Until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def check(self, *, deadline: float) -> None:  # noqa: ARG002
        assert self.let_go.wait(60)


_OUTAGE = Unavailable("does not answer")
_UNKNOWN = SettingsError("unknown model")


def test_when_all_is_well_nothing_is_wrong_and_no_call_costs() -> None:
    embedder, index = AskedEmbedder(), AskedIndex()

    found = probe(embedder=embedder, index=index, deadline=time.monotonic() + 60)

    assert found == {"database": None, "embedder": None, "model": None}
    assert index.log == ["state of tests/model"]
    assert (embedder.texts, embedder.views) == ([], [])


@pytest.mark.parametrize(
    ("of_index", "of_embedder", "expected"),
    [
        (_OUTAGE, None, {"database": _OUTAGE, "embedder": None, "model": None}),
        (_UNKNOWN, None, {"database": None, "embedder": None, "model": _UNKNOWN}),
        (None, _OUTAGE, {"database": None, "embedder": _OUTAGE, "model": None}),
        (_UNKNOWN, _OUTAGE, {"database": None, "embedder": _OUTAGE, "model": _UNKNOWN}),
    ],
    ids=["database", "model", "embedder", "two"],
)
def test_what_is_wrong_is_told_of_its_part(
    of_index: PixseekError | None,
    of_embedder: PixseekError | None,
    expected: dict[str, PixseekError | None],
) -> None:
    embedder, index = AskedEmbedder(fault=of_embedder), AskedIndex(fault=of_index)

    found = probe(embedder=embedder, index=index, deadline=time.monotonic() + 60)

    assert found == expected


def test_the_deadline_is_passed_on() -> None:
    embedder, index = AskedEmbedder(), AskedIndex()

    probe(embedder=embedder, index=index, deadline=1e9)

    assert (embedder.deadlines, index.deadlines) == ([1e9], [1e9])


def test_an_embedder_that_hangs_is_not_ready() -> None:
    embedder = HangingEmbedder()

    found = probe(embedder=embedder, index=AskedIndex(), deadline=0)
    embedder.let_go.set()

    assert str(found["embedder"]) == "the embedder's answer did not come in time"
    assert found["database"] is None
