"""Sentences that a person would type find the right photograph among all of them, through real processes."""

import pytest

from infra.cli.connection import Project
from infra.photographs import Photograph


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a cat", ("packaged/chelsea", "animals/cat")),
        ("a cup of coffee", ("packaged/coffee",)),
        ("a motorcycle", ("packaged/motorcycle",)),
        ("a panda", ("animals/panda",)),
        ("a polar bear", ("animals/polar_bear",)),
        ("a crocodile", ("animals/crocodile",)),
        ("a parrot", ("animals/scarlet_macaw",)),
        ("a screwdriver", ("tools/screwDriver",)),
        ("a frying pan", ("others/pan",)),
        ("a volleyball", ("others/volleyball",)),
        ("solar panels", ("renewable/solar",)),
        ("Tower Bridge", ("sights/TowerBridge",)),
        ("猫", ("packaged/chelsea", "animals/cat")),
        ("一杯咖啡", ("packaged/coffee",)),
        ("北极熊", ("animals/polar_bear",)),
        ("椅子", ("others/chair",)),
        ("狗", ("animals/dog",)),
        ("伦敦塔桥", ("sights/TowerBridge",)),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_the_right_photograph_comes_first(text: str, names: tuple[str, ...], project: Project) -> None:
    reply = project.search(text, limit=3)

    assert reply.results[0].image.startswith(names)


def test_every_photograph_is_in_the_index(pool: list[Photograph], project: Project) -> None:
    counts = project.client.rpc("index_counts_v1", {}).execute().data

    assert counts == [{"state": "indexed", "images": len(pool)}]
