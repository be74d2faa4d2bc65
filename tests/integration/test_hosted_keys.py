"""What `make deploy-supabase` makes of keys and addresses before it sends one to the other."""

import httpx
import pytest

from infra.hosted.errors import HostedError
from infra.hosted.storage import check_keys
from shared.settings import parse_settings
from tests.bucket_servers import refusing_server

_STAGE = {
    "SUPABASE_URL": "http://127.0.0.1:9",
    "SUPABASE_ANON_KEY": "sb_publishable_abc",
    "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_abc",
}


def _refused(**changed: str) -> str:
    with pytest.raises(HostedError) as caught:
        check_keys(parse_settings(_STAGE | changed))
    return str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SUPABASE_URL": "http://project.invalid"}, "SUPABASE_URL is not encrypted"),
        ({"SUPABASE_ANON_KEY": "sb_publishable_ä"}, "SUPABASE_ANON_KEY has .* not ASCII"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_ä"}, "SUPABASE_SERVICE_ROLE_KEY has .* not ASCII"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_abc\r"}, "SUPABASE_SERVICE_ROLE_KEY has a line end in it"),
    ],
)
def test_a_key_that_cannot_be_sent_safely_is_not_sent(
    changed: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[httpx.Request] = []
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: calls.append(request))

    with pytest.raises(HostedError, match=said):
        check_keys(parse_settings(_STAGE | changed))

    assert calls == []


def test_no_key_goes_to_what_is_no_project() -> None:
    with refusing_server(401) as url:
        said = _refused(SUPABASE_URL=url)

    assert said.startswith(f"{url} answers 401, and not as a Supabase project does: ")


def test_a_project_that_does_not_answer_is_told() -> None:
    said = _refused()

    assert said.startswith("http://127.0.0.1:9 does not answer (ConnectError): look at SUPABASE_URL")
