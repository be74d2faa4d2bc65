"""Nobody sees, or removes, another owner's pictures: by no route, and not when many ask at once."""

import base64
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import httpx
import pytest

from infra.cli.connection import Project
from infra.local.home import Keys
from shared.ports import Embedder
from tests.integration.conftest import picture_bytes
from tests.integration.search_world import User, World, api_with, pages
from tests.picture_files import encoded, halves
from tests.search_api import Answer, SearchApi

_ROUNDS: Final = 2
_AT_ONCE: Final = 12
_STEP_S: Final = 1e-5
_ALL: Final = {"min_similarity": "-1", "limit": "2"}
_UNKNOWN: Final = 4_611_686_018_427_387_904
_TEXT: Final = "a colour that many ask for at once"


@dataclass(frozen=True)
class Scene:
    """Two users with pictures, the same bytes among them, and a public one of each."""

    alice: User
    bob: User
    bucket: str
    public_bucket: str
    of_alice: dict[str, int]
    of_bob: dict[str, int]
    public: dict[str, int]

    def names(self) -> list[tuple[str, str]]:
        """All pictures, by bucket and name."""
        private = [
            (self.bucket, user.path(file))
            for user, files in ((self.alice, self.of_alice), (self.bob, self.of_bob))
            for file in files
        ]
        return [*private, *((self.public_bucket, name) for name in self.public)]

    def ids(self) -> set[int]:
        return {*self.of_alice.values(), *self.of_bob.values(), *self.public.values()}

    def seen_by(self, user: User | None) -> set[int]:
        """What a caller may see."""
        own = {self.alice: self.of_alice, self.bob: self.of_bob, None: {}}[user]
        return {*own.values(), *self.public.values()}


@pytest.fixture(scope="module")
def scene(world: World) -> Iterator[Scene]:
    alice, bob = world.user(), world.user()
    shared = encoded(halves())
    with world.bucket() as bucket, world.bucket(is_public=True) as public_bucket:
        yield Scene(
            alice,
            bob,
            bucket,
            public_bucket,
            world.upload(alice, bucket, {"same.png": shared, "a.png": picture_bytes((190, 20, 20))}),
            world.upload(bob, bucket, {"same.png": shared, "b.png": picture_bytes((20, 20, 190))}),
            {
                alice.path(file): image_id
                for file, image_id in world.upload(alice, public_bucket, {"open.png": shared}).items()
            },
        )


@pytest.fixture(scope="module")
def public_api(project: Project, keys: Keys, embedder: Embedder) -> SearchApi:
    """In public mode."""
    settings = {"supabase_jwt_secret": keys.jwt_secret, "requests_per_minute": "100000"}
    return api_with(embedder, project.connection, auth="public", **settings)


Way: TypeAlias = Callable[[SearchApi, str | None, Scene], set[int]]


def _found(replies: list[dict[str, Any]]) -> set[int]:
    return {result["id"] for reply in replies for result in reply["results"]}


def _by_text(api: SearchApi, token: str | None, _: Scene) -> set[int]:
    return _found(pages(api, "/search", token, q=_TEXT, **_ALL))


def _by_parts(api: SearchApi, token: str | None, *parts: dict[str, Any]) -> set[int]:
    body = {"query": parts, "limit": 1000, "min_similarity": -1}
    return _found([api.ask("POST", "/search", token=token, json=body).json()])


def _by_picture(api: SearchApi, token: str | None, _: Scene) -> set[int]:
    return _by_parts(api, token, {"picture": base64.b64encode(encoded(halves())).decode()})


def _by_mix(api: SearchApi, token: str | None, _: Scene) -> set[int]:
    picture = base64.b64encode(picture_bytes((20, 20, 190))).decode()
    return _by_parts(api, token, {"text": _TEXT}, {"picture": picture, "weight": -0.5})


def _by_public_image(api: SearchApi, token: str | None, scene: Scene) -> set[int]:
    [image_id] = scene.public.values()
    return _by_parts(api, token, {"image_id": image_id}) | {image_id}


def _by_likeness(api: SearchApi, token: str | None, scene: Scene) -> set[int]:
    [image_id] = scene.public.values()
    return _found(pages(api, f"/images/{image_id}/similar", token, **_ALL)) | {image_id}


def _one_by_one(api: SearchApi, token: str | None, scene: Scene) -> set[int]:
    answers = [api.ask("GET", f"/images/{image_id}", token=token) for image_id in sorted(scene.ids())]
    return {answer.json()["id"] for answer in answers if answer.status == 200}


def _name_by_name(api: SearchApi, token: str | None, scene: Scene) -> set[int]:
    asked = [{"bucket": bucket, "name": name} for bucket, name in scene.names()]
    answers = [api.ask("GET", "/images/by-name", token=token, params=named) for named in asked]
    return {answer.json()["id"] for answer in answers if answer.status == 200}


WAYS: Final[list[Way]] = [
    _by_text,
    _by_picture,
    _by_mix,
    _by_public_image,
    _by_likeness,
    _one_by_one,
    _name_by_name,
]


def _at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """What each came to, all of them done by many threads in an order of chance, and in small steps: else
    a thread would hardly ever be interrupted where another one could take what is its own.
    """
    order = list(range(len(acts)))
    random.Random(7).shuffle(order)  # noqa: S311 # no secret
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(_STEP_S)
    try:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            begun = {place: threads.submit(acts[place]) for place in order}
            return [begun[place].result() for place in range(len(acts))]
    finally:
        sys.setswitchinterval(interval_s)


def test_many_callers_at_once_see_their_own_and_public_pictures_only(
    scene: Scene, search_api: SearchApi
) -> None:
    asked = [(way, user) for way in WAYS for user in (scene.alice, scene.bob) for _ in range(_ROUNDS)]

    seen = _at_once(
        [lambda way=way, user=user: way(search_api, user.token, scene) for way, user in asked]  # type: ignore[misc] # mypy cannot infer it
    )

    assert seen == [scene.seen_by(user) for _, user in asked]


def test_in_public_mode_everybody_sees_public_pictures_and_a_users_token_changes_nothing(
    scene: Scene, public_api: SearchApi
) -> None:
    tokens = (None, scene.alice.token, "of.some.body")
    asked = [(way, token) for way in WAYS for token in tokens]

    seen = _at_once(
        [lambda way=way, token=token: way(public_api, token, scene) for way, token in asked]  # type: ignore[misc] # mypy cannot infer it
    )

    assert seen == [scene.seen_by(None)] * len(asked)


def test_in_public_mode_the_operator_still_sees_everything(
    scene: Scene, public_api: SearchApi, project: Project
) -> None:
    seen = _one_by_one(public_api, project.connection.service_role_key, scene)

    assert seen == scene.ids()


def _with_id(method: str, path: str) -> Callable[[int], dict[str, Any]]:
    return lambda image_id: {"method": method, "path": path.format(image_id)}


def _with_parts(*others: dict[str, Any]) -> Callable[[int], dict[str, Any]]:
    return lambda image_id: {
        "method": "POST",
        "path": "/search",
        "json": {"query": [*others, {"image_id": image_id}]},
    }


_ASKING_WITH: Final = {
    "image": _with_id("GET", "/images/{}"),
    "similar": _with_id("GET", "/images/{}/similar"),
    "delete": _with_id("DELETE", "/images/{}"),
    "search": _with_parts(),
    "mix": _with_parts({"text": _TEXT, "weight": -1}),
}


def _said(answer: Answer, image: object) -> dict[str, Any]:
    """All that an answer tells, but for what was asked with."""
    body = {**answer.json(), "request_id": None}
    return {**body, "detail": body["detail"].replace(str(image), "it"), "headers": dict(answer.headers)}


class TestAnothersPicture:
    @pytest.mark.parametrize("request_of", _ASKING_WITH.values(), ids=_ASKING_WITH)
    def test_is_answered_for_as_one_that_does_not_exist(
        self, request_of: Callable[[int], dict[str, Any]], scene: Scene, search_api: SearchApi
    ) -> None:
        theirs = scene.of_bob["b.png"]

        answers = _at_once(
            [
                lambda image_id=image_id: search_api.ask(token=scene.alice.token, **request_of(image_id))  # type: ignore[misc] # mypy cannot infer it
                for image_id in [theirs, _UNKNOWN] * 4
            ]
        )

        assert {answer.status for answer in answers} == {404}
        told = [
            _said(answer, image_id) for answer, image_id in zip(answers, [theirs, _UNKNOWN] * 4, strict=True)
        ]
        assert told == [told[0]] * 8
        assert told[0]["type"] == "urn:pixseek:problem:unknown-image"

    def test_is_answered_for_by_name_as_one_that_does_not_exist(
        self, scene: Scene, search_api: SearchApi
    ) -> None:
        names = [scene.bob.path("b.png"), scene.bob.path("none.png")]

        answers = [
            search_api.ask(
                "GET",
                "/images/by-name",
                token=scene.alice.token,
                params={"bucket": scene.bucket, "name": name},
            )
            for name in names
        ]

        assert [answer.status for answer in answers] == [404, 404]
        assert _said(answers[0], names[0]) == _said(answers[1], names[1])

    def test_cannot_be_deleted_and_stays_where_it_is(
        self, scene: Scene, search_api: SearchApi, public_api: SearchApi, world: World
    ) -> None:
        private, public = scene.of_bob["b.png"], next(iter(scene.public.values()))

        answers = [
            search_api.ask("DELETE", f"/images/{private}", token=scene.alice.token),
            search_api.ask("DELETE", f"/images/{public}", token=scene.bob.token),
            public_api.ask("DELETE", f"/images/{public}", token=scene.alice.token),
            public_api.ask("DELETE", f"/images/{private}"),
        ]

        assert [answer.status for answer in answers] == [404, 403, 403, 403]
        objects = b"select count(*) from storage.objects where bucket_id = any(%s)"
        assert world.sql(objects, [scene.bucket, scene.public_bucket]) == [(5,)]
        states = b"select distinct state from pixseek.images where id = any(%s)"
        assert world.sql(states, list(scene.ids())) == [("indexed",)]

    def test_is_not_shown_by_another_callers_cursor(self, scene: Scene, search_api: SearchApi) -> None:
        first = search_api.ask(
            "GET",
            "/search",
            token=scene.alice.token,
            params={"q": _TEXT, "limit": "1", "min_similarity": "-1"},
        ).json()
        query = {"q": _TEXT, "limit": "1", "min_similarity": "-1", "cursor": first["next_cursor"]}

        found = pages(search_api, "/search", scene.bob.token, **query)

        assert _found(found) <= scene.seen_by(scene.bob)

    def test_is_not_opened_by_the_link_to_ones_own(self, scene: Scene, search_api: SearchApi) -> None:
        own, theirs = scene.of_alice["a.png"], scene.of_bob["b.png"]
        shown = search_api.ask("GET", f"/images/{own}", token=scene.alice.token).json()
        turned = [
            shown["url"].replace(scene.alice.path("a.png"), scene.bob.path("b.png")),
            shown["preview_url"].replace(f"/{own}/", f"/{theirs}/"),
        ]

        fetched = [httpx.get(link).status_code for link in (shown["url"], shown["preview_url"], *turned)]

        assert fetched == [200, 200, 400, 400]

    def test_has_a_preview_that_no_user_may_fetch_without_a_link(self, scene: Scene, world: World) -> None:
        headers = {"apikey": world.connection.anon_key, "Authorization": f"Bearer {scene.alice.token}"}
        [(name,)] = world.sql(
            b"select name from storage.objects where bucket_id = %s and name like %s",
            f"{scene.bucket}-previews",
            f"{scene.of_bob['b.png']}/%",
        )

        root = f"{world.connection.supabase_url}/storage/v1/object"
        answer = httpx.get(f"{root}/authenticated/{scene.bucket}-previews/{name}", headers=headers)

        assert answer.status_code == 400
