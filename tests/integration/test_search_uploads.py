"""A picture from its upload through the API, over its states, to its removal; and the links to it."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from PIL import Image

from infra.cli.connection import Project
from infra.local.home import Keys
from shared.database import Database
from shared.embedding.offline import MODEL
from shared.models import Change, ImageRecord, ObjectEvent, ObjectRef, StoredObject
from tests.integration.conftest import picture_bytes
from tests.integration.search_world import User, World, images, wait_until
from tests.picture_files import encoded, photograph
from tests.search_api import Answer, SearchApi

_PNG = "image/png"
_NAMES = (
    "a b.png", "1+1=2 & m@x.png", "it's (1)!*;:,.png", "what?.png", "a?b&c=d.png", "deep/er/$d.png",
    "token=x.png", "a+b.png",
)  # fmt: skip


@pytest.fixture(scope="module")
def alice(world: World) -> User:
    return world.user()


@pytest.fixture(scope="module")
def bucket(world: World) -> Iterator[str]:
    with world.bucket() as name:
        yield name


def _begin(api: SearchApi, user: User, bucket: str, content_type: str = _PNG) -> Answer:
    body = {"bucket": bucket, "content_type": content_type}
    return api.ask("POST", "/uploads", token=user.token, json=body)


def _by_name(api: SearchApi, user: User, bucket: str, name: str) -> Answer:
    return api.ask("GET", "/images/by-name", token=user.token, params={"bucket": bucket, "name": name})


def _upload(api: SearchApi, user: User, bucket: str, data: bytes) -> dict[str, Any]:
    """The picture, once the index is done with it."""
    begun = _begin(api, user, bucket).json()
    httpx.request(begun["method"], begun["url"], headers=begun["headers"], content=data).raise_for_status()
    wait_until(lambda: _is_done(_by_name(api, user, bucket, begun["image"]).json()))
    shown: dict[str, Any] = _by_name(api, user, bucket, begun["image"]).json()
    return shown


def _is_done(shown: dict[str, Any]) -> bool:
    """Of bytes that are known, the preview comes a moment after the vector."""
    state = shown.get("state")
    return state == "failed" or (state == "indexed" and shown["preview_url"] is not None)


class TestAnUpload:
    def test_is_found_once_it_is_indexed_until_it_is_deleted(
        self, search_api: SearchApi, alice: User, bucket: str, world: World
    ) -> None:
        shown = _upload(search_api, alice, bucket, encoded(photograph((310, 210))))
        query = {"q": "a cat", "bucket": bucket}
        path, name = f"/images/{shown['id']}", shown["image"]

        found = search_api.ask("GET", "/search", token=alice.token, params=query).json()
        deleted = search_api.ask("DELETE", path, token=alice.token)
        left = search_api.ask("GET", "/search", token=alice.token, params=query).json()
        again = [
            search_api.ask(method, place, token=alice.token)
            for method, place in (("GET", path), ("GET", f"{path}/similar"), ("DELETE", path))
        ]
        again.append(_by_name(search_api, alice, bucket, name))

        assert [result["id"] for result in found["results"]] == [shown["id"]]
        assert (deleted.status, deleted.body) == (204, "")
        assert left["results"] == []
        assert [answer.status for answer in again] == [404] * 4
        objects = b"select name from storage.objects where bucket_id in (%s, %s || '-previews')"
        assert world.sql(objects, bucket, bucket) == []
        assert httpx.get(shown["url"]).status_code == 400
        assert httpx.get(shown["preview_url"]).status_code == 400

    def test_is_named_by_the_api_in_the_users_folder(
        self, search_api: SearchApi, alice: User, bucket: str
    ) -> None:
        answers = [_begin(search_api, alice, bucket, kind) for kind in ("image/jpeg", "image/jpeg", _PNG)]

        assert [answer.status for answer in answers] == [201] * 3
        begun = [answer.json() for answer in answers]
        assert {upload["image"].partition("/")[0] for upload in begun} == {alice.user_id}
        assert [upload["image"].rpartition(".")[2] for upload in begun] == ["jpg", "jpg", "png"]
        assert len({upload["image"] for upload in begun}) == 3
        assert begun[0]["headers"] == {"Content-Type": "image/jpeg"}
        assert begun[0]["method"] == "PUT"

    def test_that_nobody_has_made_yet_is_unknown(
        self, search_api: SearchApi, alice: User, bucket: str
    ) -> None:
        begun = _begin(search_api, alice, bucket).json()

        answer = _by_name(search_api, alice, bucket, begun["image"])

        assert answer.status == 404

    def test_that_is_recorded_and_not_embedded_is_pending(
        self, search_api: SearchApi, alice: User, project: Project, local_database: Database
    ) -> None:
        ref = ObjectRef(f"local-{uuid4().hex[:8]}", alice.path("new.png"))
        rule = {"bucket_name": ref.bucket, "provider": "local", "owner_rule": "first_segment"}
        project.client.rpc("put_bucket_v1", rule).execute()
        record = ImageRecord(StoredObject(ref, "1", 10), "1", "ab" * 32)

        local_database.record([record], model=MODEL.name)
        answer = _by_name(search_api, alice, ref.bucket, ref.name)
        similar = search_api.ask("GET", f"/images/{answer.json()['id']}/similar", token=alice.token)
        local_database.remove([ObjectEvent(ref, Change.REMOVED, "2")])

        assert (answer.status, answer.json()["state"]) == (200, "pending")
        assert similar.status == 409

    def test_that_is_no_picture_fails_with_the_reason(
        self, search_api: SearchApi, alice: User, bucket: str
    ) -> None:
        shown = _upload(search_api, alice, bucket, b"%PDF-1.7\n")

        assert shown["state"] == "failed"
        assert "a PDF document" in shown["reason"]
        assert shown["is_own"] is True

    def test_is_shown_with_all_that_is_on_record(
        self, search_api: SearchApi, alice: User, bucket: str
    ) -> None:
        data = picture_bytes((0, 120, 0), (60, 40))
        by_name = _upload(search_api, alice, bucket, data)

        by_id = search_api.ask("GET", f"/images/{by_name['id']}", token=alice.token).json()

        links = ("url", "preview_url")
        assert {key: by_id[key] for key in by_id if key not in links} == {
            key: by_name[key] for key in by_name if key not in links
        }
        assert (by_id["width"], by_id["height"], by_id["size_bytes"]) == (60, 40, len(data))
        assert (by_id["content_type"], by_id["average_colour"]) == (_PNG, "#007800")
        assert (by_id["bucket"], by_id["taken_at"], by_id["reason"]) == (bucket, None, None)

    def test_to_a_bucket_whose_policies_refuse_is_refused(
        self, search_api: SearchApi, alice: User, packaged: dict[str, Path]
    ) -> None:
        assert packaged

        answer = _begin(search_api, alice, "photos")

        assert answer.status == 403
        assert answer.json()["type"] == "urn:pixseek:problem:forbidden"
        assert "'photos'" in answer.json()["detail"]

    @pytest.mark.parametrize("name", ["nowhere", "photos-previews", "a/b", "/a/b", "..", ".", "é"])
    def test_to_what_is_no_bucket_of_pictures_is_refused(
        self, name: str, search_api: SearchApi, alice: User
    ) -> None:
        answer = _begin(search_api, alice, name)

        assert answer.status in {400, 403}
        assert answer.json()["type"] in {
            "urn:pixseek:problem:forbidden",
            "urn:pixseek:problem:invalid-request",
        }

    def test_cannot_be_made_with_the_link_of_another_name(
        self, search_api: SearchApi, alice: User, bucket: str, world: World
    ) -> None:
        begun = _begin(search_api, alice, bucket).json()
        elsewhere = begun["url"].replace(alice.user_id, world.user().user_id)

        stored = httpx.put(elsewhere, headers=begun["headers"], content=picture_bytes((1, 2, 3)))

        assert stored.status_code == 400


class TestLinks:
    @pytest.fixture(scope="class")
    @staticmethod
    def files(world: World, alice: User) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Pictures of one colour each, under names that make links hard."""
        files = {name: picture_bytes((20 * number, 9, 9)) for number, name in enumerate(_NAMES)}
        with world.bucket() as hard:
            world.upload(alice, hard, files)
            yield hard, files

    def test_fetch_the_very_picture_whatever_its_name(
        self, files: tuple[str, dict[str, bytes]], search_api: SearchApi, alice: User
    ) -> None:
        hard, written = files
        query = {"q": "a colour", "bucket": hard, "min_similarity": "-1", "limit": "100"}

        results = search_api.ask("GET", "/search", token=alice.token, params=query).json()["results"]

        with httpx.Client() as client:
            fetched = {result["image"]: client.get(result["url"]).content for result in results}
            previews = {result["image"]: client.get(result["preview_url"]).content for result in results}
        assert fetched == {alice.path(name): data for name, data in written.items()}
        assert {_colour(preview) for preview in previews.values()} == {20 * n for n in range(len(_NAMES))}

    @pytest.mark.parametrize("name", _NAMES)
    def test_are_given_for_a_name_that_is_asked_for(
        self, name: str, files: tuple[str, dict[str, bytes]], search_api: SearchApi, alice: User
    ) -> None:
        hard, written = files

        shown = _by_name(search_api, alice, hard, alice.path(name)).json()

        assert shown["image"] == alice.path(name)
        assert httpx.get(shown["url"]).content == written[name]

    def test_expire_when_the_settings_say_so(
        self, files: tuple[str, dict[str, bytes]], project: Project, alice: User, keys: Keys
    ) -> None:
        hard, _ = files
        brief = SearchApi(project.connection, supabase_jwt_secret=keys.jwt_secret, link_expires_s="1")

        shown = _by_name(brief, alice, hard, alice.path("a b.png")).json()

        claims = [_claims(shown[link]) for link in ("url", "preview_url")]
        assert [claim["exp"] - claim["iat"] for claim in claims] == [1, 1]


class TestTheOperator:
    def test_finds_everybodys_pictures_and_owns_none(
        self, search_api: SearchApi, world: World, bucket: str
    ) -> None:
        user, key = world.user(), world.connection.service_role_key
        [image_id] = world.upload(user, bucket, {"a.png": picture_bytes((7, 70, 7))}).values()
        query = {"q": "a colour", "bucket": bucket, "prefix": user.path(""), "min_similarity": "-1"}

        found = search_api.ask("GET", "/search", token=key, params=query).json()
        shown = search_api.ask("GET", f"/images/{image_id}", token=key).json()

        assert images(found) == ["a.png"]
        assert shown["is_own"] is False
        assert httpx.get(shown["url"]).status_code == 200

    def test_neither_uploads_nor_deletes(self, search_api: SearchApi, world: World, bucket: str) -> None:
        operator = User("", world.connection.service_role_key)
        [image_id] = world.upload(world.user(), bucket, {"b.png": picture_bytes((7, 7, 70))}).values()

        answers = [
            _begin(search_api, operator, bucket),
            search_api.ask("DELETE", f"/images/{image_id}", token=operator.token),
        ]

        assert [answer.status for answer in answers] == [403, 403]
        assert search_api.ask("GET", f"/images/{image_id}", token=operator.token).status == 200


def _claims(link: str) -> dict[str, Any]:
    token = httpx.URL(link).params["token"]
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def _colour(picture: bytes) -> int:
    """How red it is, as one of those that were written."""
    with Image.open(BytesIO(picture)) as opened:
        red = opened.convert("RGB").getpixel((0, 0))
    assert isinstance(red, tuple)
    return round(red[0] / 20) * 20
