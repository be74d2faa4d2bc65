"""What a query is made of: how often the index and the model are asked, and with what."""

import pytest

from shared.errors import InputError, PictureError, RateLimited, Unavailable
from shared.hits import Part
from tests import picture_files
from tests.picture_files import encoded, halves, noise
from tests.unit.search_ports import Ports

_PICTURE = encoded(halves())
_SMALLER = encoded(noise((10, 8)))


@pytest.fixture
def ports() -> Ports:
    return Ports()


def test_parts_that_are_all_known_reach_the_index_once_as_they_are(ports: Ports) -> None:
    ports.index.remembered = frozenset({"cat", "snow"})

    ports.search(Part(text="cat"), Part(image_id=7, weight=-0.5), Part(text="snow", weight=2))

    [query] = ports.index.queries
    assert query.parts == [Part(text="cat"), Part(image_id=7, weight=-0.5), Part(text="snow", weight=2)]
    assert (ports.embedder.texts, ports.embedder.views, ports.memory.spared) == ([], [], 1)


def test_a_picture_is_embedded_before_the_index_is_asked_and_keeps_its_place_and_weight(
    ports: Ports,
) -> None:
    ports.search(Part(image_id=7), Part(picture=_PICTURE, weight=-2))

    [query] = ports.index.queries
    assert query.parts == [
        Part(image_id=7),
        Part(picture=_PICTURE, vector=[0.0, 64.0], weight=-2),
    ]
    assert ports.log.index("embed pictures") < ports.log.index("search tests/model")


def test_pictures_are_embedded_together_in_their_order(ports: Ports) -> None:
    ports.search(Part(picture=_PICTURE), Part(image_id=7), Part(picture=_SMALLER))

    assert ports.embedder.views == [[b"\x40", b"\x0a"]]
    assert [part.vector for part in ports.index.queries[0].parts] == [[0.0, 64.0], None, [0.0, 10.0]]


def test_missing_texts_are_embedded_together_in_one_call_and_only_they(ports: Ports) -> None:
    ports.index.remembered = frozenset({"cat"})

    ports.search(Part(text="cat"), Part(text="a dog"), Part(picture=_PICTURE), Part(text="snow", weight=-1))

    assert ports.embedder.texts == [["a dog", "snow"]]
    assert len(ports.index.queries) == 2
    assert ports.index.queries[1].parts == [
        Part(text="cat"),
        Part(text="a dog", vector=[5.0, 0.0]),
        Part(picture=_PICTURE, vector=[0.0, 64.0]),
        Part(text="snow", vector=[4.0, 0.0], weight=-1),
    ]


def test_what_is_remembered_is_exactly_the_fresh_texts(ports: Ports) -> None:
    ports.index.remembered = frozenset({"cat", "猫"})

    ports.search(
        Part(text="cat"), Part(text="a dog"), Part(text="猫"), Part(text="狗"), Part(picture=_PICTURE)
    )

    assert ports.embedder.texts == [["a dog", "猫", "狗"]]
    assert ports.memory.remembered == {"a dog": [5.0, 0.0]}
    assert ports.memory.spared == 0


def test_a_query_without_texts_spares_no_call_and_remembers_nothing(ports: Ports) -> None:
    ports.search(Part(image_id=7))

    assert (ports.memory.spared, ports.memory.remembered) == (0, {})


def test_nothing_is_embedded_before_the_request_is_admitted(ports: Ports) -> None:
    ports.search(Part(text="cat"), Part(picture=_PICTURE))

    assert ports.log == [
        "admission",
        "embed pictures",
        "search tests/model",
        "admission",
        "embed texts",
        "search tests/model",
        "admission",
        "links",
    ]


@pytest.mark.parametrize("part", [Part(text="cat"), Part(picture=_PICTURE)], ids=["text", "picture"])
def test_a_request_that_is_refused_costs_no_call_and_gets_no_links(ports: Ports, part: Part) -> None:
    ports.admission.refusal = RateLimited(3)

    with pytest.raises(RateLimited):
        ports.search(part)

    assert (ports.embedder.texts, ports.embedder.views, ports.store.asked) == ([], [], {})


def test_a_request_whose_parts_are_all_known_is_refused_before_its_links(ports: Ports) -> None:
    ports.admission.refusal = RateLimited(3)
    ports.index.remembered = frozenset({"cat"})

    with pytest.raises(RateLimited):
        ports.search(Part(text="cat"))

    assert ports.store.asked == {}


def test_who_may_not_search_is_refused_before_a_call_is_paid_for(ports: Ports) -> None:
    ports.index.fault = InputError("no such cursor")

    with pytest.raises(InputError, match="no such cursor"):
        ports.search(Part(text="cat"))

    assert ports.embedder.texts == []


def test_who_asks_nonsense_too_often_is_not_even_told_what_is_wrong(ports: Ports) -> None:
    ports.index.fault = InputError("no such cursor")
    ports.admission.refusal = RateLimited(3)

    with pytest.raises(RateLimited):
        ports.search(Part(text="cat"))


def test_a_picture_that_the_model_refuses_ends_the_search(ports: Ports) -> None:
    ports.embedder.refusal = Unavailable("no model")

    with pytest.raises(Unavailable, match="no model"):
        ports.search(Part(picture=_PICTURE))

    assert ports.index.queries == []


def test_a_file_that_is_no_picture_ends_the_search(ports: Ports) -> None:
    with pytest.raises(PictureError, match="not a picture"):
        ports.search(Part(picture=b"no picture at all"))

    assert ports.embedder.views == []


def test_a_picture_to_search_with_may_have_fewer_pixels_than_one_to_index(ports: Ports) -> None:
    with pytest.raises(PictureError, match=r"4000 x 3001, at most 12 million for this use"):
        ports.search(Part(picture=picture_files.png_header(4000, 3001)))

    assert ports.embedder.views == []
