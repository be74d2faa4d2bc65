"""The search routes from end to end: by sentences, by pictures, by stored images, page by page."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.search_world import User, World, images, pages
from tests.picture_files import encoded, exif_block, photograph
from tests.search_api import Answer, SearchApi

_ALL = {"min_similarity": "-1"}
_UNKNOWN = 2**62


@dataclass(frozen=True)
class Album:
    """Alice's pictures."""

    alice: User
    bucket: str
    other: str
    """Another bucket of hers."""
    ids: dict[str, int]
    files: dict[str, bytes]

    def id(self, file: str) -> int:
        return self.ids[file]


@pytest.fixture(scope="module")
def album(world: World, packaged: dict[str, Path]) -> Iterator[Album]:
    alice = world.user()
    taken: dict[int, object] = {0x9003: "2020:05:06 07:08:09", 0x9011: "+02:00"}
    files = {
        "cat.png": packaged["packaged/chelsea.png"].read_bytes(),
        "cat again.jpg": encoded(photograph((300, 200)), "JPEG"),
        "coffee.png": packaged["packaged/coffee.png"].read_bytes(),
        "rocket.jpg": packaged["packaged/rocket.jpg"].read_bytes(),
        "in 2020.jpg": encoded(photograph((90, 60)), "JPEG", exif=exif_block({}, taken)),
        "broken.png": b"\x89PNG\r\n\x1a\n",
    }
    flower = {"deep/flower.jpg": packaged["packaged/flower.jpg"].read_bytes()}
    with world.bucket() as bucket, world.bucket() as other:
        ids = world.upload(alice, bucket, files) | world.upload(alice, other, flower)
        yield Album(alice, bucket, other, ids, files | flower)


Get = Callable[..., Answer]


@pytest.fixture
def get(search_api: SearchApi, album: Album) -> Get:
    """Alice asks."""

    def ask(path: str = "/search", **parameters: str) -> Answer:
        return search_api.ask("GET", path, token=album.alice.token, params=parameters)

    return ask


@pytest.fixture
def post(search_api: SearchApi, album: Album) -> Callable[..., Answer]:
    """Alice asks by a query of several parts."""

    def ask(*parts: dict[str, Any], **more: object) -> Answer:
        return search_api.ask("POST", "/search", token=album.alice.token, json={"query": parts, **more})

    return ask


class TestASentence:
    def test_finds_the_picture_that_shows_it_first(self, get: Get) -> None:
        answer = get(q="a cup of coffee")

        assert answer.status == 200
        assert images(answer.json())[0] == "coffee.png"

    def test_finds_no_more_than_the_limit(self, get: Get) -> None:
        reply = get(q="a cat", limit="2", **_ALL).json()

        assert len(reply["results"]) == 2

    def test_finds_nothing_below_the_least_similarity(self, get: Get) -> None:
        everything = get(q="a cat", limit="1000", **_ALL).json()["results"]
        least = everything[2]["similarity"]

        some = get(q="a cat", limit="1000", min_similarity=str(least)).json()["results"]

        assert [result["id"] for result in some] == [result["id"] for result in everything[:3]]

    def test_that_nothing_shows_is_warned_of(self, get: Get) -> None:
        reply = get(q="a cat", min_similarity="1").json()

        assert reply["results"] == []
        assert "nothing relevant" in reply["warnings"][0]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"bucket": "{bucket}"}, {"cat.png", "cat again.jpg", "coffee.png", "rocket.jpg", "in 2020.jpg"}),
            ({"bucket": "{other}"}, {"flower.jpg"}),
            ({"bucket": "nowhere"}, set()),
            ({"prefix": "{user}/c"}, {"cat.png", "cat again.jpg", "coffee.png"}),
            ({"prefix": "{user}/cat "}, {"cat again.jpg"}),
            ({"prefix": "{user}/deep/"}, {"flower.jpg"}),
            ({"prefix": "%"}, set()),
            ({"until": "2021-01-01T00:00:00Z"}, {"in 2020.jpg"}),
            ({"until": "2020-05-06T05:08:09Z"}, set()),
            ({"until": "2020-05-06T05:08:10"}, {"in 2020.jpg"}),
            ({"since": "2020-05-06T07:08:09+02:00", "until": "2021-01-01"}, {"in 2020.jpg"}),
            ({"since": "2020-05-06T05:08:10Z", "prefix": "{user}/i"}, set()),
            ({"since": "2021-01-01", "bucket": "{other}"}, {"flower.jpg"}),
        ],
    )
    def test_is_sought_only_among_what_the_filters_let_through(
        self, filters: dict[str, str], expected: set[str], get: Get, album: Album
    ) -> None:
        names = {"bucket": album.bucket, "other": album.other, "user": album.alice.user_id}
        filled = {name: value.format(**names) for name, value in filters.items()}

        reply = get(q="a cat", **_ALL, **filled).json()

        assert set(images(reply)) == expected


class TestPages:
    def test_hold_each_picture_once_in_the_order_of_one_answer(
        self, search_api: SearchApi, album: Album
    ) -> None:
        token = album.alice.token
        whole = search_api.ask("GET", "/search", token=token, params={"q": "a cat", "limit": "1000", **_ALL})

        found = pages(search_api, "/search", token, q="a cat", limit="1", **_ALL)

        assert [name for page in found for name in images(page)] == images(whole.json())
        assert len(found) >= len(album.ids) - 1

    def test_of_similar_pictures_hold_each_once_and_never_the_picture_itself(
        self, search_api: SearchApi, album: Album
    ) -> None:
        path = f"/images/{album.id('cat.png')}/similar"

        found = pages(search_api, path, album.alice.token, limit="2", **_ALL)

        names = [name for page in found for name in images(page)]
        assert sorted(names) == ["cat again.jpg", "coffee.png", "flower.jpg", "in 2020.jpg", "rocket.jpg"]

    def test_of_a_query_of_parts_go_on_where_the_last_one_ended(self, post: Callable[..., Answer]) -> None:
        parts = [{"text": "a cat"}, {"text": "a rocket", "weight": -0.5}]
        whole = post(*parts, limit=4, min_similarity=-1).json()

        first = post(*parts, limit=2, min_similarity=-1).json()
        second = post(*parts, limit=2, min_similarity=-1, cursor=first["next_cursor"]).json()

        assert images(first) + images(second) == images(whole)

    def test_of_a_text_that_nobody_asked_for_before_go_on_from_the_first_answer(
        self, search_api: SearchApi, album: Album
    ) -> None:
        text = f"a cat numbered {uuid4().hex}"

        found = pages(search_api, "/search", album.alice.token, q=text, limit="2", **_ALL)

        assert [len(page["results"]) for page in found][:3] == [2, 2, 2]

    def test_of_another_search_are_refused(self, get: Get) -> None:
        cursor = get(q="a cat", limit="1", **_ALL).json()["next_cursor"]

        answer = get(q="a rocket", limit="1", cursor=cursor, **_ALL)

        assert answer.status == 400
        assert "another search" in answer.json()["detail"]


def _as_base64(file: bytes) -> dict[str, Any]:
    return {"json": {"query": [{"picture": base64.b64encode(file).decode()}]}}


def _as_data_url(file: bytes) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(file).decode()}"
    return {"json": {"query": [{"picture": url}]}}


def _as_form(file: bytes) -> dict[str, Any]:
    return {"files": {"picture": ("cat.png", file, "image/png")}}


def _as_form_with_search(file: bytes) -> dict[str, Any]:
    search = json.dumps({"query": [{"text": "a rocket", "weight": 0.01}], "limit": 3})
    return {"files": {"picture": ("cat.png", file)}, "data": {"search": search}}


class TestAPicture:
    @pytest.mark.parametrize("as_request", [_as_base64, _as_data_url, _as_form, _as_form_with_search])
    def test_finds_itself_however_it_is_sent(
        self, as_request: Callable[[bytes], dict[str, Any]], search_api: SearchApi, album: Album
    ) -> None:
        request = as_request(album.files["cat.png"])

        answer = search_api.ask("POST", "/search", token=album.alice.token, **request)

        assert answer.status == 200
        assert answer.json()["results"][0]["id"] == album.id("cat.png")
        assert answer.json()["results"][0]["similarity"] > 0.99

    @pytest.mark.parametrize(("weights", "first"), [((9, 1), "coffee.png"), ((1, 9), "rocket.jpg")])
    def test_counts_beside_texts_by_its_weight(
        self, weights: tuple[int, int], first: str, post: Callable[..., Answer], album: Album
    ) -> None:
        coffee = base64.b64encode(album.files["coffee.png"]).decode()
        of_picture, of_text = weights

        reply = post(
            {"picture": coffee, "weight": of_picture}, {"text": "a rocket", "weight": of_text}
        ).json()

        assert images(reply)[0] == first

    def test_with_a_negative_weight_leads_away(self, post: Callable[..., Answer], album: Album) -> None:
        coffee = base64.b64encode(album.files["coffee.png"]).decode()
        plain = post({"text": "a rocket"}, min_similarity=-1).json()["results"]

        led = post({"text": "a rocket"}, {"picture": coffee, "weight": -1}, min_similarity=-1).json()[
            "results"
        ]

        before, after = (
            {result["id"]: result["similarity"] for result in results}[album.id("coffee.png")]
            for results in (plain, led)
        )
        assert after < before - 0.1

    def test_that_is_stored_finds_its_like_and_not_itself(
        self, post: Callable[..., Answer], get: Get, album: Album
    ) -> None:
        cat = album.id("cat.png")

        by_id, similar = post({"image_id": cat}).json(), get(f"/images/{cat}/similar").json()

        assert images(by_id)[0] == "cat again.jpg"
        assert cat not in [result["id"] for result in by_id["results"]]
        assert [result["id"] for result in by_id["results"]] == [r["id"] for r in similar["results"]]

    @pytest.mark.parametrize(
        ("file", "status", "kind"),
        [("broken.png", 409, "not-indexed"), ("nothing.png", 404, "unknown-image")],
    )
    def test_without_a_vector_or_a_place_in_the_index_cannot_be_searched_with(
        self, file: str, status: int, kind: str, post: Callable[..., Answer], get: Get, album: Album
    ) -> None:
        image_id = album.ids.get(file, _UNKNOWN)

        answers = [
            post({"image_id": image_id}),
            post({"text": "a cat"}, {"image_id": image_id}),
            get(f"/images/{image_id}/similar"),
        ]

        assert [answer.status for answer in answers] == [status] * 3
        assert {answer.json()["type"] for answer in answers} == {f"urn:pixseek:problem:{kind}"}


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_anybody_may_ask_whether_it_works(path: str, search_api: SearchApi) -> None:
    answer = search_api.ask("GET", path)

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_the_api_describes_itself(search_api: SearchApi) -> None:
    document = search_api.ask("GET", "/openapi.json").json()

    operations = {f"{method} {path}" for path, methods in document["paths"].items() for method in methods}
    assert operations == {
        "get /search",
        "post /search",
        "get /images/{image_id}",
        "delete /images/{image_id}",
        "get /images/{image_id}/similar",
        "get /images/by-name",
        "post /uploads",
        "get /health",
        "get /ready",
    }
