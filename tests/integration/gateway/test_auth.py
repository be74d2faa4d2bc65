"""Users who sign in through the gateway with the real client, go on, and sign out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from supabase import Client
from supabase_auth.errors import AuthApiError
from supabase_auth.types import AuthResponse

from tests.integration.gateway.conftest import (
    ANON_KEY,
    PASSWORD,
    SERVICE_KEY,
    Account,
    Gateway,
    make_token,
    session_of,
)

NOBODY = "00000000-0000-4000-8000-000000000000"
NEWER = {"X-Supabase-Api-Version": "2024-01-01"}


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def refused(act: Callable[[], object]) -> tuple[int, str | None]:
    """The status and the code of the refusal."""
    with pytest.raises(AuthApiError) as caught:
        act()
    return caught.value.status, caught.value.code


class TestSigningIn:
    def test_answers_a_session_and_the_user(self, account: Account, browser: Callable[[], Client]) -> None:
        client = browser()

        answer: AuthResponse = client.auth.sign_in_with_password(
            {"email": account.email, "password": PASSWORD}
        )

        assert answer.session is not None
        assert (answer.session.token_type, answer.session.expires_in) == ("bearer", 3600)
        assert answer.user is not None
        assert (answer.user.id, answer.user.email) == (account.id, account.email)
        assert answer.user.user_metadata == {"name": "Ann"}
        assert answer.user.last_sign_in_at is not None

    def test_gives_a_token_that_says_who_signed_in(
        self, account: Account, sign_in: Callable[[], Client], gateway: Gateway
    ) -> None:
        token = session_of(sign_in()).access_token

        claims = claims_of(token)
        assert claims["exp"] - claims["iat"] == 3600
        assert {name: claims[name] for name in claims if name not in {"exp", "iat", "session_id", "amr"}} == {
            "iss": f"{gateway.url}/auth/v1",
            "sub": account.id,
            "aud": "authenticated",
            "role": "authenticated",
            "email": account.email,
            "phone": "",
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "user_metadata": {"name": "Ann"},
            "aal": "aal1",
            "is_anonymous": False,
        }

    def test_is_known_to_auth_rest_and_storage(
        self, account: Account, sign_in: Callable[[], Client], private_bucket: str
    ) -> None:
        client = sign_in()

        client.storage.from_(private_bucket).upload(f"{account.id}/a.txt", b"mine")

        known = client.auth.get_user()
        assert known is not None
        assert known.user.id == account.id
        assert client.rpc("whoami").execute().data == {
            "uid": account.id,
            "role": "authenticated",
            "user": "authenticated",
        }
        assert client.storage.from_(private_bucket).download(f"{account.id}/a.txt") == b"mine"

    def test_does_not_heed_the_case_of_the_address(
        self, account: Account, browser: Callable[[], Client]
    ) -> None:
        answer = browser().auth.sign_in_with_password({"email": account.email.upper(), "password": PASSWORD})

        assert answer.user is not None
        assert answer.user.id == account.id

    def test_does_not_tell_an_unknown_address_from_a_wrong_password(
        self, account: Account, call: Callable[..., httpx.Response]
    ) -> None:
        sign_in = "/token?grant_type=password"

        wrong = call("POST", sign_in, json=account.body("another"), **NEWER)
        unknown = call("POST", sign_in, json={**account.body(), "email": "nobody@example.com"}, **NEWER)
        too_long = call("POST", sign_in, json=account.body(PASSWORD + " " * 100_000), **NEWER)

        assert wrong.status_code == unknown.status_code == too_long.status_code == 400
        assert wrong.json() == unknown.json() == too_long.json()
        assert wrong.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}

    def test_waits_for_a_confirmed_address(self, service: Client, browser: Callable[[], Client]) -> None:
        email = f"{uuid4().hex[:12]}@example.com"
        service.auth.admin.create_user({"email": email, "password": PASSWORD})

        assert refused(
            lambda: browser().auth.sign_in_with_password({"email": email, "password": PASSWORD})
        ) == (400, "email_not_confirmed")

    def test_has_no_way_without_a_password(
        self, service: Client, call: Callable[..., httpx.Response]
    ) -> None:
        email = f"{uuid4().hex[:12]}@example.com"
        service.auth.admin.create_user({"email": email, "email_confirm": True})

        answer = call("POST", "/token?grant_type=password", json={"email": email, "password": ""}, **NEWER)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_credentials")

    @pytest.mark.parametrize(
        ("query", "body", "code"),
        [
            ("password", b"{", "bad_json"),
            ("password", b"[" * 100_000, "bad_json"),
            ("password", b"", "validation_failed"),
            ("password", b"[]", "validation_failed"),
            ("password", b'{"email": 1, "password": "x"}', "validation_failed"),
            ("password", b'{"email": "a\\u0000@b", "password": "x"}', "validation_failed"),
            ("password", b'{"email": "\\ud800", "password": "x"}', "bad_json"),
            ("refresh_token", b"{}", "validation_failed"),
            ("magic", b"{}", "invalid_credentials"),
        ],
    )
    def test_that_makes_no_sense_is_refused(
        self, query: str, body: bytes, code: str, gateway: Gateway, http: httpx.Client
    ) -> None:
        url = f"{gateway.url}/auth/v1/token?grant_type={query}"

        answer = http.post(url, content=body, headers={"apikey": ANON_KEY, **NEWER})

        assert (answer.status_code, answer.json()["code"]) == (400, code)

    def test_has_a_limit_to_what_it_reads(self, gateway: Gateway, http: httpx.Client) -> None:
        url = f"{gateway.url}/auth/v1/token?grant_type=password"

        answer = http.post(url, content=b" " * 1_100_000, headers={"apikey": ANON_KEY})

        assert answer.status_code == 413

    def test_needs_a_key(self, account: Account, call: Callable[..., httpx.Response]) -> None:
        answer = call("POST", "/token?grant_type=password", json=account.body(), apikey="")

        assert (answer.status_code, answer.json()["message"]) == (401, "No API key found in request")

    def test_keeps_neither_password_nor_token_as_they_are(
        self, account: Account, sign_in: Callable[[], Client], sql: psycopg.Connection
    ) -> None:
        session = session_of(sign_in())

        kept = sql.execute(
            "select encrypted_password, row(u, s, t)::text from auth.users u"
            " join auth.sessions s on s.user_id = u.id join auth.refresh_tokens t on t.session_id = s.id"
            " where u.id = %s",
            (account.id,),
        ).fetchone()

        assert kept is not None
        assert kept[0].startswith("scrypt$")
        assert PASSWORD not in kept[1]
        assert session.refresh_token not in kept[1]


class TestErrors:
    def test_come_in_the_newer_shape_to_those_who_ask_for_it(
        self, call: Callable[..., httpx.Response]
    ) -> None:
        answer = call("GET", "/user", **NEWER)

        assert answer.status_code == 401
        assert answer.headers["x-supabase-api-version"] == "2024-01-01"
        assert answer.json() == {
            "code": "no_authorization",
            "message": "This endpoint requires a valid Bearer token",
        }

    @pytest.mark.parametrize("version", ["", "2023-12-31", "9"])
    def test_come_in_the_older_shape_to_all_others(
        self, version: str, call: Callable[..., httpx.Response]
    ) -> None:
        answer = call("GET", "/user", **{"X-Supabase-Api-Version": version})

        assert "x-supabase-api-version" not in answer.headers
        assert answer.json() == {
            "code": 401,
            "error_code": "no_authorization",
            "msg": "This endpoint requires a valid Bearer token",
        }

    def test_can_be_read_by_scripts_of_other_pages(self, call: Callable[..., httpx.Response]) -> None:
        answer = call("GET", "/user", **NEWER, origin="https://example.com")

        assert "X-Supabase-Api-Version" in answer.headers["access-control-expose-headers"]

    @pytest.mark.parametrize("path", ["/signup", "/verify", "/admin/users/x/factors"])
    def test_name_what_is_not_served(self, path: str, call: Callable[..., httpx.Response]) -> None:
        answer = call("POST", path, **NEWER)

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert path in answer.json()["message"]

    @pytest.mark.parametrize(
        ("token", "code"),
        [
            ("nonsense", "bad_jwt"),
            (ANON_KEY, "bad_jwt"),
            (make_token("authenticated", sub="ann"), "bad_jwt"),
            (make_token("authenticated", sub=NOBODY, exp=1), "bad_jwt"),
            (make_token("authenticated", sub=NOBODY, session_id="x"), "user_not_found"),
        ],
    )
    def test_tell_a_wrong_token_from_an_unknown_user(
        self, token: str, code: str, call: Callable[..., httpx.Response]
    ) -> None:
        answer = call("GET", "/user", token, **NEWER)

        assert (answer.status_code, answer.json()["code"]) == (403, code)


class TestASession:
    def test_goes_on_with_a_new_refresh_token(self, sign_in: Callable[[], Client]) -> None:
        client = sign_in()
        before = session_of(client)

        renewed = client.auth.refresh_session().session

        assert renewed is not None
        assert renewed.refresh_token != before.refresh_token
        assert claims_of(renewed.access_token)["session_id"] == claims_of(before.access_token)["session_id"]
        assert client.auth.get_user() is not None

    def test_ends_when_a_spent_refresh_token_comes_again(
        self, sign_in: Callable[[], Client], browser: Callable[[], Client]
    ) -> None:
        client = sign_in()
        spent = session_of(client).refresh_token
        client.auth.refresh_session()
        renewed = session_of(client)

        again = refused(lambda: browser().auth.refresh_session(spent))

        assert again == (400, "refresh_token_already_used")
        assert refused(lambda: browser().auth.refresh_session(renewed.refresh_token)) == (
            400,
            "refresh_token_not_found",
        )
        assert refused(lambda: client.auth.get_user(renewed.access_token)) == (403, "session_not_found")

    def test_is_renewed_once_by_many_at_once(
        self, sign_in: Callable[[], Client], call: Callable[..., httpx.Response]
    ) -> None:
        body = {"refresh_token": session_of(sign_in()).refresh_token}

        with ThreadPoolExecutor(8) as threads:
            answers = threads.map(
                lambda _: call("POST", "/token?grant_type=refresh_token", json=body), range(8)
            )

        assert sorted(answer.status_code for answer in answers) == [200, *[400] * 7]

    def test_that_never_was_is_not_renewed(self, browser: Callable[[], Client]) -> None:
        assert refused(lambda: browser().auth.refresh_session("nonsense")) == (400, "refresh_token_not_found")

    @pytest.mark.parametrize(
        ("scope", "left"),
        [("global", (403, 403)), ("local", (403, 200)), ("others", (200, 403)), ("", (403, 403))],
    )
    def test_ends_by_signing_out(
        self,
        scope: str,
        left: tuple[int, int],
        sign_in: Callable[[], Client],
        call: Callable[..., httpx.Response],
    ) -> None:
        here, there = session_of(sign_in()).access_token, session_of(sign_in()).access_token

        answer = call("POST", f"/logout?scope={scope}", here)

        assert (answer.status_code, answer.content) == (204, b"")
        assert (call("GET", "/user", here).status_code, call("GET", "/user", there).status_code) == left

    def test_does_not_end_by_an_unknown_scope(
        self, sign_in: Callable[[], Client], call: Callable[..., httpx.Response]
    ) -> None:
        token = session_of(sign_in()).access_token

        answer = call("POST", "/logout?scope=here", token, **NEWER)

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        assert call("GET", "/user", token).status_code == 200

    def test_leaves_an_access_token_that_rest_takes_until_it_expires(
        self, account: Account, sign_in: Callable[[], Client], gateway: Gateway
    ) -> None:
        client = sign_in()
        token = session_of(client).access_token

        client.auth.sign_out()

        answer = gateway.post("whoami", authorization=f"Bearer {token}")
        assert answer.json()["uid"] == account.id

    def test_ends_with_its_user(
        self, account: Account, sign_in: Callable[[], Client], service: Client, browser: Callable[[], Client]
    ) -> None:
        session = session_of(sign_in())

        service.auth.admin.delete_user(account.id)

        assert refused(lambda: browser().auth.get_user(session.access_token)) == (403, "user_not_found")
        assert refused(lambda: browser().auth.refresh_session(session.refresh_token)) == (
            400,
            "refresh_token_not_found",
        )


def test_a_link_to_sign_in_is_never_told_from_none(account: Account, browser: Callable[[], Client]) -> None:
    known = browser().auth.sign_in_with_otp({"email": account.email})
    unknown = browser().auth.sign_in_with_otp({"email": "nobody@example.com"})

    assert known == unknown


def test_a_link_goes_to_an_address(browser: Callable[[], Client]) -> None:
    assert refused(lambda: browser().auth.sign_in_with_otp({"email": "nobody"})) == (400, "validation_failed")


class TestTheServiceKey:
    @pytest.mark.parametrize(
        ("attributes", "status", "code"),
        [
            ({"email": "new@example.com", "password": "short"}, 422, "weak_password"),
            ({"email": "new@example.com", "password": "é" * 37}, 400, "validation_failed"),
            ({"email": "nobody", "password": PASSWORD}, 400, "validation_failed"),
            ({"email": "a b@example.com", "password": PASSWORD}, 400, "validation_failed"),
            ({"email": "x" * 250 + "@example.com", "password": PASSWORD}, 400, "validation_failed"),
            ({"password": PASSWORD}, 400, "validation_failed"),
            ({"email": "new@example.com", "role": "service_role"}, 400, "validation_failed"),
            ({"email": "new@example.com", "user_metadata": {"a": "\0"}}, 400, "validation_failed"),
            ({"email": "new@example.com", "user_metadata": []}, 400, "validation_failed"),
        ],
    )
    def test_adds_no_user_that_makes_no_sense(
        self, attributes: dict[str, object], status: int, code: str, call: Callable[..., httpx.Response]
    ) -> None:
        answer = call("POST", "/admin/users", SERVICE_KEY, attributes, **NEWER)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert str(attributes.get("password")) not in answer.text

    def test_is_told_why_a_password_is_weak(self, call: Callable[..., httpx.Response]) -> None:
        body = {"email": "new@example.com", "password": "short"}

        answer = call("POST", "/admin/users", SERVICE_KEY, body, **NEWER)

        assert answer.json()["weak_password"] == {"reasons": ["length"]}

    def test_adds_an_address_once(self, account: Account, service: Client) -> None:
        assert refused(lambda: service.auth.admin.create_user({"email": account.email.upper()})) == (
            422,
            "email_exists",
        )

    def test_lists_users_by_pages_the_latest_first(
        self, account: Account, service: Client, call: Callable[..., httpx.Response]
    ) -> None:
        latest = service.auth.admin.create_user({"email": f"{uuid4().hex[:12]}@example.com"}).user

        [first] = service.auth.admin.list_users(page=1, per_page=1)
        [second] = service.auth.admin.list_users(page=2, per_page=1)
        page = call("GET", "/admin/users?page=1&per_page=1", SERVICE_KEY)

        assert (first.id, second.id) == (latest.id, account.id)
        assert {first.id, second.id} <= {user.id for user in service.auth.admin.list_users()}
        assert page.json()["aud"] == "authenticated"
        assert page.headers["link"].startswith('</admin/users?page=2&per_page=1>; rel="next"')
        assert f'page={page.headers["x-total-count"]}&per_page=1>; rel="last"' in page.headers["link"]

    @pytest.mark.parametrize("query", ["page=0", "per_page=1001", "page=x", "page=-1"])
    def test_has_pages_that_are_numbers(self, query: str, call: Callable[..., httpx.Response]) -> None:
        answer = call("GET", f"/admin/users?{query}", SERVICE_KEY, **NEWER)

        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")

    @pytest.mark.parametrize(("user_id", "code"), [(NOBODY, "user_not_found"), ("x", "validation_failed")])
    def test_removes_no_user_that_there_is_not(
        self, user_id: str, code: str, call: Callable[..., httpx.Response]
    ) -> None:
        answer = call("DELETE", f"/admin/users/{user_id}", SERVICE_KEY, **NEWER)

        assert (answer.status_code, answer.json()["code"]) == (404, code)

    def test_removes_for_good_or_not_at_all(self, account: Account, service: Client) -> None:
        assert refused(lambda: service.auth.admin.delete_user(account.id, should_soft_delete=True)) == (
            400,
            "validation_failed",
        )

    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "/admin/users"), ("GET", "/admin/users"), ("DELETE", f"/admin/users/{NOBODY}")],
    )
    def test_alone_may_do_that(self, method: str, path: str, call: Callable[..., httpx.Response]) -> None:
        token = make_token("authenticated", sub=NOBODY)

        by_user = call(method, path, token, {"email": "a@b.c"}, **NEWER, apikey=SERVICE_KEY)
        by_nobody = call(method, path, json={"email": "a@b.c"}, **NEWER, apikey=SERVICE_KEY)
        by_all = call(method, path, ANON_KEY, {"email": "a@b.c"}, **NEWER)

        assert (by_user.status_code, by_user.json()["code"]) == (403, "not_admin")
        assert (by_nobody.status_code, by_nobody.json()["code"]) == (401, "no_authorization")
        assert (by_all.status_code, by_all.json()["code"]) == (403, "not_admin")


@pytest.mark.parametrize("table", ["users", "sessions", "refresh_tokens"])
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role", "postgres"])
def test_no_other_role_reads_the_tables_of_auth(role: str, table: str, sql: psycopg.Connection) -> None:
    with sql.transaction(force_rollback=True):
        sql.execute(f"set local role {role}".encode())

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute(f"select from auth.{table}".encode())
