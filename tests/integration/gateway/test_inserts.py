"""Rows inserted through the gateway by the real client."""

from collections.abc import Callable, Iterator
from typing import Any, cast
from uuid import UUID

import httpx
import psycopg
import pytest
from postgrest import APIError, CountMethod, ReturnMethod
from postgrest.types import JSON
from supabase import Client

from tests.integration.gateway.conftest import ANON_KEY, SERVICE_KEY, Gateway, make_token

USER = "7d0e5f0a-3c5b-4a8e-9a53-0d4f1b8c2e11"
SINGLE = "application/vnd.pgrst.object+json"
KEPT = "select image, embedding::text from public.kept_images order by id"


@pytest.fixture(autouse=True)
def _no_images_yet(sql: psycopg.Connection) -> None:
    sql.execute("truncate public.kept_images restart identity")


@pytest.fixture
def without_the_view(sql: psycopg.Connection) -> Iterator[None]:
    sql.execute("alter view public.images rename to hidden")
    yield
    sql.execute("alter view public.hidden rename to images")


@pytest.fixture
def users_may_not_insert(sql: psycopg.Connection) -> Iterator[None]:
    sql.execute("revoke insert on public.images from authenticated")
    yield
    sql.execute("grant insert on public.images to authenticated")


@pytest.fixture
def service_may_not_read(sql: psycopg.Connection) -> Iterator[None]:
    sql.execute("revoke select on public.images from service_role")
    yield
    sql.execute("grant select on public.images to service_role")


def test_an_image_is_inserted_and_comes_back(service: Client, sql: psycopg.Connection) -> None:
    answer = service.table("images").insert({"image": "a.jpg", "embedding": [0.5, 0.25, 1]}).execute()

    assert answer.data == [{"id": 1, "image": "a.jpg", "embedding": "[0.5,0.25,1]"}]
    assert sql.execute(KEPT).fetchall() == [("a.jpg", "[0.5,0.25,1]")]


@pytest.mark.parametrize("embedding", [[0.5, 0.25, 1], "[0.5,0.25,1]", " [0.5, 0.25, 1.0] "])
def test_an_embedding_may_be_a_list_or_text(
    service: Client, sql: psycopg.Connection, embedding: JSON
) -> None:
    service.table("images").insert({"image": "a.jpg", "embedding": embedding}).execute()

    assert sql.execute(KEPT).fetchall() == [("a.jpg", "[0.5,0.25,1]")]


def test_many_images_are_inserted_in_their_order(service: Client) -> None:
    rows: list[JSON] = [{"image": f"{n}.jpg", "embedding": [n, n, n]} for n in range(1, 51)]

    answer = service.table("images").insert(rows).execute()

    inserted = cast("list[dict[str, Any]]", answer.data)
    assert [row["id"] for row in inserted] == list(range(1, 51))
    assert [row["image"] for row in inserted] == [f"{n}.jpg" for n in range(1, 51)]


def test_one_wrong_row_of_many_undoes_all(service: Client, sql: psycopg.Connection) -> None:
    with pytest.raises(APIError) as caught:
        service.table("images").insert([{"image": "a.jpg"}, {"image": ""}]).execute()

    assert caught.value.code == "23514"
    assert sql.execute(KEPT).fetchall() == []


def test_the_client_gets_nothing_back_when_it_wants_nothing(service: Client, sql: psycopg.Connection) -> None:
    answer = service.table("images").insert({"image": "a.jpg"}, returning=ReturnMethod.minimal).execute()

    assert answer.data == []
    assert sql.execute(KEPT).fetchall() == [("a.jpg", None)]


@pytest.mark.parametrize("headers", [{}, {"prefer": "return=minimal"}, {"prefer": "return=headers-only"}])
def test_without_a_wish_for_the_rows_the_answer_is_an_empty_201(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    answer = gateway.insert('{"image": "a.jpg"}', **headers)

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["content-range"] == "*/*"


def test_with_a_wish_for_the_rows_the_answer_is_a_201_with_json(gateway: Gateway) -> None:
    answer = gateway.insert('{"image": "a.jpg"}', prefer="return=representation")

    assert (answer.status_code, answer.json()) == (201, [{"id": 1, "image": "a.jpg", "embedding": None}])
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_preferences_may_come_in_several_headers(gateway: Gateway) -> None:
    headers = [("apikey", SERVICE_KEY), ("prefer", "count=exact"), ("prefer", "return=representation")]

    answer = httpx.post(f"{gateway.url}/rest/v1/images", content='{"image": "a.jpg"}', headers=headers)

    assert (len(answer.json()), answer.headers["content-range"]) == (1, "*/1")


@pytest.mark.parametrize(
    ("select", "shown"),
    [
        ("*", {"id": 1, "image": "a.jpg", "embedding": "[1,2,3]"}),
        ("id", {"id": 1}),
        ("embedding, id", {"embedding": "[1,2,3]", "id": 1}),
    ],
)
def test_the_client_chooses_what_comes_back(service: Client, select: str, shown: dict[str, object]) -> None:
    row: JSON = {"image": "a.jpg", "embedding": [1, 2, 3]}

    answer = service.table("images").insert(row).select(select).execute()

    assert answer.data == [shown]


def test_single_unpacks_the_inserted_row(service: Client) -> None:
    answer = service.table("images").insert({"image": "a.jpg"}).select("id,image").single().execute()

    assert answer.data == {"id": 1, "image": "a.jpg"}


@pytest.mark.parametrize("prefer", ["return=representation", "return=minimal"])
def test_what_single_refuses_is_not_inserted(gateway: Gateway, sql: psycopg.Connection, prefer: str) -> None:
    answer = gateway.insert('[{"image": "a.jpg"}, {"image": "b.jpg"}]', accept=SINGLE, prefer=prefer)

    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST116")
    assert sql.execute(KEPT).fetchall() == []


def test_inserted_rows_are_counted_on_request(service: Client) -> None:
    rows: list[JSON] = [{"image": "a.jpg"}, {"image": "b.jpg"}]

    answer = service.table("images").insert(rows, count=CountMethod.exact).execute()

    assert answer.count == 2


def test_a_column_that_the_body_leaves_out_has_its_default(service: Client, sql: psycopg.Connection) -> None:
    service.table("images").insert({"embedding": [1, 2, 3]}).execute()

    assert sql.execute(KEPT).fetchall() == [("untitled", "[1,2,3]")]


@pytest.mark.parametrize(("body", "rows"), [("{}", 1), ("[{}, {}]", 2), ("[]", 0)])
def test_rows_without_columns_are_all_defaults(
    gateway: Gateway, sql: psycopg.Connection, body: str, rows: int
) -> None:
    gateway.insert(body)

    assert sql.execute(KEPT).fetchall() == [("untitled", None)] * rows


def test_the_client_may_leave_out_what_some_rows_lack(service: Client, sql: psycopg.Connection) -> None:
    rows: list[JSON] = [{"image": "a.jpg", "embedding": [1, 2, 3]}, {"image": "b.jpg"}]

    service.table("images").insert(rows).execute()

    assert sql.execute(KEPT).fetchall() == [("a.jpg", "[1,2,3]"), ("b.jpg", None)]


def test_what_the_listed_columns_lack_is_ignored(gateway: Gateway, sql: psycopg.Connection) -> None:
    answer = gateway.insert('{"image": "a.jpg", "colour": "red"}', "?columns=image")

    assert answer.status_code == 201
    assert sql.execute(KEPT).fetchall() == [("a.jpg", None)]


@pytest.mark.parametrize(
    "body", ['[{"image": "a.jpg"}, {"embedding": null}]', '[{"image": "a.jpg"}, 1]', "[1]", "3", "null"]
)
def test_rows_of_different_keys_are_refused(gateway: Gateway, body: str) -> None:
    answer = gateway.insert(body)

    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST102")
    assert answer.json()["message"] == "All object keys must match"


@pytest.mark.parametrize("body", ["", "{", '{"image": NaN}', "\x00", "[" * 100_000])
def test_a_broken_body_is_refused(gateway: Gateway, body: str) -> None:
    answer = gateway.insert(body)

    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST102")


@pytest.mark.parametrize(("body", "query"), [('{"colour": 1}', ""), ("[]", "?columns=image,colour")])
def test_an_unknown_column_is_named(gateway: Gateway, body: str, query: str) -> None:
    answer = gateway.insert(body, query)

    assert answer.status_code == 400
    assert answer.json() == {
        "code": "PGRST204",
        "message": "Could not find the 'colour' column of 'images' in the schema cache",
        "details": None,
        "hint": None,
    }


@pytest.mark.parametrize("name", ["\\u0000", "\\ud800", 'a\\"b', "a%sb", ""])
def test_an_odd_name_of_a_column_is_no_crash(gateway: Gateway, name: str) -> None:
    answer = gateway.insert(f'{{"{name}": 1}}')

    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST204")


def test_an_unknown_column_cannot_be_shown(service: Client, sql: psycopg.Connection) -> None:
    with pytest.raises(APIError) as caught:
        service.table("images").insert({"image": "a.jpg"}).select("colour").execute()

    assert (caught.value.code, caught.value.message) == ("42703", "column images.colour does not exist")
    assert sql.execute(KEPT).fetchall() == []


@pytest.mark.parametrize("select", ["name:image", "image::text", "owners(name)", "image->a", "", "a\x00b"])
def test_what_is_no_name_of_a_column_cannot_be_shown(service: Client, select: str) -> None:
    with pytest.raises(APIError) as caught:
        service.table("images").insert({"image": "a.jpg"}).select(select).execute()

    assert (caught.value.code, bool(caught.value.hint)) == ("PGRST100", True)


@pytest.mark.parametrize("query", ["?on_conflict=id", "?id=eq.1", "?order=id&limit=1", "?select=id&limit=1"])
def test_other_parameters_are_refused_and_not_ignored(
    gateway: Gateway, sql: psycopg.Connection, query: str
) -> None:
    answer = gateway.insert('{"image": "a.jpg"}', query, prefer="return=representation")

    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST100")
    assert answer.json()["hint"].startswith("Leave out ")
    assert sql.execute(KEPT).fetchall() == []


def test_an_upsert_is_refused_and_not_made_an_insert(service: Client, sql: psycopg.Connection) -> None:
    with pytest.raises(APIError) as caught:
        service.table("images").upsert({"id": 1, "image": "a.jpg"}).execute()

    assert caught.value.code == "PGRST122"
    assert caught.value.hint == "Leave out resolution=merge-duplicates."
    assert sql.execute(KEPT).fetchall() == []


@pytest.mark.parametrize(
    ("embedding", "code"),
    [("[1, 2]", "22000"), ('"{1,2,3}"', "22P02"), ("[1, 2, null]", "22P02"), ("[1e99, 2, 3]", "22003")],
)
def test_a_wrong_embedding_is_the_callers_mistake(gateway: Gateway, embedding: str, code: str) -> None:
    answer = gateway.insert(f'{{"image": "a.jpg", "embedding": {embedding}}}')

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_anon_without_the_right_gets_401_for_an_insert(gateway: Gateway, sql: psycopg.Connection) -> None:
    answer = gateway.insert('{"image": "a.jpg"}', apikey=ANON_KEY)

    assert (answer.status_code, answer.json()["code"]) == (401, "42501")
    assert sql.execute(KEPT).fetchall() == []


@pytest.mark.usefixtures("users_may_not_insert")
def test_a_user_without_the_right_gets_403_for_an_insert(gateway: Gateway) -> None:
    token = make_token("authenticated", sub=USER)

    answer = gateway.insert('{"image": "a.jpg"}', apikey=ANON_KEY, authorization=f"Bearer {token}")

    assert (answer.status_code, answer.json()["code"]) == (403, "42501")


@pytest.mark.usefixtures("service_may_not_read")
def test_who_may_insert_but_not_read_gets_nothing_back(gateway: Gateway, sql: psycopg.Connection) -> None:
    shown = gateway.insert('{"image": "a.jpg"}', prefer="return=representation")
    unseen = gateway.insert('{"image": "b.jpg"}')

    assert (shown.status_code, unseen.status_code) == (403, 201)
    assert sql.execute(KEPT).fetchall() == [("b.jpg", None)]


def test_the_insert_knows_who_is_asking(signed_in: Callable[[str], Client], sql: psycopg.Connection) -> None:
    signed_in(USER).table("images").insert({"image": "a.jpg"}).execute()

    assert sql.execute("select owner from public.kept_images").fetchall() == [(UUID(USER),)]


def test_without_a_key_nobody_inserts(gateway: Gateway) -> None:
    answer = gateway.insert('{"image": "a.jpg"}', apikey="")

    assert (answer.status_code, answer.json()["message"]) == (401, "No API key found in request")


def test_images_of_another_schema_are_not_exposed(service: Client) -> None:
    with pytest.raises(APIError) as caught:
        service.schema("storage").table("images").insert({"image": "a.jpg"}).execute()

    assert caught.value.code == "PGRST106"


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_images_are_inserted_and_nothing_else(gateway: Gateway, method: str) -> None:
    answer = httpx.request(method, f"{gateway.url}/rest/v1/images", headers={"apikey": SERVICE_KEY})

    assert (answer.status_code, answer.json()["code"]) == (404, "PGRST205")


def test_another_table_takes_no_rows(service: Client) -> None:
    with pytest.raises(APIError) as caught:
        service.table("notes").insert({"id": 200, "body": ""}).execute()

    assert caught.value.code == "PGRST205"
    assert "POST /rest/v1/images" in str(caught.value.hint)


@pytest.mark.usefixtures("without_the_view")
def test_without_the_view_there_is_nothing_to_insert_into(service: Client) -> None:
    with pytest.raises(APIError) as caught:
        service.table("images").insert({"image": "a.jpg"}).execute()

    assert caught.value.code == "PGRST205"
