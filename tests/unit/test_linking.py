"""Links to what a search found: with whose rights each is asked for, and what is left out."""

import math
import threading
from collections.abc import Iterator

import pytest

from shared.errors import AccessDenied, Unavailable
from shared.hits import Links
from shared.linking import link
from tests.unit.search_ports import AskedStore, entry


@pytest.fixture
def store() -> AskedStore:
    return AskedStore()


@pytest.fixture
def hanging() -> Iterator[AskedStore]:
    """Answers nothing until it is let go."""
    store = AskedStore(let_go=threading.Event())
    yield store
    assert store.let_go is not None
    store.let_go.set()


def test_what_is_public_is_linked_with_our_own_rights(store: AskedStore) -> None:
    links = link([entry(name="a.jpg")], store=store, caller_token="t")

    assert links == [Links("https://photos/a.jpg", None)]
    assert store.asked == {None: ["a.jpg"]}


def test_what_is_private_is_linked_with_the_callers_rights(store: AskedStore) -> None:
    links = link([entry(name="a.jpg", is_public=False)], store=store, caller_token="t")

    assert links == [Links("https://photos/a.jpg", None)]
    assert store.asked == {"t": ["a.jpg"]}


def test_previews_of_private_pictures_are_linked_with_our_own_rights(store: AskedStore) -> None:
    links = link([entry(name="a.jpg", is_public=False, preview="a.webp")], store=store, caller_token="t")

    assert links == [Links("https://photos/a.jpg", "https://photos-previews/a.webp")]
    assert store.asked == {"t": ["a.jpg"], None: ["a.webp"]}


def test_a_preview_is_left_out_where_the_picture_may_not_be_read() -> None:
    store = AskedStore(gone=frozenset({"a.jpg"}))

    links = link([entry(name="a.jpg", is_public=False, preview="a.webp")], store=store, caller_token="t")

    assert links == [Links(None, None)]


def test_a_picture_whose_preview_is_gone_keeps_its_own_link() -> None:
    store = AskedStore(gone=frozenset({"a.webp"}))

    links = link([entry(name="a.jpg", preview="a.webp")], store=store, caller_token="t")

    assert links == [Links("https://photos/a.jpg", None)]


def test_links_are_in_the_order_of_the_pictures(store: AskedStore) -> None:
    entries = [
        entry(1, "z.jpg", preview="z.webp"),
        entry(2, "b.jpg", is_public=False),
        entry(3, "y.jpg"),
        entry(4, "a.jpg", is_public=False, preview="a.webp"),
    ]

    links = link(entries, store=store, caller_token="t")

    assert links == [
        Links("https://photos/z.jpg", "https://photos-previews/z.webp"),
        Links("https://photos/b.jpg", None),
        Links("https://photos/y.jpg", None),
        Links("https://photos/a.jpg", "https://photos-previews/a.webp"),
    ]
    assert store.log == ["links"] * 3
    assert store.asked["t"] == ["b.jpg", "a.jpg"]


def test_for_no_pictures_the_store_is_not_asked(store: AskedStore) -> None:
    assert link([], store=store, caller_token="t") == []
    assert store.log == []


@pytest.mark.parametrize("token", ["t", None], ids=["caller's", "own"])
def test_an_error_of_any_of_the_calls_is_raised(token: str | None) -> None:
    store = AskedStore(faults={token: AccessDenied("the store refuses the token")})
    entries = [entry(1, "a.jpg", is_public=False), entry(2, "b.jpg", preview="b.webp")]

    with pytest.raises(AccessDenied, match="the store refuses the token"):
        link(entries, store=store, caller_token="t")


@pytest.mark.parametrize("is_public", [True, False], ids=["public", "private"])
@pytest.mark.parametrize("preview", [None, "a.webp"], ids=["alone", "with a preview"])
def test_a_store_that_hangs_is_not_waited_for_beyond_the_deadline(
    hanging: AskedStore, is_public: bool, preview: str | None
) -> None:
    with pytest.raises(Unavailable, match="the links did not come in time"):
        link([entry(is_public=is_public, preview=preview)], store=hanging, caller_token="t", deadline=0)


def test_a_store_is_waited_for_as_long_as_it_takes_without_a_deadline(hanging: AskedStore) -> None:
    assert hanging.let_go is not None
    threading.Timer(0.01, hanging.let_go.set).start()

    links = link([entry(preview="a.webp")], store=hanging, caller_token="t", deadline=math.inf)

    assert links == [Links("https://photos/a.jpg", "https://photos-previews/a.webp")]
