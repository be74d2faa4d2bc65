import pytest

from shared.errors import SettingsError
from shared.settings import parse_settings

_GOOD = {
    "SUPABASE_URL": "https://abc.supabase.co",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "WEBHOOK_SECRET": "w" * 32,
    "PATH": "/bin",
}


def test_settings_come_from_a_mapping_and_ignore_what_is_not_theirs() -> None:
    settings = parse_settings({**_GOOD, "LINK_EXPIRES_S": "60"})

    assert settings.supabase_url == "https://abc.supabase.co"
    assert settings.link_expires_s == 60
    assert settings.embedder == "offline"


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({})

    message = str(caught.value)
    assert "SUPABASE_URL" in message
    assert "SUPABASE_SERVICE_ROLE_KEY" in message
    assert "WEBHOOK_SECRET" in message


@pytest.mark.parametrize("name", ["SUPABASE_URL", "WEBHOOK_SECRET"])
def test_an_empty_variable_counts_as_missing(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        parse_settings({**_GOOD, name: ""})


def test_a_wrong_secret_is_never_quoted() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({**_GOOD, "WEBHOOK_SECRET": "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


def test_secrets_are_hidden_when_settings_are_printed() -> None:
    settings = parse_settings(_GOOD)

    assert "service" not in repr(settings).replace("supabase_service_role_key", "")
    assert "w" * 32 not in repr(settings)
