"""The shipped label vectors are what WordNet and the words for the classes make of them."""

import numpy as np
import pytest

from infra.label_vectors import TOLERANCE, WordNetError, build, nouns, read_synset
from shared.embedding.offline import LABEL_VECTORS
from tests.system.conftest import at_hand


def test_the_label_vectors_rebuilt_from_wordnet_are_the_shipped_ones() -> None:
    rebuilt = build(at_hand(nouns))

    shipped = np.load(LABEL_VECTORS, allow_pickle=False)
    assert rebuilt.shape == shipped.shape
    assert rebuilt.dtype == shipped.dtype
    np.testing.assert_allclose(rebuilt.astype(np.float32), shipped.astype(np.float32), rtol=0, atol=TOLERANCE)


def test_a_noun_is_read_with_its_names_definition_and_wider_term() -> None:
    with at_hand(nouns).open("rb") as file:
        tench = read_synset(file, 1440764)
        assert tench.wider is not None
        wider = read_synset(file, tench.wider)

    assert tench.names == ("tench", "Tinca tinca")
    assert tench.definition.startswith("freshwater dace-like game fish")
    assert "cyprinid" in wider.names


def test_an_offset_at_which_no_noun_starts_is_refused() -> None:
    with at_hand(nouns).open("rb") as file, pytest.raises(WordNetError, match=r"not WordNet 3\.0"):
        read_synset(file, 1440765)
