"""Whether searches can be answered: each part tells for itself what is wrong."""

import threading
import time

import pytest

from shared.errors import PixseekError, SettingsError, Unavailable
from shared.probing import probe
from tests.unit.search_ports import AskedEmbedder, OneEmbedder


class HangingEmbedder(AskedEmbedder):
    """Until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def check(self, *, deadline: float) -> None:  # noqa: ARG002
        assert self.let_go.wait(60)


_OUTAGE = Unavailable("does not answer")
_UNKNOWN = SettingsError("no embedder is configured here for the active model")


def test_when_all_is_well_nothing_is_wrong_and_no_call_costs() -> None:
    embedder = AskedEmbedder()

    found = probe(embedders=OneEmbedder(embedder), deadline=time.monotonic() + 60)

    assert found == {"database": None, "embedder": None, "model": None}
    assert (embedder.texts, embedder.views) == ([], [])


@pytest.mark.parametrize(
    ("of_embedders", "of_embedder", "expected"),
    [
        (_OUTAGE, None, {"database": _OUTAGE, "embedder": None, "model": None}),
        (_UNKNOWN, None, {"database": None, "embedder": None, "model": _UNKNOWN}),
        (None, _OUTAGE, {"database": None, "embedder": _OUTAGE, "model": None}),
        (_OUTAGE, _OUTAGE, {"database": _OUTAGE, "embedder": None, "model": None}),
    ],
    ids=["database", "model", "embedder", "nobody tells which embedder to look at"],
)
def test_what_is_wrong_is_told_of_its_part(
    of_embedders: PixseekError | None,
    of_embedder: PixseekError | None,
    expected: dict[str, PixseekError | None],
) -> None:
    embedders = OneEmbedder(AskedEmbedder(fault=of_embedder), fault=of_embedders)

    found = probe(embedders=embedders, deadline=time.monotonic() + 60)

    assert found == expected


def test_the_database_is_asked_now_whatever_was_known_and_the_deadline_is_passed_on() -> None:
    embedders = OneEmbedder(AskedEmbedder())

    probe(embedders=embedders, deadline=1e9)

    assert (embedders.embedder.deadlines, embedders.asked) == ([1e9], [(1e9, True)])


def test_an_embedder_that_hangs_is_not_ready() -> None:
    embedder = HangingEmbedder()

    found = probe(embedders=OneEmbedder(embedder), deadline=0)
    embedder.let_go.set()

    assert str(found["embedder"]) == "the embedder's answer did not come in time"
    assert found["database"] is None
