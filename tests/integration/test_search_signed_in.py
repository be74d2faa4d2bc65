"""Users who sign in by the supabase client search with the token that they get."""

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from supabase import Client, create_client

from infra.cli.connection import Project
from infra.local import signing_keys
from infra.local.home import Home
from tests.search_api import SearchApi

_PASSWORD = "correct horse"


@pytest.fixture
def sign_in(project: Project, client: Client) -> Callable[[], str]:
    """A new session of one user; its access token."""
    email = f"{uuid4().hex}@example.com"
    client.auth.admin.create_user({"email": email, "password": _PASSWORD, "email_confirm": True})
    connection = project.connection

    def begin() -> str:
        own = create_client(connection.supabase_url, connection.anon_key)
        session = own.auth.sign_in_with_password({"email": email, "password": _PASSWORD}).session
        assert session is not None
        return session.access_token

    return begin


def test_a_user_who_signed_in_may_search(
    sign_in: Callable[[], str], ask: Callable[..., httpx.Response]
) -> None:
    answer = ask(sign_in(), q="a cat")

    assert answer.status_code == 200


def test_a_token_of_an_older_key_holds_until_that_is_revoked(
    sign_in: Callable[[], str], home: Home, project: Project
) -> None:
    older = sign_in()
    signing_keys.rotate(home.signing_keys)
    both = [SearchApi(project.connection).ask("GET", "/search", token=token, params={"q": "a cat"}).status
            for token in (older, sign_in())]  # fmt: skip
    signing_keys.rotate(home.signing_keys, revokes_older=True)

    # A process keeps keys for some minutes: this is one that has not seen the older.
    revoked = SearchApi(project.connection).ask("GET", "/search", token=older, params={"q": "a cat"})

    assert both == [200, 200]
    assert revoked.status == 401
