import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.settings import EmbeddingSettings, load_settings, parse_embedding_settings, parse_settings

_GOOD = {
    "SUPABASE_URL": "https://abc.supabase.co",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "WEBHOOK_SECRET": "w" * 32,
    "PATH": "/bin",
}
_HOSTED = {
    "EMBEDDER": "roboflow",
    "CLIP_MODEL": "a/small",
    "ROBOFLOW_API_URL": "https://detect.roboflow.com",
    "ROBOFLOW_API_KEY": "rf_hunter2",
    "ROBOFLOW_CONCURRENCY": "3",
}
_LOCAL = {
    "EMBEDDER": "clip",
    "CLIP_MODEL": "a/small",
    "CLIP_MODEL_DIR": "/small",
    "CLIP_TEXT_MODEL": "a/small text",
    "CLIP_TEXT_MODEL_DIR": "/small text",
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
    assert "SUPABASE_SERVICE_ROLE_KEY" in message


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_ANON_KEY"])
def test_an_empty_variable_counts_as_missing(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        parse_settings({**_GOOD, name: ""})


@pytest.mark.parametrize(
    "url",
    ["postgresql://postgres:hunter2@db.abc.supabase.co/postgres", "https://me:hunter2@abc.supabase.co"],
)
def test_an_address_with_a_password_in_it_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_URL") as caught:
        parse_settings({**_GOOD, "SUPABASE_URL": url})

    assert "hunter2" not in str(caught.value)


def test_a_wrong_secret_is_never_quoted() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({**_GOOD, "WEBHOOK_SECRET": "hunter2"})

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


def test_secrets_are_hidden_when_settings_are_printed() -> None:
    settings = parse_settings(_GOOD)

    assert "service" not in repr(settings).replace("supabase_service_role_key", "")
    assert "w" * 32 not in repr(settings)


class TestTheModelToCome:
    def test_is_none_unless_it_is_named(self) -> None:
        settings = parse_settings({**_GOOD, "CLIP_MODEL": "a/b", "CLIP_MODEL_DIR": "/weights"})

        assert settings.next_embedding() is None

    def test_is_run_by_whoever_runs_the_one_of_now(self) -> None:
        settings = parse_settings({**_GOOD, **_HOSTED, "NEXT_CLIP_MODEL": "a/large"})

        coming = settings.next_embedding()

        assert coming
        assert (coming.embedder, coming.clip_model) == ("roboflow", "a/large")
        assert (coming.roboflow_api_url, coming.roboflow_concurrency) == ("https://detect.roboflow.com", 3)
        assert coming.roboflow_api_key
        assert coming.roboflow_api_key.get_secret_value() == "rf_hunter2"

    def test_is_run_by_another_if_that_is_named(self) -> None:
        settings = parse_settings({**_GOOD, "NEXT_EMBEDDER": "clip", "NEXT_CLIP_MODEL": "a/large"})

        coming = settings.next_embedding()

        assert coming
        assert (settings.embedder, coming.embedder, coming.clip_model) == ("offline", "clip", "a/large")

    def test_may_be_the_usual_weights_of_another_embedder(self) -> None:
        coming = parse_settings({**_GOOD, "CLIP_MODEL": "a/small", "NEXT_EMBEDDER": "clip"}).next_embedding()

        assert coming
        assert (coming.embedder, coming.clip_model) == ("clip", EmbeddingSettings().clip_model)

    def test_shares_no_weights_with_the_one_of_now(self) -> None:
        settings = parse_settings({**_GOOD, **_LOCAL, "NEXT_CLIP_MODEL": "a/large"})

        coming = settings.next_embedding()

        assert coming
        assert (coming.clip_model_dir, coming.clip_text_model, coming.clip_text_model_dir) == (None,) * 3

    def test_has_weights_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/somebody")
        own = {"CLIP_MODEL_DIR": "~/new", "CLIP_TEXT_MODEL": "a/text", "CLIP_TEXT_MODEL_DIR": "/new/text"}

        coming = parse_settings(
            {**_GOOD, **_LOCAL, "NEXT_CLIP_MODEL": "a/large", **{f"NEXT_{name}": own[name] for name in own}}
        ).next_embedding()

        assert coming
        assert coming.clip_model_dir == Path("/home/somebody/new")
        assert (coming.clip_text_model, coming.clip_text_model_dir) == ("a/text", Path("/new/text"))

    @pytest.mark.parametrize(
        ("wrong", "named"),
        [
            ({"NEXT_EMBEDDER": "torch"}, "NEXT_EMBEDDER: "),
            ({"NEXT_EMBEDDER": "roboflow"}, "ROBOFLOW_API_KEY is missing"),
            ({"NEXT_CLIP_MODEL": "a/large"}, "NEXT_CLIP_MODEL "),
            ({"NEXT_EMBEDDER": "offline", "NEXT_CLIP_MODEL": "a/large"}, "NEXT_CLIP_MODEL "),
            ({"NEXT_CLIP_MODEL_DIR": "/new"}, "NEXT_CLIP_MODEL_DIR "),
            ({"EMBEDDER": "clip", "NEXT_CLIP_TEXT_MODEL": "a/text"}, "NEXT_CLIP_TEXT_MODEL "),
            ({"ACTIVATE": "later"}, "ACTIVATE: "),
            ({"KEEP_RETIRED_DAYS": "-1"}, "KEEP_RETIRED_DAYS: "),
            ({"REEMBED_WORKERS": "0"}, "REEMBED_WORKERS: "),
            ({"KEEP_ASKED_TEXTS": "perhaps"}, "KEEP_ASKED_TEXTS: "),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
    )
    def test_that_is_wrong_is_named(self, wrong: dict[str, str], named: str) -> None:
        with pytest.raises(SettingsError) as caught:
            parse_settings({**_GOOD, **wrong})

        assert f"settings are missing or wrong: {named}" in str(caught.value)

    def test_that_is_wrong_tells_no_secret(self) -> None:
        hosted = {**_HOSTED, "ROBOFLOW_API_URL": "http://localhost:9001"}

        with pytest.raises(SettingsError) as caught:
            parse_settings({**_GOOD, **hosted, "NEXT_EMBEDDER": "hunter2", "NEXT_CLIP_MODEL_DIR": "hunter2"})

        assert "NEXT_EMBEDDER" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_hides_its_key_when_it_is_printed(self) -> None:
        settings = parse_settings({**_GOOD, **_HOSTED, "NEXT_CLIP_MODEL": "a/large"})

        assert "hunter2" not in repr(settings.next_embedding())


@pytest.mark.parametrize("host", ["infer.roboflow.com", "serverless.roboflow.com", "Infer.Roboflow.COM"])
def test_roboflows_own_hosts_are_asked_over_https_only(host: str) -> None:
    with pytest.raises(SettingsError, match="ROBOFLOW_API_URL must begin with https:"):
        parse_embedding_settings(
            {"EMBEDDER": "roboflow", "ROBOFLOW_API_KEY": "rf_x", "ROBOFLOW_API_URL": f"http://{host}"}
        )


def test_roboflows_own_hosts_need_a_key_and_ones_own_server_does_not() -> None:
    own = parse_embedding_settings({"EMBEDDER": "roboflow", "ROBOFLOW_API_URL": "http://localhost:9001"})

    assert own.roboflow_api_key is None
    with pytest.raises(SettingsError, match="ROBOFLOW_API_KEY is missing"):
        parse_embedding_settings({"EMBEDDER": "roboflow"})


@pytest.mark.parametrize(
    ("timeout_s", "left_s", "begin_s", "for_the_model_s"),
    [(4, None, 2.2, 3), (10, None, 7, 9), (60, None, 42, 54), (60, 10.0, 7, 9)],
)
def test_the_times_of_a_call_leave_some_for_the_database_and_the_reply(
    timeout_s: int,
    left_s: float | None,
    begin_s: float,
    for_the_model_s: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)

    times = parse_settings({**_GOOD, "FUNCTION_TIMEOUT_S": str(timeout_s)}).times(left_s)

    assert math.isclose(times.begin_by, 1000 + begin_s)
    assert math.isclose(times.deadline, 1000 + for_the_model_s)


def test_buckets_are_a_list_with_commas() -> None:
    settings = parse_settings({**_GOOD, "BUCKETS": "photos, 2026 pictures ,"})

    assert settings.buckets == {"photos", "2026 pictures"}
    assert parse_settings(_GOOD).buckets == frozenset()


def test_a_local_folder_of_pictures_needs_its_place() -> None:
    with pytest.raises(SettingsError, match="STORAGE_DIR is missing"):
        parse_settings({**_GOOD, "STORAGE": "local"})


def test_during_a_rotation_the_secret_of_before_is_accepted_too() -> None:
    settings = parse_settings({**_GOOD, "WEBHOOK_SECRET_BEFORE": "the-secret-of-before"})

    assert settings.webhook_secrets() == [_GOOD["WEBHOOK_SECRET"], "the-secret-of-before"]


def test_only_a_webhook_needs_the_secret() -> None:
    settings = parse_settings({**_GOOD, "WEBHOOK_SECRET": ""})

    with pytest.raises(SettingsError, match="WEBHOOK_SECRET is missing"):
        settings.webhook_secrets()


def test_a_folder_may_begin_with_ones_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    settings = parse_embedding_settings({"CLIP_MODEL_DIR": "~/weights"})

    assert settings.clip_model_dir == Path("/home/somebody/weights")


def test_who_calls_the_api_is_asked_unless_told_otherwise() -> None:
    settings = parse_settings(_GOOD)

    assert (settings.auth, settings.requests_per_minute, settings.trusted_hops) == ("user", 120, 0)
    assert settings.cors_origins == ()


def test_the_api_is_set_by_variables() -> None:
    settings = parse_settings(
        {
            **_GOOD,
            "AUTH": "public",
            "REQUESTS_PER_MINUTE": "1000000",
            "TRUSTED_HOPS": "10",
            "CORS_ORIGINS": "https://app.example, http://localhost:5173 ,",
        }
    )

    assert (settings.auth, settings.requests_per_minute, settings.trusted_hops) == ("public", 1_000_000, 10)
    assert settings.cors_origins == ("https://app.example", "http://localhost:5173")


def test_any_origin_may_be_allowed_by_a_star() -> None:
    assert parse_settings({**_GOOD, "CORS_ORIGINS": "*"}).cors_origins == ("*",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH", "none"),
        ("AUTH", "USER"),
        ("REQUESTS_PER_MINUTE", "0"),
        ("REQUESTS_PER_MINUTE", "1000001"),
        ("REQUESTS_PER_MINUTE", "many"),
        ("TRUSTED_HOPS", "-1"),
        ("TRUSTED_HOPS", "11"),
        ("TRUSTED_HOPS", "1.5"),
        ("CORS_ORIGINS", "app.example"),
        ("CORS_ORIGINS", "https://app.example/"),
        ("CORS_ORIGINS", "https://*.app.example"),
        ("CORS_ORIGINS", "https://app.example https://other.example"),
        ("CORS_ORIGINS", "https://app.example, null"),
        ("CORS_ORIGINS", "ftp://app.example"),
    ],
)
def test_a_setting_of_the_api_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f": {name}"):
        parse_settings({**_GOOD, name: value})


class TestSecretsOfParameterStore:
    @pytest.fixture(autouse=True)
    def deployed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """A function whose environment has no secrets, and a store that has all."""
        for name in ("SUPABASE_URL", "SUPABASE_ANON_KEY"):
            monkeypatch.setenv(name, _GOOD[name])
        monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY", raising=False)
        monkeypatch.setattr(
            "shared.parameters.read_parameters",
            lambda names, _: {name.rpartition("/")[2]: f"stored {name}" for name in names},
        )
        load_settings.cache_clear()
        yield
        load_settings.cache_clear()

    def test_join_those_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSM_PARAMETERS", "/pixseek/prod/SUPABASE_SERVICE_ROLE_KEY, /p/WEBHOOK_SECRET,")

        settings = load_settings()

        assert settings.supabase_service_role_key.get_secret_value() == (
            "stored /pixseek/prod/SUPABASE_SERVICE_ROLE_KEY"
        )
        assert settings.webhook_secrets() == ["stored /p/WEBHOOK_SECRET"]
        assert settings.supabase_url == _GOOD["SUPABASE_URL"]

    def test_are_not_looked_for_unless_they_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSM_PARAMETERS", "")

        with pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
            load_settings()
