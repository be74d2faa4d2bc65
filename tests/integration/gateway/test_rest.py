"""Functions called through the gateway by the real client."""

from collections.abc import Callable
from uuid import uuid4

import jwt
import psycopg
import pytest
from postgrest import APIError, CountMethod
from supabase import Client

from tests.integration.gateway.conftest import ANON_KEY, JWT_SECRET, SERVICE_KEY, Gateway, make_token

USER = "7d0e5f0a-3c5b-4a8e-9a53-0d4f1b8c2e11"


def test_a_scalar_comes_as_it_is(service: Client) -> None:
    assert service.rpc("add", {"a": 1, "b": 2}).execute().data == 3


def test_an_argument_with_a_default_may_be_left_out(service: Client) -> None:
    assert service.rpc("add", {"a": 1}).execute().data == 11


def test_a_set_of_scalars_comes_as_a_list(service: Client) -> None:
    assert service.rpc("squares", {"up_to": 3}).execute().data == [1, 4, 9]


def test_a_table_comes_as_a_list_of_objects(service: Client) -> None:
    answer = service.rpc("pairs", {"up_to": 2}).execute()

    assert answer.data == [{"n": 1, "word": "w1"}, {"n": 2, "word": "w2"}]


def test_an_empty_table_is_an_empty_list(service: Client) -> None:
    assert service.rpc("pairs", {"up_to": 0}).execute().data == []


def test_a_set_of_rows_comes_in_its_own_order(service: Client) -> None:
    answer = service.rpc("all_notes").execute()

    assert isinstance(answer.data, list)
    assert answer.data[:2] == [{"id": 1, "body": "one"}, {"id": 2, "body": "two"}]


def test_one_row_comes_as_an_object(service: Client) -> None:
    assert service.rpc("first_note").execute().data == {"id": 1, "body": "one"}


def test_a_function_without_a_result_answers_204(gateway: Gateway) -> None:
    answer = gateway.post("forget")

    assert (answer.status_code, answer.content) == (204, b"")


def test_the_client_takes_no_result_for_an_empty_list(service: Client) -> None:
    assert service.rpc("forget").execute().data == []


@pytest.mark.parametrize("vector", [[0.5, 0.25, 1], "[0.5,0.25,1]"])
def test_a_vector_may_be_a_list_or_text(service: Client, vector: object) -> None:
    assert service.rpc("dimensions", {"v": vector}).execute().data == 3


def test_an_array_argument_is_a_list(service: Client) -> None:
    assert service.rpc("total", {"numbers": [1, 2, 3]}).execute().data == 6


def test_arguments_may_come_in_the_query_of_a_get(service: Client) -> None:
    assert service.rpc("total", {"numbers": [1, 2]}, get=True).execute().data == 3


def test_single_unpacks_the_only_row(service: Client) -> None:
    assert service.rpc("pairs", {"up_to": 1}).single().execute().data == {"n": 1, "word": "w1"}


@pytest.mark.parametrize("rows", [0, 2])
def test_single_refuses_any_other_number_of_rows(service: Client, rows: int) -> None:
    with pytest.raises(APIError) as caught:
        service.rpc("pairs", {"up_to": rows}).single().execute()

    assert caught.value.code == "PGRST116"
    assert caught.value.details == f"The result contains {rows} rows"


def test_a_count_is_made_on_request(service: Client) -> None:
    answer = service.rpc("squares", {"up_to": 5}, count=CountMethod.exact).execute()

    assert answer.count == 5


def test_no_more_than_a_thousand_rows_come_and_the_range_says_so(gateway: Gateway) -> None:
    answer = gateway.post("squares", '{"up_to": 1500}', prefer="count=exact")

    assert answer.status_code == 206
    assert answer.headers["content-range"] == "0-999/1500"
    assert len(answer.json()) == 1000


def test_a_volatile_function_writes(service: Client, sql: psycopg.Connection) -> None:
    service.rpc("note_added", {"id": 100, "body": "written"}).execute()

    assert sql.execute("select body from public.notes where id = 100").fetchall() == [("written",)]


def test_what_single_refuses_is_not_written(gateway: Gateway, sql: psycopg.Connection) -> None:
    gateway.post("note_added", '{"id": 102, "body": ""}', accept="application/vnd.pgrst.object+json")
    refused = gateway.post("squares", '{"up_to": 2}', accept="application/vnd.pgrst.object+json")

    assert refused.status_code == 406
    assert sql.execute("select count(*) from public.notes where id = 102").fetchall() == [(1,)]


def test_a_stable_function_cannot_write(gateway: Gateway) -> None:
    answer = gateway.post("note_added_in_secret", '{"id": 101}')

    assert (answer.status_code, answer.json()["code"]) == (405, "25006")


def test_a_volatile_function_cannot_write_by_get(service: Client) -> None:
    with pytest.raises(APIError) as caught:
        service.rpc("note_added", {"id": 103, "body": "x"}, get=True).execute()

    assert caught.value.code == "25006"


def test_an_unknown_function_is_named(gateway: Gateway) -> None:
    answer = gateway.post("nowhere", '{"b": 1, "a": 2}')

    assert answer.status_code == 404
    assert answer.json() == {
        "code": "PGRST202",
        "message": "Could not find the function public.nowhere(a, b) in the schema cache",
        "details": "Searched for the function public.nowhere with parameters a, b, "
        "but no matches were found in the schema cache.",
        "hint": None,
    }


@pytest.mark.parametrize("body", ['{"a": 1, "c": 2}', '{"b": 1}', "{}"])
def test_wrong_argument_names_get_a_hint(gateway: Gateway, body: str) -> None:
    answer = gateway.post("add", body)

    assert (answer.status_code, answer.json()["code"]) == (404, "PGRST202")
    assert answer.json()["hint"] == "Perhaps you meant to call the function public.add(a, b)"


def test_functions_that_differ_in_types_only_are_ambiguous(gateway: Gateway) -> None:
    answer = gateway.post("twin", '{"a": 1}')

    assert (answer.status_code, answer.json()["code"]) == (300, "PGRST203")
    assert "public.twin(a => integer), public.twin(a => text)" in answer.json()["message"]


@pytest.mark.parametrize("body", ['{"a": ', "[]", "3", '{"a": NaN}', "\x00", "[" * 100_000])
def test_a_broken_body_is_refused(gateway: Gateway, body: str) -> None:
    answer = gateway.post("add", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST102")


def test_half_a_surrogate_pair_in_a_name_is_no_crash(gateway: Gateway) -> None:
    assert gateway.post("add", '{"\\ud800": 1}').status_code == 404


def test_a_nul_in_a_name_is_no_crash(gateway: Gateway) -> None:
    assert gateway.post("add%00").status_code == 400


def test_a_filter_is_refused_and_not_ignored(service: Client) -> None:
    with pytest.raises(APIError) as caught:
        service.rpc("pairs", {"up_to": 3}).limit(1).execute()

    assert caught.value.code == "PGRST100"
    assert caught.value.hint is not None


def test_another_schema_is_not_exposed(service: Client) -> None:
    with pytest.raises(APIError) as caught:
        service.schema("storage").rpc("filename", {"name": "a"}).execute()

    assert caught.value.code == "PGRST106"


def test_tables_are_not_served(service: Client) -> None:
    with pytest.raises(APIError) as caught:
        service.table("notes").select("*").execute()

    assert caught.value.code == "PGRST205"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("P0001", 400), ("P0002", 500), ("22023", 400), ("23505", 409), ("23503", 409), ("23514", 400),
        ("40001", 500), ("42883", 404), ("42P01", 404), ("53400", 500), ("53100", 503), ("08000", 503),
        ("57014", 500), ("PT418", 418), ("XX000", 500), ("28000", 403),
    ],
)  # fmt: skip
def test_the_state_of_an_error_decides_its_status(gateway: Gateway, state: str, status: int) -> None:
    answer = gateway.post("failing", f'{{"state": "{state}"}}')

    assert answer.status_code == status
    assert answer.json() == {"code": state, "message": "it failed", "details": "why", "hint": "what next"}


def test_a_wrong_type_is_the_callers_mistake(gateway: Gateway) -> None:
    answer = gateway.post("add", '{"a": "one"}')

    assert (answer.status_code, answer.json()["code"]) == (400, "22P02")


def test_a_function_keeps_its_own_time_limit(gateway: Gateway) -> None:
    answer = gateway.post("slow")

    assert (answer.status_code, answer.json()["code"]) == (500, "57014")


@pytest.mark.parametrize(("token", "limit"), [(ANON_KEY, "3s"), (make_token("authenticated"), "8s")])
def test_a_caller_has_the_time_limit_of_the_role(gateway: Gateway, token: str, limit: str) -> None:
    answer = gateway.post("setting", '{"name": "statement_timeout"}', authorization=f"Bearer {token}")

    assert answer.json() == limit


def test_anon_without_the_right_gets_401(gateway: Gateway) -> None:
    answer = gateway.post("for_service", apikey=ANON_KEY)

    assert (answer.status_code, answer.json()["code"]) == (401, "42501")


def test_a_user_without_the_right_gets_403(gateway: Gateway) -> None:
    token = make_token("authenticated", sub=USER)

    answer = gateway.post("for_service", apikey=ANON_KEY, authorization=f"Bearer {token}")

    assert (answer.status_code, answer.json()["code"]) == (403, "42501")


def test_the_service_key_has_the_right(service: Client) -> None:
    assert service.rpc("for_service").execute().data == 1


def test_what_postgres_makes_in_public_is_open_to_anon_unless_revoked(anon: Client) -> None:
    assert anon.rpc("add", {"a": 1}).execute().data == 11


def test_the_function_knows_who_is_asking(signed_in: Callable[[str], Client]) -> None:
    answer = signed_in(USER).rpc("whoami").execute()

    assert answer.data == {"uid": USER, "role": "authenticated", "user": "authenticated"}


def test_a_token_without_a_role_speaks_for_anon(gateway: Gateway) -> None:
    token = jwt.encode({"sub": USER}, JWT_SECRET, "HS256")

    answer = gateway.post("whoami", authorization=f"Bearer {token}")

    assert answer.json()["user"] == "anon"


def test_the_function_sees_the_request(gateway: Gateway) -> None:
    answer = gateway.post("setting", '{"name": "request.headers"}', **{"x-colour": "blue"})

    assert '"x-colour": "blue"' in answer.json()


def test_without_a_key_nobody_gets_in(gateway: Gateway) -> None:
    answer = gateway.post("add", apikey="")

    assert answer.status_code == 401
    assert answer.json()["message"] == "No API key found in request"


@pytest.mark.parametrize(
    "key",
    [
        "nonsense",
        make_token("authenticated"),
        make_token("postgres"),
        make_token("service_role", secret="x" * 64),
        make_token("service_role", exp=1),
        jwt.encode({"role": "service_role"}, "", "none"),
    ],
)
def test_a_wrong_key_is_refused(gateway: Gateway, key: str) -> None:
    answer = gateway.post("add", '{"a": 1}', apikey=key)

    assert answer.status_code == 401
    assert answer.json()["message"] == "Invalid API key"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("nonsense", "PGRST301"),
        (make_token("service_role", secret="x" * 64), "PGRST301"),
        (jwt.encode({"role": "service_role"}, "", "none"), "PGRST301"),
        (jwt.encode({"role": "service_role"}, "s" * 64, "HS384"), "PGRST301"),
        (make_token("service_role", exp=1), "PGRST303"),
        (make_token("postgres"), "PGRST303"),
        (make_token("supabase_admin"), "PGRST303"),
    ],
)
def test_a_wrong_token_is_refused(gateway: Gateway, token: str, code: str) -> None:
    answer = gateway.post("add", '{"a": 1}', authorization=f"Bearer {token}")

    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_token_decides_and_not_the_key(gateway: Gateway) -> None:
    answer = gateway.post("for_service", apikey=SERVICE_KEY, authorization=f"Bearer {ANON_KEY}")

    assert answer.status_code == 401


def test_a_replaced_function_is_called_at_once(service: Client, sql: psycopg.Connection) -> None:
    name = f"changing_{uuid4().hex[:8]}"
    sql.execute(f"create function public.{name}(a int) returns int language sql return a".encode())
    before = [service.rpc(name, {"a": 1}).execute().data for _ in range(8)]
    sql.execute(f"drop function public.{name}".encode())
    sql.execute(f"create function public.{name}(b text) returns text language sql return b || '!'".encode())

    after = service.rpc(name, {"b": "new"}).execute().data

    assert (before, after) == ([1] * 8, "new!")
