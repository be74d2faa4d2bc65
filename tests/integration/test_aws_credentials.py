"""Commands that read S3 take the credentials that AWS's own tools have (moto)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.s3.models import S3Backend
from typer.testing import CliRunner

from infra.cli import app
from infra.cli.aws_credentials import take_credentials
from infra.cli.connection import Project
from infra.doctor.stores import CREDENTIALS
from infra.local.home import Connection
from shared.models import Lane, ObjectRef
from shared.storage.s3 import S3Storage
from shared.wiring import build_adapters
from tests.bucket_servers import s3_server

_NOBODY = "http://127.0.0.1:9"
_TAKEN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
_PICTURE = ObjectRef("pictures", "a.png")
_ON_S3 = {"STORAGE": "s3", "BUCKETS": "pictures"}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whose credentials and region are in files, and nowhere else."""
    for name in {*_TAKEN, *(name for name in os.environ if name.startswith("AWS_"))}:
        monkeypatch.setenv(name, "")  # so that what is set meanwhile is undone
        monkeypatch.delenv(name)
    credentials, config = tmp_path / "credentials", tmp_path / "config"
    credentials.write_text(
        "[default]\naws_access_key_id=of-a-file\naws_secret_access_key=secret\naws_session_token=token\n"
    )
    config.write_text("[default]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", _NOBODY)
    return tmp_path


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, S3Backend]]:
    with s3_server() as running:
        yield running


def test_a_command_reads_a_bucket_with_the_credentials_of_a_file(
    s3: tuple[str, S3Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, backend = s3
    backend.create_bucket("pictures", "eu-west-1")
    backend.put_object("pictures", "a.png", b"bytes")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("STORAGE", "s3")

    settings = Project(Connection(_NOBODY, _NOBODY, "anon", "service")).settings()

    [found] = build_adapters(settings, Lane.INDEXING).store.list_page("pictures")
    assert found.ref.name == "a.png"
    assert [os.environ[name] for name in _TAKEN] == ["of-a-file", "secret", "token", "eu-west-1"]


def test_the_doctor_takes_them_too() -> None:
    project = {
        "SUPABASE_URL": _NOBODY,
        "SUPABASE_ANON_KEY": "anon",
        "SUPABASE_SERVICE_ROLE_KEY": "service",
        **_ON_S3,
    }

    CliRunner().invoke(app, ["doctor", "--no-model"], env=project)

    assert os.environ["AWS_ACCESS_KEY_ID"] == "of-a-file"


@pytest.mark.parametrize("name", CREDENTIALS)
def test_what_the_environment_has_is_left_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "its own")

    take_credentials(_ON_S3)

    assert os.environ[name] == "its own"
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ


@pytest.mark.parametrize(
    ("environment", "variables", "region"),
    [
        ({}, {}, "eu-west-1"),
        ({}, {"AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, {}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, {"AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "us-east-1"}, {"AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "us-east-1"}, {}, "us-east-1"),
    ],
)
def test_the_region_is_the_stages_or_else_the_environments_or_the_profiles(
    environment: dict[str, str], variables: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """obstore signs for it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    take_credentials({**_ON_S3, **variables})

    [link] = S3Storage(link_expires_s=60, timeout_s=5).links([_PICTURE], caller_token=None)
    assert f"{region}%2Fs3%2Faws4_request" in str(link)


def test_pictures_elsewhere_need_none() -> None:
    take_credentials({"STORAGE": "supabase"})

    assert "AWS_ACCESS_KEY_ID" not in os.environ


def test_a_profile_that_is_not_there_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "none-such")

    take_credentials(_ON_S3)

    assert "none-such" in capsys.readouterr().err


def test_a_machine_without_any_goes_on_without(machine: Path) -> None:
    (machine / "credentials").unlink()

    take_credentials(_ON_S3)

    assert "AWS_ACCESS_KEY_ID" not in os.environ
