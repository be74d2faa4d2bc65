"""Every `ObjectStore` keeps the same promises: one suite over the four of them."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import httpx
import pytest
from moto.s3.models import S3Backend

from infra.cli.connection import Project
from infra.local.home import ROOT
from shared.database import Database
from shared.errors import AccessDenied, InputError, ObjectGone, SettingsError, Unavailable
from shared.models import ObjectRef, StoredObject
from shared.ports import ObjectStore
from shared.storage.gcs import GcsStorage
from shared.storage.local import LocalStorage
from shared.storage.s3 import S3Storage
from shared.storage.supabase import SupabaseStorage
from tests.bucket_servers import (
    GoogleBuckets,
    closed_port,
    flooding_server,
    google_key,
    google_server,
    refusing_server,
    s3_server,
    silent_server,
)

PNG = "image/png"
ALL = ("supabase", "s3", "gcs", "local")
CLOUDS = ("s3", "gcs")
ASCII_NAMES = (
    "a b.png", "1+1=2 & m@x.png", "it's (1)!*;:,.png", "what?.png", "deep/er/$d.png", "a.b/.c", "token=x",
)  # fmt: skip
OTHER_NAMES = (
    "照片/狗.jpg", "😀.png", "é.png", "e\u0301.png", "50%.png", "%2F.png", "a%20b", "%2E%2E/a", "[x]~#.png",
    "back\\slash", '<"&>', "\u2028", "nothing/else than text",
)  # fmt: skip
ALL_NAMES = (*ASCII_NAMES, *OTHER_NAMES)
UNADDRESSABLE = (
    "",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/./b",
    "../a",
    "a/../b",
    "a\nb",
    "a\0b",
    "\ud800",
    "x" * 5 + "/",
)


@dataclass(frozen=True)
class Case:
    """A store to be tried, with a bucket of the test's own in it."""

    store: ObjectStore
    bucket: str
    names: Sequence[str]
    """As hard ones as it takes."""

    def ref(self, name: str) -> ObjectRef:
        return ObjectRef(self.bucket, name)

    def put(self, name: str, data: bytes = b"bytes") -> ObjectRef:
        self.store.put(self.ref(name), data, content_type=PNG)
        return self.ref(name)

    def read(self, name: str) -> bytes:
        with self.store.open(self.ref(name)) as opened:
            return opened.read()

    def pages(self, limit: int) -> list[str]:
        """All names, by pages."""
        names: list[str] = []
        while page := self.store.list_page(self.bucket, after=names[-1] if names else "", limit=limit):
            names += [stored.ref.name for stored in page]
        return names


def new_name() -> str:
    return f"test-{uuid4().hex[:12]}"


def s3_at(url: str, timeout_s: float = 5) -> S3Storage:
    keys = {"access_key_id": "tests", "secret_access_key": "tests", "region": "us-east-1"}
    return S3Storage(link_expires_s=60, timeout_s=timeout_s, config={"endpoint": url, **keys})


def gcs_at(url: str, timeout_s: float = 5) -> GcsStorage:
    config = {"service_account_key": google_key(url)}
    return GcsStorage(link_expires_s=60, timeout_s=timeout_s, config=config)


def supabase_at(url: str, timeout_s: float = 5) -> SupabaseStorage:
    """Without a database behind it."""
    return SupabaseStorage(
        url,
        service_key="service",
        anon_key="anon",
        heads=lambda refs: [None for _ in refs],
        list_page=lambda *_: [],
        link_expires_s=60,
        timeout_s=timeout_s,
    )


class StoreAt(Protocol):
    """Makes a store whose server is at an address."""

    def __call__(self, url: str, timeout_s: float = 5) -> ObjectStore: ...


AT: dict[str, StoreAt] = {"s3": s3_at, "gcs": gcs_at, "supabase": supabase_at}


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, S3Backend]]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def google() -> Iterator[tuple[str, GoogleBuckets]]:
    with google_server() as server:
        yield server


@pytest.fixture(scope="module")
def supabase_store(project: Project, database: Database) -> SupabaseStorage:
    return SupabaseStorage(
        project.connection.supabase_url,
        service_key=project.connection.service_role_key,
        anon_key=project.connection.anon_key,
        heads=database.stored_objects,
        list_page=database.list_objects,
        link_expires_s=60,
        timeout_s=10,
    )


@pytest.fixture(scope="module")
def gcs_store(google: tuple[str, GoogleBuckets]) -> GcsStorage:
    return gcs_at(google[0])


@pytest.fixture(scope="module")
def s3_store(s3: tuple[str, S3Backend]) -> S3Storage:
    return s3_at(s3[0])


@pytest.fixture
def supabase_case(supabase_store: SupabaseStorage, bucket: str) -> Case:
    return Case(supabase_store, bucket, ASCII_NAMES)


@pytest.fixture
def s3_case(s3_store: S3Storage, s3: tuple[str, S3Backend]) -> Case:
    bucket = new_name()
    s3[1].create_bucket(bucket, "us-east-1")
    return Case(s3_store, bucket, ALL_NAMES)


@pytest.fixture
def gcs_case(gcs_store: GcsStorage, google: tuple[str, GoogleBuckets]) -> Case:
    bucket = new_name()
    google[1].buckets[bucket] = {}
    return Case(gcs_store, bucket, ALL_NAMES)


@pytest.fixture
def local_case(tmp_path: Path) -> Case:
    (tmp_path / "photos").mkdir()
    return Case(LocalStorage(tmp_path, timeout_s=1), "photos", ALL_NAMES)


@pytest.fixture(params=ALL)
def case(request: pytest.FixtureRequest) -> Case:
    found = request.getfixturevalue(f"{request.param}_case")
    assert isinstance(found, Case)
    return found


@pytest.fixture
def other_case(request: pytest.FixtureRequest) -> Case:
    """One of them, by a parameter's name."""
    found = request.getfixturevalue(f"{request.param}_case")
    assert isinstance(found, Case)
    return found


def only(*kinds: str) -> pytest.MarkDecorator:
    """For tests that are about some of the stores."""
    return pytest.mark.parametrize("other_case", kinds, indirect=True)


def test_what_is_written_is_read_back_under_its_name(case: Case) -> None:
    contents = {name: name.encode() * 100 for name in case.names}

    [case.put(name, data) for name, data in contents.items()]

    assert {name: case.read(name) for name in case.names} == contents
    assert case.pages(1000) == sorted(case.names, key=str.encode)


def test_an_empty_object_is_an_object(case: Case) -> None:
    case.put("empty", b"")

    assert case.read("empty") == b""
    assert case.pages(1000) == ["empty"]


def test_the_size_is_known_before_a_byte_is_read(case: Case) -> None:
    case.put("large", b"x" * 3_000_000)

    with case.store.open(case.ref("large")) as opened:
        size_bytes = opened.stored.size_bytes

    assert size_bytes == 3_000_000
    assert case.read("large") == b"x" * 3_000_000


@pytest.mark.parametrize("kind", AT)
def test_what_is_too_large_is_not_sent(kind: str) -> None:
    with flooding_server() as (url, flood):
        with AT[kind](url).open(ObjectRef("photos", "flood")) as opened:
            size_bytes = opened.stored.size_bytes

        assert size_bytes == flood.size_bytes
        assert flood.gave_up.wait(10)


def test_heads_come_in_order_with_none_for_what_is_missing(case: Case) -> None:
    a, b = case.put("a", b"1"), case.put("b b", b"22")

    heads = case.store.heads([b, case.ref("none"), a, b])

    assert [head and (head.ref, head.size_bytes) for head in heads] == [(b, 2), None, (a, 1), (b, 2)]
    assert case.store.heads([]) == []


def test_head_list_and_read_agree(case: Case) -> None:
    ref = case.put("a")

    [head] = case.store.heads([ref])
    [listed] = case.store.list_page(case.bucket)
    with case.store.open(ref) as opened:
        read = opened.stored

    assert head is not None
    assert (head.version, head.size_bytes) == (listed.version, listed.size_bytes)
    assert (read.ref, read.etag, read.size_bytes) == (ref, listed.etag, 5)
    assert read.version in {head.version, None}
    assert read.etag
    assert '"' not in read.etag


def test_other_bytes_are_another_version(case: Case) -> None:
    [before] = case.store.heads([case.put("a", b"before")])

    [after] = case.store.heads([case.put("a", b"behind")])

    assert case.read("a") == b"behind"
    assert before
    assert after
    assert after.version != before.version


@only("supabase", "gcs", "local")
def test_a_later_write_has_a_higher_ordering_key(other_case: Case) -> None:
    keys = [
        head.ordering_key for n in range(3) if (head := head_of(other_case, other_case.put("a", bytes(n))))
    ]

    assert keys == sorted(set(keys), key=str)


def head_of(case: Case, ref: ObjectRef) -> StoredObject:
    [head] = case.store.heads([ref])
    assert head is not None
    return head


def test_the_ordering_key_of_s3_is_the_events(s3_case: Case) -> None:
    assert head_of(s3_case, s3_case.put("a")).ordering_key is None


def test_deleting_is_deleting_once_more(case: Case) -> None:
    refs = [case.put(f"a {number}") for number in range(5)]

    case.store.delete([*refs[:4], case.ref("none")])
    case.store.delete([*refs[:4], case.ref("none")])
    case.store.delete([])

    assert case.pages(1000) == ["a 4"]


@only("s3", "gcs", "local")
def test_hard_names_are_deleted_as_well(other_case: Case) -> None:
    refs = [other_case.put(name) for name in other_case.names]

    other_case.store.delete(refs[1:])

    assert other_case.pages(1000) == [refs[0].name]


@only("s3", "gcs", "local")
def test_more_are_deleted_than_fit_into_a_request(other_case: Case, seeded: list[str]) -> None:
    other_case.store.delete([other_case.ref(name) for name in seeded])

    assert other_case.pages(1000) == []


@pytest.fixture
def seeded(
    other_case: Case, s3: tuple[str, S3Backend], google: tuple[str, GoogleBuckets], tmp_path: Path
) -> list[str]:
    """More objects than any store lists at once."""
    names = [f"{number:04}" for number in range(1005)]
    seed: dict[type, Callable[[str], object]] = {
        S3Storage: lambda name: s3[1].put_object(other_case.bucket, name, b"x"),
        GcsStorage: lambda name: google[1].write(other_case.bucket, name, b"x"),
        LocalStorage: lambda name: (tmp_path / other_case.bucket / name).write_bytes(b"x"),
    }
    list(map(seed[type(other_case.store)], names))
    return names


@only("s3", "gcs", "local")
def test_a_page_may_be_larger_or_smaller_than_what_a_store_lists_at_once(
    other_case: Case, seeded: list[str]
) -> None:
    all_at_once = other_case.store.list_page(other_case.bucket, limit=2000)

    assert [stored.ref.name for stored in all_at_once] == seeded
    assert other_case.pages(700) == seeded


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_pages_follow_the_bytes_of_the_names(case: Case, limit: int) -> None:
    names = ["a-b", "B", "a.b", "a b", "ab", "0", "a/b/c", "a/a", "b/a", "!", "-"]
    list(map(case.put, names))

    pages = case.pages(limit)

    assert pages == sorted(names, key=str.encode)


@only("s3", "gcs", "local")
def test_the_order_is_that_of_utf_8(other_case: Case) -> None:
    names = ["\uffe6", "😀", "é", "z", "\u00a0"]
    list(map(other_case.put, names))

    assert other_case.pages(2) == sorted(names, key=str.encode)


@pytest.mark.parametrize(
    ("after", "names"), [("a", ["b", "c"]), ("bb", ["c"]), ("c", []), ("!", ["a", "b", "c"])]
)
def test_a_page_begins_after_a_name_that_need_not_be_there(case: Case, after: str, names: list[str]) -> None:
    list(map(case.put, "abc"))

    page = case.store.list_page(case.bucket, after=after)

    assert [stored.ref.name for stored in page] == names


@only("supabase", *CLOUDS)
def test_a_link_leads_to_the_bytes(other_case: Case) -> None:
    refs = [other_case.put(name, name.encode()) for name in other_case.names]

    links = other_case.store.links(refs, caller_token=None)

    assert [httpx.get(str(link)).content.decode() for link in links] == [*other_case.names]


def test_a_link_to_a_file_is_its_address(local_case: Case) -> None:
    refs = [local_case.put(name, name.encode()) for name in ALL_NAMES]

    links = local_case.store.links(refs, caller_token=None)

    paths = [Path(unquote(urlsplit(str(link)).path)) for link in links]
    assert [path.read_text() for path in paths] == [ref.name for ref in refs]


def test_many_links_come_in_order(case: Case) -> None:
    a, b = case.put("a a"), case.put("b")

    links = case.store.links([b, a, b], caller_token=None)

    paths = [unquote(urlsplit(str(link)).path) for link in links]
    assert [path.rpartition(f"{case.bucket}/")[2] for path in paths] == ["b", "a a", "b"]
    assert case.store.links([], caller_token=None) == []


@only("supabase")
def test_what_is_gone_has_no_link(other_case: Case) -> None:
    there = other_case.put("a")

    links = other_case.store.links([other_case.ref("none"), there], caller_token=None)

    assert [link is None for link in links] == [True, False]


@only("supabase")
def test_nobody_gets_a_link_to_what_is_not_theirs(other_case: Case, user_token: Callable[[str], str]) -> None:
    ref = other_case.put("a")

    assert other_case.store.links([ref], caller_token=user_token(str(uuid4()))) == [None]


@only("supabase")
@pytest.mark.parametrize("token", ["nonsense", "", "é", "a\nb"])
def test_a_wrong_token_is_the_callers_fault(other_case: Case, token: str) -> None:
    ref = other_case.put("a")

    with pytest.raises(AccessDenied):
        other_case.store.links([ref], caller_token=token)
    with pytest.raises(AccessDenied):
        other_case.store.upload_link(ref, content_type=PNG, caller_token=token)


@only("supabase", *CLOUDS)
def test_an_upload_link_takes_the_bytes(other_case: Case) -> None:
    asked = [other_case.ref(name) for name in other_case.names]

    links = [other_case.store.upload_link(ref, content_type=PNG, caller_token=None) for ref in asked]
    answers = [
        httpx.request(link.method, link.url, content=ref.name.encode(), headers=link.headers)
        for link, ref in zip(links, asked, strict=True)
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert [other_case.read(ref.name).decode() for ref in asked] == [ref.name for ref in asked]


@only("supabase")
def test_nobody_uploads_where_they_may_not(other_case: Case, user_token: Callable[[str], str]) -> None:
    with pytest.raises(AccessDenied):
        other_case.store.upload_link(
            other_case.ref("a"), content_type=PNG, caller_token=user_token(str(uuid4()))
        )


def test_a_folder_says_where_to_put_a_file(local_case: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"copy the file to {tmp_path}/photos/a.png"):
        local_case.store.upload_link(local_case.ref("a.png"), content_type=PNG, caller_token=None)


def test_what_is_gone_cannot_be_opened(case: Case) -> None:
    with pytest.raises(ObjectGone), case.store.open(case.ref("none")):
        pass


def test_nothing_is_in_a_missing_bucket(case: Case) -> None:
    nowhere = ObjectRef("no-such-bucket", "a")

    case.store.delete([nowhere])

    assert case.store.heads([nowhere]) == [None]
    with pytest.raises(ObjectGone), case.store.open(nowhere):
        pass


@only("s3", "gcs", "local")
def test_a_missing_bucket_is_not_an_empty_one(other_case: Case) -> None:
    with pytest.raises(SettingsError, match="no-such-bucket"):
        other_case.store.list_page("no-such-bucket")


@only("supabase", "local")
def test_a_missing_bucket_is_made(other_case: Case) -> None:
    made = replace(other_case, bucket=f"{other_case.bucket}-previews")

    made.put("a")

    assert made.read("a") == b"bytes"
    made.store.delete([made.ref("a")])


@only(*CLOUDS)
def test_a_bucket_that_we_cannot_make_is_named(other_case: Case) -> None:
    with pytest.raises(SettingsError, match="no-such-bucket"):
        other_case.store.put(ObjectRef("no-such-bucket", "a"), b"", content_type=PNG)


@only("s3", "gcs", "local")
@pytest.mark.parametrize("bucket", ["", ".", "..", "a/b", "a?b=c", "a\0b"])
def test_no_buckets_name_leads_elsewhere(other_case: Case, bucket: str) -> None:
    other_case.put("a")

    with pytest.raises((InputError, ObjectGone)), other_case.store.open(ObjectRef(bucket, "a")):
        pass


@only("s3", "gcs", "local")
@pytest.mark.parametrize("name", UNADDRESSABLE)
def test_a_name_that_would_be_changed_is_refused(other_case: Case, name: str) -> None:
    list(map(other_case.put, ["a", "b"]))
    ref = other_case.ref(name)

    with pytest.raises(InputError, match="cannot address"), other_case.store.open(ref):
        pass
    with pytest.raises(InputError, match="cannot address"):
        other_case.store.heads([ref])
    with pytest.raises(InputError, match="cannot address"):
        other_case.store.put(ref, b"", content_type=PNG)
    with pytest.raises(InputError, match="cannot address"):
        other_case.store.delete([other_case.ref("a"), ref])
    with pytest.raises(InputError, match=r"cannot address|takes no uploads"):
        other_case.store.upload_link(ref, content_type=PNG, caller_token=None)
    assert other_case.store.links([ref], caller_token=None) == [None]
    assert other_case.pages(1000) == ["a", "b"]


@only("supabase")
@pytest.mark.parametrize("name", ["", ".", "..", "../a", "x/../a", "a\nb", "\ud800", "é", "a%62", "a#b"])
def test_a_name_that_storage_does_not_know_is_refused(other_case: Case, name: str) -> None:
    other_case.put("a")

    with pytest.raises(InputError):
        other_case.store.put(other_case.ref(name), b"", content_type=PNG)
    with pytest.raises((InputError, ObjectGone)), other_case.store.open(other_case.ref(name)):
        pass
    assert other_case.pages(1000) == ["a"]


@only("supabase")
@pytest.mark.parametrize("name", ["a//b", "/a", "a/"])
def test_slashes_that_storage3_drops_are_not_written(other_case: Case, name: str) -> None:
    with pytest.raises(InputError, match="cannot address"):
        other_case.store.put(other_case.ref(name), b"", content_type=PNG)


@only(*CLOUDS)
@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_marks_of_folders_and_names_that_begin_with_a_slash_are_passed_over(
    other_case: Case, plant: Callable[[str, bytes], object], limit: int
) -> None:
    list(map(other_case.put, ["!x", "0", "e", "folder/a", "z"]))
    [plant(name, b"") for name in ("folder/", "end/", "a/b/c/")]
    [plant(name, b"x") for name in ("/z", "/b", "/zz/y")]

    assert other_case.pages(limit) == ["!x", "0", "e", "folder/a", "z"]


@only(*CLOUDS)
@pytest.mark.parametrize("name", ["a//b", "x/../y", "z/./z"])
def test_a_bucket_with_a_name_that_cannot_be_sent_says_so(
    other_case: Case, plant: Callable[[str, bytes], object], name: str
) -> None:
    plant(name, b"x")

    with pytest.raises(SettingsError, match="rename"):
        other_case.store.list_page(other_case.bucket)


@pytest.fixture
def plant(
    other_case: Case, s3: tuple[str, S3Backend], google: tuple[str, GoogleBuckets]
) -> Callable[[str, bytes], object]:
    """Store an object under a name that the adapter would refuse."""
    plants: dict[type, Callable[[str, bytes], object]] = {
        S3Storage: lambda name, data: s3[1].put_object(other_case.bucket, name, data),
        GcsStorage: lambda name, data: google[1].write(other_case.bucket, name, data),
    }
    return plants[type(other_case.store)]


def test_s3_tells_what_the_uploader_says(s3_case: Case, s3: tuple[str, S3Backend]) -> None:
    s3[1].put_object(s3_case.bucket, "a", b"x").set_metadata({"x-amz-meta-owner": "me"})

    with s3_case.store.open(s3_case.ref("a")) as opened:
        assert opened.stored.metadata == {"owner": "me"}
    assert head_of(s3_case, s3_case.ref("a")).metadata == {"owner": "me"}


def test_google_tells_what_the_uploader_says(gcs_case: Case, google: tuple[str, GoogleBuckets]) -> None:
    kept = google[1].write(gcs_case.bucket, "a", b"x", {"owner": "me"})

    head = head_of(gcs_case, gcs_case.ref("a"))

    assert (head.metadata, head.ordering_key) == ({"owner": "me"}, f"{kept.generation:020}")


@only("supabase")
def test_storage_does_not_take_another_key_for_ours(other_case: Case, project: Project) -> None:
    other_case.put("a")
    stranger = supabase_at(project.connection.supabase_url)

    with pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
        stranger.put(other_case.ref("a"), b"", content_type=PNG)
    with pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
        stranger.links([other_case.ref("a")], caller_token=None)
    with pytest.raises(ObjectGone), stranger.open(other_case.ref("a")):
        pass
    assert other_case.read("a") == b"bytes"


def opens(store: ObjectStore) -> None:
    with store.open(ObjectRef("photos", "a")):
        pass


def heads(store: ObjectStore) -> None:
    store.heads([ObjectRef("photos", "a"), ObjectRef("photos", "b")])


def puts(store: ObjectStore) -> None:
    store.put(ObjectRef("photos", "a"), b"x", content_type=PNG)


def deletes(store: ObjectStore) -> None:
    store.delete([ObjectRef("photos", "a"), ObjectRef("photos", "b")])


def lists(store: ObjectStore) -> None:
    store.list_page("photos")


def links(store: ObjectStore) -> None:
    store.links([ObjectRef("photos", "a")], caller_token=None)


def upload_links(store: ObjectStore) -> None:
    store.upload_link(ObjectRef("photos", "a"), content_type=PNG, caller_token=None)


ACTS = {
    **dict.fromkeys(CLOUDS, (opens, heads, puts, deletes, lists)),
    "supabase": (opens, puts, deletes, links, upload_links),
}
"""What asks a server."""
ASKING = [pytest.param(kind, act, id=f"{kind}-{act.__name__}") for kind, acts in ACTS.items() for act in acts]


@pytest.mark.parametrize(("kind", "act"), ASKING)
@pytest.mark.parametrize("server", [closed_port, silent_server])
def test_a_store_that_does_not_answer_is_worth_a_retry(
    server: Callable[[], AbstractContextManager[str]], kind: str, act: Callable[[ObjectStore], None]
) -> None:
    with server() as url, pytest.raises(Unavailable):
        act(AT[kind](url, timeout_s=0.1))


@pytest.fixture(scope="module")
def overloaded() -> Iterator[str]:
    with refusing_server(503) as url:
        yield url


@pytest.mark.parametrize(("kind", "act"), ASKING)
def test_a_store_that_is_overloaded_is_worth_a_retry(
    overloaded: str, kind: str, act: Callable[[ObjectStore], None]
) -> None:
    with pytest.raises(Unavailable):
        act(AT[kind](overloaded, timeout_s=0.1))


@pytest.mark.parametrize("kind", AT)
@pytest.mark.parametrize("status", [429, 500, 544])
def test_a_store_in_trouble_is_worth_a_retry(kind: str, status: int) -> None:
    with refusing_server(status) as url, pytest.raises(Unavailable):
        opens(AT[kind](url, timeout_s=0.1))


@pytest.fixture(scope="module")
def forbidding() -> Iterator[str]:
    with refusing_server(403) as url:
        yield url


@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("act", [opens, heads])
def test_an_object_that_is_refused_is_worth_a_retry_and_a_look_at_the_permissions(
    forbidding: str, kind: str, act: Callable[[ObjectStore], None]
) -> None:
    with pytest.raises(Unavailable, match=r"403.*(s3:GetObject|storage\.objectViewer)"):
        act(AT[kind](forbidding))


@pytest.mark.parametrize("kind", CLOUDS)
@pytest.mark.parametrize("act", [puts, deletes, lists])
def test_a_bucket_that_refuses_altogether_is_the_operators(
    forbidding: str, kind: str, act: Callable[[ObjectStore], None]
) -> None:
    with pytest.raises(SettingsError, match=r"It needs (s3:|the role storage\.)"):
        act(AT[kind](forbidding))


@pytest.mark.parametrize("act", ACTS["supabase"])
def test_a_project_that_refuses_our_key_is_the_operators(
    forbidding: str, act: Callable[[ObjectStore], None]
) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
        act(supabase_at(forbidding))


@pytest.mark.parametrize(("kind", "act"), ASKING)
def test_credentials_that_are_none_are_the_operators(kind: str, act: Callable[[ObjectStore], None]) -> None:
    with refusing_server(401) as url, pytest.raises(SettingsError):
        act(AT[kind](url))


def test_an_address_where_storage_is_not_loses_no_object() -> None:
    with google_server() as (url, _), pytest.raises(Unavailable):
        opens(supabase_at(url))


def test_a_key_that_is_none_is_the_operators() -> None:
    store = GcsStorage(link_expires_s=60, timeout_s=1, config={"service_account_key": "{}"})

    with pytest.raises(SettingsError, match="Google"):
        opens(store)


def test_no_file_outside_the_folder_is_listed_or_broken_by_its_name(local_case: Case, tmp_path: Path) -> None:
    folder = tmp_path / local_case.bucket
    local_case.put("a")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to(folder / "none")
    (folder / "half#1").write_bytes(b"half written")
    (folder / "not\udcff utf-8").write_bytes(b"x")

    assert local_case.pages(1000) == ["a"]


def test_a_file_where_a_folder_was_has_nothing_in_it(local_case: Case) -> None:
    local_case.put("a")

    assert local_case.store.heads([local_case.ref("a/b")]) == [None]


def test_obstore_is_imported_when_it_is_used() -> None:
    code = """
import sys
import shared.storage.s3, shared.storage.gcs, shared.storage.local, shared.storage.supabase
from pathlib import Path
shared.storage.s3.S3Storage(link_expires_s=1, timeout_s=1)
shared.storage.gcs.GcsStorage(link_expires_s=1, timeout_s=1)
shared.storage.local.LocalStorage(Path("x"), timeout_s=1)
assert "obstore" not in sys.modules
"""

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
