"""Objects stored through the gateway by the real client."""

import hashlib
import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Literal
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from storage3._sync.file_api import SyncBucketProxy
from storage3.exceptions import StorageApiError
from storage3.types import (
    CreateSignedUploadUrlOptions,
    FileOptions,
    ListBucketFilesOptions,
    SearchV2Options,
    URLOptions,
)
from supabase import Client

from infra.local.postgres import Postgres
from tests.integration.gateway.conftest import ANON_KEY, SERVICE_KEY, Gateway, make_token

BYTES = bytes(range(256)) * 100
PNG: FileOptions = {"content-type": "image/png"}
ALICE = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-2222-4222-8222-222222222222"
Row = dict[str, object]


@pytest.fixture
def row(sql: psycopg.Connection, bucket: str) -> Callable[[str], Row]:
    """An object's row, past all policies."""

    def find(name: str) -> Row:
        query = "select to_jsonb(o) from storage.objects o where bucket_id = %s and name = %s"
        found = sql.execute(query, (bucket, name)).fetchone()
        assert found is not None
        return dict(found[0])

    return find


def send(gateway: Gateway, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    """A request whose path no library tidies up."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request(method, path, b"x" if method == "POST" else None, {"apikey": SERVICE_KEY, **headers})
    answer = connection.getresponse()
    content = (answer.status, answer.read())
    connection.close()
    return content


def test_a_bucket_can_be_made_found_changed_and_removed(service: Client, bucket: str) -> None:
    service.storage.update_bucket(bucket, {"public": True})

    found = service.storage.get_bucket(bucket)
    service.storage.delete_bucket(bucket)

    assert (found.id, found.public, found.owner) == (bucket, True, "")
    assert bucket not in [other.id for other in service.storage.list_buckets()]


def test_changing_a_bucket_leaves_alone_what_is_not_named(service: Client, bucket: str) -> None:
    service.storage.update_bucket(bucket, {"file_size_limit": 5})
    service.storage.update_bucket(bucket, {"public": True})

    assert service.storage.get_bucket(bucket).file_size_limit == 5


def test_a_bucket_is_made_once(service: Client, bucket: str) -> None:
    with pytest.raises(StorageApiError) as caught:
        service.storage.create_bucket(bucket)

    assert (caught.value.status, caught.value.code) == ("409", "Duplicate")


@pytest.mark.parametrize("name", ["a/b", " a", "é", "x" * 101])
def test_a_bucket_needs_an_allowed_name(service: Client, name: str) -> None:
    with pytest.raises(StorageApiError, match="Bucket name invalid"):
        service.storage.create_bucket(name)


def test_anon_makes_no_bucket(anon: Client) -> None:
    with pytest.raises(StorageApiError) as caught:
        anon.storage.create_bucket("of-anon")

    assert (caught.value.status, caught.value.code) == ("403", "Unauthorized")


def test_a_bucket_with_objects_is_not_removed(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)

    with pytest.raises(StorageApiError) as caught:
        service.storage.delete_bucket(bucket)

    assert caught.value.status == "409"


def test_an_emptied_bucket_can_be_removed(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)
    service.storage.empty_bucket(bucket)

    service.storage.delete_bucket(bucket)

    with pytest.raises(StorageApiError, match="Bucket not found"):
        service.storage.get_bucket(bucket)


@pytest.mark.parametrize("name", ["a.png", "a/b c/d.png", "1+1=2 & m@x", "it's (1)!*;:,.png", "what?.png"])
def test_the_bytes_come_back_under_their_name(service: Client, bucket: str, name: str) -> None:
    files = service.storage.from_(bucket)

    uploaded = files.upload(name, BYTES, PNG)

    assert uploaded.full_path == f"{bucket}/{name}"
    assert files.download(name) == BYTES


def test_an_empty_file_comes_back_empty(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("empty", b"")

    assert service.storage.from_(bucket).download("empty") == b""


def test_a_file_larger_than_memory_keeps_comes_back(service: Client, bucket: str) -> None:
    large = BYTES * 200

    service.storage.from_(bucket).upload("large.bin", large)

    assert service.storage.from_(bucket).download("large.bin") == large


def test_a_bare_body_is_taken_as_well(gateway: Gateway, service: Client, bucket: str) -> None:
    url = f"{gateway.url}/storage/v1/object/{bucket}/bare.png"

    answer = httpx.post(url, content=BYTES, headers={"apikey": SERVICE_KEY, "content-type": "image/png"})

    assert answer.json()["Key"] == f"{bucket}/bare.png"
    assert service.storage.from_(bucket).download("bare.png") == BYTES


def test_the_row_describes_the_bytes(service: Client, bucket: str, row: Callable[[str], Row]) -> None:
    options: FileOptions = {**PNG, "cache-control": "60", "metadata": {"colour": "red"}}

    service.storage.from_(bucket).upload("d/a.png", BYTES, options)

    found = row("d/a.png")
    metadata = found["metadata"]
    assert isinstance(metadata, dict)
    assert metadata.pop("lastModified")
    assert metadata == {
        "eTag": f'"{hashlib.md5(BYTES, usedforsecurity=False).hexdigest()}"',
        "size": len(BYTES),
        "contentLength": len(BYTES),
        "mimetype": "image/png",
        "cacheControl": "max-age=60",
        "httpStatusCode": 200,
    }
    assert found["user_metadata"] == {"colour": "red"}
    assert found["path_tokens"] == ["d", "a.png"]


def test_a_download_says_what_it_is(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES, PNG)

    answer = httpx.get(
        f"{gateway.url}/storage/v1/object/authenticated/{bucket}/a.png", headers={"apikey": SERVICE_KEY}
    )

    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "max-age=3600"
    assert answer.headers["etag"] == f'"{hashlib.md5(BYTES, usedforsecurity=False).hexdigest()}"'


def test_known_bytes_are_not_sent_again(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES, PNG)
    url = f"{gateway.url}/storage/v1/object/{bucket}/a.png"
    etag = httpx.get(url, headers={"apikey": SERVICE_KEY}).headers["etag"]

    answer = httpx.get(url, headers={"apikey": SERVICE_KEY, "if-none-match": etag})

    assert (answer.status_code, answer.content) == (304, b"")


def test_a_head_request_brings_no_bytes(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES, PNG)

    answer = httpx.head(f"{gateway.url}/storage/v1/object/{bucket}/a.png", headers={"apikey": SERVICE_KEY})

    assert (answer.headers["content-length"], answer.content) == (str(len(BYTES)), b"")


def test_info_tells_of_an_object(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES, PNG)

    info = service.storage.from_(bucket).info("a.png")

    assert (info["name"], info["size"], info["content_type"]) == ("a.png", len(BYTES), "image/png")


def test_exists_tells_what_there_is(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)

    assert service.storage.from_(bucket).exists("a.png")
    assert not service.storage.from_(bucket).exists("b.png")


def test_a_second_upload_is_a_duplicate(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)

    answer = httpx.post(
        f"{gateway.url}/storage/v1/object/{bucket}/a.png", content=b"new", headers={"apikey": SERVICE_KEY}
    )

    assert answer.status_code == 400
    assert answer.json() == {
        "statusCode": "409",
        "error": "Duplicate",
        "message": "The resource already exists",
        "code": "ResourceAlreadyExists",
    }
    assert service.storage.from_(bucket).download("a.png") == BYTES


def test_a_refused_upload_leaves_no_file(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)
    before = {path.name for path in gateway.files.iterdir()}

    with pytest.raises(StorageApiError):
        service.storage.from_(bucket).upload("a.png", b"new")

    assert {path.name for path in gateway.files.iterdir()} == before


def test_an_overwrite_keeps_the_id_and_renews_the_version(
    gateway: Gateway, service: Client, bucket: str, row: Callable[[str], Row]
) -> None:
    files = service.storage.from_(bucket)
    files.upload("a.png", BYTES, {"metadata": {"colour": "red"}})
    before = row("a.png")

    files.upload("a.png", BYTES, {"upsert": "true"})

    after = row("a.png")
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["version"] != before["version"]
    assert str(after["updated_at"]) > str(before["updated_at"])
    assert after["user_metadata"] == {}
    assert not (gateway.files / str(before["version"])).exists()


def test_an_update_makes_a_missing_object(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).update("new.png", BYTES)

    assert service.storage.from_(bucket).download("new.png") == BYTES


def test_many_writers_of_one_object_leave_one_whole_file(
    gateway: Gateway, service: Client, bucket: str, row: Callable[[str], Row]
) -> None:
    contents = [bytes([number]) * 50_000 for number in range(16)]
    before = {path.name for path in gateway.files.iterdir()}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda b: service.storage.from_(bucket).upload("a", b, {"upsert": "true"}), contents))

    assert service.storage.from_(bucket).download("a") in contents
    assert {path.name for path in gateway.files.iterdir()} - before == {row("a")["version"]}


def test_a_move_keeps_the_id_and_renews_the_version(
    service: Client, bucket: str, row: Callable[[str], Row]
) -> None:
    files = service.storage.from_(bucket)
    files.upload("a.png", BYTES)
    before = row("a.png")

    files.move("a.png", "b/c.png")

    assert row("b/c.png")["id"] == before["id"]
    assert row("b/c.png")["version"] != before["version"]
    assert files.download("b/c.png") == BYTES
    assert not files.exists("a.png")


def test_a_move_does_not_overwrite(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    files.upload("a.png", BYTES)
    files.upload("b.png", b"other")

    with pytest.raises(StorageApiError) as caught:
        files.move("a.png", "b.png")

    assert caught.value.status == "409"
    assert (files.download("a.png"), files.download("b.png")) == (BYTES, b"other")


def test_of_many_moves_one_succeeds(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    files.upload("a.png", BYTES)

    def moved(number: int) -> bool:
        try:
            files.move("a.png", f"b{number}.png")
        except StorageApiError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(moved, range(8))) == 1


def test_a_copy_is_an_object_of_its_own(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    files.upload("a.png", BYTES, PNG)

    files.copy("a.png", "b.png")
    files.remove(["a.png"])

    assert files.download("b.png") == BYTES
    assert files.info("b.png")["content_type"] == "image/png"


@pytest.mark.parametrize("act", ["move", "copy"])
def test_what_is_not_there_can_neither_be_moved_nor_copied(service: Client, bucket: str, act: str) -> None:
    with pytest.raises(StorageApiError) as caught:
        getattr(service.storage.from_(bucket), act)("no.png", "b.png")

    assert (caught.value.status, caught.value.code) == ("404", "not_found")


def test_remove_answers_what_was_there(gateway: Gateway, service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    files.upload("a.png", BYTES)
    version = files.info("a.png")["version"]

    removed = files.remove(["a.png", "no.png"])

    assert [row["name"] for row in removed] == ["a.png"]
    assert not (gateway.files / version).exists()


def test_a_missing_object_is_404_in_the_body(gateway: Gateway, bucket: str) -> None:
    answer = httpx.get(f"{gateway.url}/storage/v1/object/{bucket}/no.png", headers={"apikey": SERVICE_KEY})

    assert answer.status_code == 400
    assert answer.json() == {
        "statusCode": "404",
        "error": "not_found",
        "message": "Object not found",
        "code": "NoSuchKey",
    }


def test_a_missing_bucket_takes_no_upload(service: Client) -> None:
    with pytest.raises(StorageApiError, match="Bucket not found"):
        service.storage.from_("no-such-bucket").upload("a.png", BYTES)


def test_a_list_has_files_and_folders(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    [files.upload(name, b"x") for name in ("b.png", "a.png", "d/1.png", "d/2.png", "c/x/y.png")]

    top = [(entry["name"], entry["id"] is None) for entry in files.list()]
    inside = [entry["name"] for entry in files.list("d")]

    assert top == [("a.png", False), ("b.png", False), ("c", True), ("d", True)]
    assert inside == ["1.png", "2.png"]


def test_a_list_can_be_cut_turned_and_searched(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    [files.upload(name, b"x") for name in ("a1", "a2", "a3", "b1")]

    options: ListBucketFilesOptions = {
        "search": "a",
        "limit": 2,
        "offset": 1,
        "sortBy": {"column": "name", "order": "desc"},
    }

    assert [entry["name"] for entry in files.list("", options)] == ["a2", "a1"]


def test_a_missing_bucket_lists_nothing(service: Client) -> None:
    assert service.storage.from_("no-such-bucket").list() == []


@pytest.mark.parametrize("name", ["a.png", "a b/c+d & e.png", "what?.png"])
def test_a_signed_link_leads_to_the_bytes_without_a_key(service: Client, bucket: str, name: str) -> None:
    service.storage.from_(bucket).upload(name, BYTES, PNG)

    link = service.storage.from_(bucket).create_signed_url(name, 60)["signedURL"]

    assert link is not None
    assert httpx.get(link).content == BYTES


def test_many_links_come_in_order_with_the_missing_ones_marked(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    files.upload("a b.png", BYTES)

    links = files.create_signed_urls(["no.png", "a b.png"], 60)

    assert [(link["path"], link["error"] is None) for link in links] == [("no.png", False), ("a b.png", True)]
    assert httpx.get(str(links[1]["signedURL"])).content == BYTES


def test_many_links_are_not_encoded(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a b.png", BYTES)

    answer = httpx.post(
        f"{gateway.url}/storage/v1/object/sign/{bucket}",
        json={"expiresIn": 60, "paths": ["a b.png"]},
        headers={"apikey": SERVICE_KEY},
    )

    assert answer.json()[0]["signedURL"].startswith(f"/object/sign/{bucket}/a b.png?token=")


@pytest.mark.parametrize("paths", [[], ["a"] * 1001])
def test_none_or_too_many_links_are_refused(service: Client, bucket: str, paths: list[str]) -> None:
    with pytest.raises(StorageApiError) as caught:
        service.storage.from_(bucket).create_signed_urls(paths, 60)

    assert caught.value.status == "400"


def test_a_link_opens_one_object_only(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    [files.upload(name, BYTES) for name in ("a.png", "b.png")]
    link = str(files.create_signed_url("a.png", 60)["signedURL"])

    answer = httpx.get(link.replace("a.png", "b.png"))

    assert answer.json()["code"] == "InvalidSignature"


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", SERVICE_KEY, make_token("anon", url="{bucket}/a.png"), make_token("anon", exp=1)],
)
def test_a_wrong_token_opens_nothing(gateway: Gateway, service: Client, bucket: str, token: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)

    answer = httpx.get(f"{gateway.url}/storage/v1/object/sign/{bucket}/a.png", params={"token": token})

    assert answer.status_code == 400
    assert answer.json()["code"] in {"InvalidJWT", "InvalidSignature"}


def test_what_is_not_there_cannot_be_signed(service: Client, bucket: str) -> None:
    with pytest.raises(StorageApiError, match="Object not found"):
        service.storage.from_(bucket).create_signed_url("no.png", 60)


def test_a_public_bucket_needs_no_key(service: Client, bucket: str) -> None:
    service.storage.update_bucket(bucket, {"public": True})
    service.storage.from_(bucket).upload("a b.png", BYTES)

    link = service.storage.from_(bucket).get_public_url("a b.png")

    assert httpx.get(link).content == BYTES


def test_a_private_bucket_shows_nothing_in_public(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)

    answer = httpx.get(service.storage.from_(bucket).get_public_url("a.png"))

    assert (answer.json()["statusCode"], answer.json()["error"]) == ("404", "Bucket not found")


def test_a_link_can_ask_for_a_file_name(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)
    options: URLOptions = {"download": "mine.png"}

    link = service.storage.from_(bucket).create_signed_url("a.png", 60, options)["signedURL"]

    assert "mine.png" in httpx.get(str(link)).headers["content-disposition"]


@pytest.mark.parametrize("name", ["é.png", "a#b", "a%b", "a[b]", "a~b", "日本", 'a"b', "a\\b", "a\x00b"])
def test_a_hostile_name_is_an_invalid_key(gateway: Gateway, bucket: str, name: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in name.encode())

    status, content = send(gateway, "POST", f"/storage/v1/object/{bucket}/{quoted}")

    assert status == 400
    assert b'"code":"InvalidKey"' in content


@pytest.mark.parametrize("name", ["../a", "a/../../b", "%2e%2e/a", "..%2f..%2fetc%2fpasswd", "./a", "a/."])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_name_leads_out_of_the_bucket(gateway: Gateway, bucket: str, name: str, method: str) -> None:
    status, content = send(gateway, method, f"/storage/v1/object/{bucket}/x/{name}")

    assert status == 400
    assert b'"code":"InvalidKey"' in content


def test_a_nul_in_a_buckets_name_is_no_crash(gateway: Gateway) -> None:
    assert send(gateway, "GET", "/storage/v1/object/a%00b/c")[0] == 400


@pytest.mark.parametrize("headers", [{"content-type": "image/png"}, {}])
def test_an_upload_above_the_buckets_limit_is_413_in_the_body(
    gateway: Gateway, service: Client, bucket: str, headers: dict[str, str]
) -> None:
    service.storage.update_bucket(bucket, {"file_size_limit": 1000})
    form = httpx.Request("POST", "http://form", files={"file": ("a", BYTES * 200, "image/png")})
    sent = {"apikey": SERVICE_KEY, "content-type": form.headers["content-type"], **headers}

    answer = httpx.post(f"{gateway.url}/storage/v1/object/{bucket}/a.png", content=form.read(), headers=sent)

    assert answer.status_code == 400
    assert (answer.json()["statusCode"], answer.json()["code"]) == ("413", "EntityTooLarge")


def test_an_upload_of_just_the_limit_is_taken(service: Client, bucket: str) -> None:
    service.storage.update_bucket(bucket, {"file_size_limit": 1000})

    service.storage.from_(bucket).upload("a", b"x" * 1000)

    with pytest.raises(StorageApiError):
        service.storage.from_(bucket).upload("b", b"x" * 1001)


@pytest.mark.parametrize("allowed", ["image/png", "image/*"])
def test_a_bucket_takes_its_own_types_only(service: Client, bucket: str, allowed: str) -> None:
    service.storage.update_bucket(bucket, {"allowed_mime_types": [allowed]})

    service.storage.from_(bucket).upload("a.png", BYTES, PNG)

    with pytest.raises(StorageApiError) as caught:
        service.storage.from_(bucket).upload("a.txt", BYTES, {"content-type": "text/plain"})
    assert (caught.value.status, caught.value.code) == ("415", "invalid_mime_type")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=b", b"nonsense"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--b--",
        ),
    ],
)
def test_a_form_without_a_file_is_refused(
    gateway: Gateway, bucket: str, content_type: str, body: bytes
) -> None:
    headers = {"apikey": SERVICE_KEY, "content-type": content_type}

    answer = httpx.post(f"{gateway.url}/storage/v1/object/{bucket}/a", content=body, headers=headers)

    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        make_token("anon", secret="x" * 64),
        make_token("postgres"),
        make_token("anon", exp=1),
    ],
)
def test_a_wrong_token_writes_nothing(gateway: Gateway, bucket: str, token: str) -> None:
    answer = httpx.post(
        f"{gateway.url}/storage/v1/object/{bucket}/a",
        content=b"x",
        headers={"apikey": SERVICE_KEY, "authorization": f"Bearer {token}"},
    )

    assert (answer.status_code, answer.json()["statusCode"], answer.json()["code"]) == (
        400,
        "403",
        "AccessDenied",
    )


def test_a_wrong_token_finds_no_bucket(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)

    answer = httpx.get(
        f"{gateway.url}/storage/v1/object/{bucket}/a.png", headers={"authorization": "Bearer nonsense"}
    )

    assert answer.json()["error"] == "Bucket not found"


def test_anon_uploads_nothing_without_a_policy(anon: Client, bucket: str) -> None:
    with pytest.raises(StorageApiError) as caught:
        anon.storage.from_(bucket).upload("a.png", BYTES)

    assert (caught.value.status, caught.value.code) == ("403", "Unauthorized")
    assert caught.value.message == "new row violates row-level security policy"


def test_a_user_owns_what_the_user_uploads(
    signed_in: Callable[[str], Client], private_bucket: str, sql: psycopg.Connection
) -> None:
    signed_in(ALICE).storage.from_(private_bucket).upload(f"{ALICE}/own.png", BYTES)

    query = "select owner::text, owner_id from storage.objects where name = %s"
    assert sql.execute(query, (f"{ALICE}/own.png",)).fetchall() == [(ALICE, ALICE)]


def test_each_user_sees_the_own_objects_only(signed_in: Callable[[str], Client], private_bucket: str) -> None:
    alice, bob = (signed_in(user).storage.from_(private_bucket) for user in (ALICE, BOB))
    alice.upload(f"{ALICE}/seen.png", BYTES)

    assert alice.download(f"{ALICE}/seen.png") == BYTES
    assert bob.list(ALICE) == []
    assert bob.create_signed_urls([f"{ALICE}/seen.png"], 60)[0]["signedURL"] is None
    with pytest.raises(StorageApiError, match="Object not found"):
        bob.download(f"{ALICE}/seen.png")


def test_nobody_writes_into_anothers_folder(signed_in: Callable[[str], Client], private_bucket: str) -> None:
    alice, bob = (signed_in(user).storage.from_(private_bucket) for user in (ALICE, BOB))
    alice.upload(f"{ALICE}/kept.png", BYTES)

    with pytest.raises(StorageApiError, match="row-level security"):
        bob.upload(f"{ALICE}/kept.png", b"other", {"upsert": "true"})
    with pytest.raises(StorageApiError, match="row-level security"):
        bob.upload(f"{ALICE}/new.png", b"other")
    with pytest.raises(StorageApiError, match="Object not found"):
        bob.move(f"{ALICE}/kept.png", f"{BOB}/taken.png")

    assert bob.remove([f"{ALICE}/kept.png"]) == []
    assert alice.download(f"{ALICE}/kept.png") == BYTES


def test_a_user_overwrites_moves_and_removes_the_own_object(
    signed_in: Callable[[str], Client], private_bucket: str
) -> None:
    files = signed_in(ALICE).storage.from_(private_bucket)
    files.upload(f"{ALICE}/mine.png", b"old")

    files.upload(f"{ALICE}/mine.png", BYTES, {"upsert": "true"})
    files.move(f"{ALICE}/mine.png", f"{ALICE}/moved.png")

    assert files.download(f"{ALICE}/moved.png") == BYTES
    assert [row["name"] for row in files.remove([f"{ALICE}/moved.png"])] == [f"{ALICE}/moved.png"]


def test_nobody_deletes_rows_past_storage(postgres: Postgres) -> None:
    with (
        psycopg.connect(postgres.dsn("postgres")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="Direct deletion"),
    ):
        connection.execute("delete from storage.objects")


@pytest.mark.parametrize(
    "statement",
    [
        "alter table storage.objects add column x int",
        "alter table storage.objects disable row level security",
        "create index on storage.objects (owner_id)",
        "create table storage.mine ()",
        "create function storage.mine() returns int language sql return 1",
        "drop table storage.objects cascade",
        "drop function storage.filename",
        "create table auth.mine ()",
    ],
)
def test_postgres_changes_nothing_in_the_schemas_of_others(postgres: Postgres, statement: str) -> None:
    with (
        psycopg.connect(postgres.dsn("postgres")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_postgres_makes_triggers_on_objects(postgres: Postgres) -> None:
    with psycopg.connect(postgres.dsn("postgres")) as connection:
        connection.execute(
            "create function public.noop() returns trigger language plpgsql as 'begin return null; end'"
        )
        connection.execute(
            "create trigger noop after insert on storage.objects for each row execute function public.noop()"
        )
        connection.execute("drop trigger noop on storage.objects")
        connection.execute("drop function public.noop()")


def test_pages_of_other_origins_may_read(gateway: Gateway, bucket: str) -> None:
    answer = httpx.get(f"{gateway.url}/storage/v1/object/public/{bucket}/a", headers={"origin": "http://a.b"})

    assert answer.headers["access-control-allow-origin"] == "*"


def test_links_are_on_the_gateways_own_address(gateway: Gateway, service: Client, bucket: str) -> None:
    service.storage.from_(bucket).upload("a.png", BYTES)

    link = str(service.storage.from_(bucket).create_signed_url("a.png", 60)["signedURL"])

    assert urlsplit(link).netloc == urlsplit(gateway.url).netloc
    assert ANON_KEY not in link


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contentType", "图片/png"),
        ("contentType", "image/png\r\nX-Evil: yes"),
        ("contentType", "image/png\0"),
        ("cacheControl", "3600\r\nX-Evil: yes"),
        ("metadata", '{"a": "\\u0000"}'),
    ],
)
def test_what_could_not_be_sent_back_is_not_taken(
    field: str, value: str, gateway: Gateway, service: Client, bucket: str
) -> None:
    answer = httpx.post(
        f"{gateway.url}/storage/v1/object/{bucket}/a.png",
        data={field: value},
        files={"file": ("a.png", b"bytes", "image/png")},
        headers={"Authorization": f"Bearer {SERVICE_KEY}"},
    )

    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")
    assert service.storage.from_(bucket).list() == []


def test_metadata_that_is_nested_without_end_counts_as_none(gateway: Gateway, bucket: str) -> None:
    answer = httpx.post(
        f"{gateway.url}/storage/v1/object/{bucket}/a.png",
        data={"metadata": "[" * 100_000},
        files={"file": ("a.png", b"bytes", "image/png")},
        headers={"Authorization": f"Bearer {SERVICE_KEY}"},
    )

    assert answer.status_code == 200


def test_a_list_of_more_than_can_be_counted_is_refused(gateway: Gateway, bucket: str) -> None:
    answer = httpx.post(
        f"{gateway.url}/storage/v1/object/list/{bucket}",
        json={"prefix": "", "limit": 10**30},
        headers={"Authorization": f"Bearer {SERVICE_KEY}"},
    )

    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


@pytest.mark.parametrize("name", ["a.png", "a b/c+d & e.png"])
def test_a_signed_upload_needs_no_key(service: Client, bucket: str, name: str) -> None:
    files = service.storage.from_(bucket)

    signed = files.create_signed_upload_url(name)
    uploaded = files.upload_to_signed_url(signed["path"], signed["token"], BYTES, PNG)

    assert uploaded.full_path == f"{bucket}/{name}"
    assert files.download(name) == BYTES
    assert files.info(name)["content_type"] == "image/png"


def test_a_signed_upload_takes_a_bare_body_as_well(service: Client, bucket: str) -> None:
    url = service.storage.from_(bucket).create_signed_upload_url("a.png")["signed_url"]

    answer = httpx.put(url, content=BYTES, headers={"content-type": "image/png"})

    assert answer.json()["Key"] == f"{bucket}/a.png"
    assert service.storage.from_(bucket).info("a.png")["content_type"] == "image/png"


def test_signing_an_upload_writes_nothing(service: Client, bucket: str) -> None:
    service.storage.from_(bucket).create_signed_upload_url("a.png")

    assert service.storage.from_(bucket).list() == []


def test_a_signed_upload_is_the_signers(
    signed_in: Callable[[str], Client], private_bucket: str, sql: psycopg.Connection
) -> None:
    files = signed_in(ALICE).storage.from_(private_bucket)

    signed = files.create_signed_upload_url(f"{ALICE}/signed.png")
    httpx.put(signed["signed_url"], content=BYTES)

    query = "select owner_id from storage.objects where name = %s"
    assert sql.execute(query, (f"{ALICE}/signed.png",)).fetchall() == [(ALICE,)]


def test_nobody_signs_an_upload_into_anothers_folder(
    signed_in: Callable[[str], Client], private_bucket: str
) -> None:
    with pytest.raises(StorageApiError, match="row-level security"):
        signed_in(BOB).storage.from_(private_bucket).create_signed_upload_url(f"{ALICE}/new.png")


def test_an_upload_over_an_object_has_to_be_signed_so(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    early = files.create_signed_upload_url("a.png")["signed_url"]
    files.upload("a.png", b"old")

    over = files.create_signed_upload_url("a.png", CreateSignedUploadUrlOptions(upsert="true"))["signed_url"]

    assert httpx.put(early, content=BYTES).json()["statusCode"] == "409"
    with pytest.raises(StorageApiError, match="already exists"):
        files.create_signed_upload_url("a.png")
    assert httpx.put(over, content=BYTES).is_success
    assert files.download("a.png") == BYTES


def test_a_missing_bucket_signs_no_upload(service: Client) -> None:
    with pytest.raises(StorageApiError) as caught:
        service.storage.from_("no-such-bucket").create_signed_upload_url("a.png")

    assert caught.value.status == "404"


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", SERVICE_KEY, make_token("anon", url="{bucket}/a.png"), make_token("anon", exp=1)],
)
def test_a_wrong_token_uploads_nothing(gateway: Gateway, service: Client, bucket: str, token: str) -> None:
    url = f"{gateway.url}/storage/v1/object/upload/sign/{bucket}/a.png"

    answer = httpx.put(url, params={"token": token}, content=BYTES)

    assert answer.status_code == 400
    assert answer.json()["code"] in {"InvalidJWT", "InvalidSignature"}
    assert service.storage.from_(bucket).list() == []


def test_a_link_to_read_does_not_write(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    files.upload("a.png", BYTES)
    link = str(files.create_signed_url("a.png", 60)["signedURL"])

    answer = httpx.put(link.replace("/object/sign/", "/object/upload/sign/"), content=b"other")

    assert answer.json()["code"] == "InvalidSignature"
    assert files.download("a.png") == BYTES


@pytest.fixture
def several(service: Client, bucket: str) -> SyncBucketProxy:
    """A bucket with objects that were made in this order."""
    files = service.storage.from_(bucket)
    [files.upload(name, b"x") for name in ("b.png", "d/2.png", "a.png", "B.png", "c/x/y.png", "d/1.png")]
    return files


def all_pages(files: SyncBucketProxy, options: SearchV2Options) -> list[list[str]]:
    """The names on each page."""
    pages = []
    cursor: str | None = ""
    while cursor is not None:
        page = files.list_v2({**options, "cursor": cursor})
        pages.append([folder.name for folder in page.folders] + [entry.name for entry in page.objects])
        cursor = page.nextCursor
        assert page.hasNext == (cursor is not None)
    return pages


@pytest.mark.parametrize("limit", [1, 2, 6, 1000])
def test_a_list_by_cursor_has_every_object_once(several: SyncBucketProxy, limit: int) -> None:
    names = ["B.png", "a.png", "b.png", "c/x/y.png", "d/1.png", "d/2.png"]

    pages = all_pages(several, {"limit": limit})

    assert list(chain(*pages)) == names
    assert {len(page) for page in pages[:-1]} <= {limit}


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_a_list_by_cursor_can_show_folders(several: SyncBucketProxy, limit: int) -> None:
    pages = all_pages(several, {"limit": limit, "with_delimiter": True})

    assert sorted(chain(*pages)) == ["B.png", "a.png", "b.png", "c/", "d/"]
    assert all_pages(several, {"prefix": "d/", "with_delimiter": True}) == [["d/1.png", "d/2.png"]]
    assert all_pages(several, {"prefix": "c", "with_delimiter": True}) == [["c/"]]


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize(
    ("column", "order", "first"),
    [
        ("created_at", "asc", "b.png"),
        ("created_at", "desc", "d/1.png"),
        ("updated_at", "asc", "b.png"),
        ("name", "desc", "d/2.png"),
    ],
)
def test_a_list_by_cursor_can_be_sorted(
    several: SyncBucketProxy,
    limit: int,
    column: Literal["created_at", "updated_at", "name"],
    order: Literal["asc", "desc"],
    first: str,
) -> None:
    names = list(chain(*all_pages(several, {"limit": limit, "sortBy": {"column": column, "order": order}})))

    assert names[0] == first
    assert sorted(names) == sorted(chain(*all_pages(several, {})))


def test_an_entry_of_a_list_by_cursor_says_what_it_is(several: SyncBucketProxy) -> None:
    page = several.list_v2({"with_delimiter": True})

    assert [(folder.name, folder.key) for folder in page.folders] == [("c/", "c"), ("d/", "d")]
    assert [entry.metadata and entry.metadata["size"] for entry in page.objects] == [1, 1, 1]


def test_a_list_by_cursor_shows_what_the_caller_may_see(
    signed_in: Callable[[str], Client], private_bucket: str
) -> None:
    signed_in(ALICE).storage.from_(private_bucket).upload(f"{ALICE}/listed.png", BYTES)

    assert signed_in(BOB).storage.from_(private_bucket).list_v2({"prefix": ALICE}).objects == []
    assert signed_in(ALICE).storage.from_(private_bucket).list_v2({"prefix": ALICE}).objects != []


@pytest.mark.parametrize(
    "body", [{"cursor": "nonsense"}, {"limit": 0}, {"sortBy": {"column": "id"}}, {"cursor": "bmFtZQ=="}]
)
def test_a_wrong_list_by_cursor_is_refused(gateway: Gateway, bucket: str, body: dict[str, object]) -> None:
    answer = httpx.post(
        f"{gateway.url}/storage/v1/object/list-v2/{bucket}", json=body, headers={"apikey": SERVICE_KEY}
    )

    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


def test_a_prefix_is_taken_as_it_is(service: Client, bucket: str) -> None:
    files = service.storage.from_(bucket)
    [files.upload(name, b"x") for name in ("a_b", "aXb", "a_c")]

    assert all_pages(files, {"prefix": "a_"}) == [["a_b", "a_c"]]
