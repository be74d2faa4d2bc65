"""What a stage's variables come to, and where the database of a project is."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.hosted.address import Address, given_address, hosted_address
from infra.hosted.errors import HostedError
from infra.hosted.plan import Bucket, read_plan

_REF = "abcdefghijklmnopqrst"
_SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_STAGE = {
    "SUPABASE_URL": f"https://{_REF}.supabase.co",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "SUPABASE_ACCESS_TOKEN": "sbp_token",
    "SUPABASE_DB_PASSWORD": "correct horse",
    "WEBHOOK_SECRET": _SECRET,
    "BUCKETS": "photos, scans",
}


def test_the_project_is_told_by_its_address() -> None:
    plan = read_plan(_STAGE)

    assert plan.project_ref == _REF
    assert plan.buckets == (Bucket("photos"), Bucket("scans"))


def test_a_bucket_is_private_and_keeps_its_rule_unless_told() -> None:
    owners = "photos=first_segment, scans=metadata:owner"

    plan = read_plan(_STAGE | {"PUBLIC_BUCKETS": "photos", "BUCKET_OWNERS": owners})

    assert plan.buckets == (
        Bucket("photos", is_public=True, owner_rule="first_segment"),
        Bucket("scans", owner_rule="metadata", owner_metadata_key="owner"),
    )


def test_the_bucket_of_s3_is_one_that_is_followed() -> None:
    plan = read_plan(_STAGE | {"STORAGE": "s3", "S3_BUCKET": "pictures", "BUCKETS": "", "WEBHOOK_SECRET": ""})

    assert [bucket.name for bucket in plan.buckets] == ["pictures"]
    assert not plan.keeps_pictures


def test_a_database_of_its_own_needs_no_project() -> None:
    given = {
        "SUPABASE_URL": "https://pictures.example",
        "SUPABASE_DB_URL": "postgresql://postgres@db/postgres",
    }

    plan = read_plan(_STAGE | given | {"SUPABASE_ACCESS_TOKEN": ""})

    assert plan.project_ref is None


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://postgres:s@db.bcdefghijklmnopqrstu.supabase.co:5432/postgres",
        "postgresql://postgres.bcdefghijklmnopqrstu:s@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
    ],
)
def test_keys_and_database_of_two_projects_are_refused(database: str) -> None:
    with pytest.raises(HostedError, match=f"{_REF}, and SUPABASE_DB_URL of bcdefghijklmnopqrstu"):
        read_plan(_STAGE | {"SUPABASE_DB_URL": database})


@pytest.mark.parametrize(
    ("url", "database"),
    [
        (f"https://{_REF}.supabase.co", f"postgresql://postgres@db.{_REF}.supabase.co/postgres"),
        (f"https://{_REF}.supabase.co", f"postgresql://postgres.{_REF}@pooler.example/postgres"),
        (f"https://{_REF}.supabase.co", "postgresql://postgres@10.0.0.1/postgres"),
        ("https://pictures.example", f"postgresql://postgres@db.{_REF}.supabase.co/postgres"),
    ],
)
def test_keys_and_database_of_one_project_are_taken(url: str, database: str) -> None:
    plan = read_plan(_STAGE | {"SUPABASE_URL": url, "SUPABASE_DB_URL": database})

    assert plan.database is not None


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostedError, match=r"SUPABASE_DB_CA.*dashboard"):
        read_plan(_STAGE | {"SUPABASE_DB_CA": str(tmp_path / "missing.crt")})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"SUPABASE_SERVICE_ROLE_KEY": ""}, "SUPABASE_SERVICE_ROLE_KEY"),
        ({"SUPABASE_URL": "https://pictures.example"}, "give SUPABASE_DB_URL"),
        ({"SUPABASE_ACCESS_TOKEN": ""}, "SUPABASE_ACCESS_TOKEN is missing"),
        ({"SUPABASE_DB_PASSWORD": ""}, "SUPABASE_DB_PASSWORD is missing"),
        ({"WEBHOOK_SECRET": ""}, "openssl rand -hex 32"),
        ({"WEBHOOK_URL": "http://function.example/"}, "WEBHOOK_URL"),
        ({"PUBLIC_BUCKETS": "fotos"}, "PUBLIC_BUCKETS names fotos, and BUCKETS does not"),
        ({"BUCKET_OWNERS": "fotos=none"}, "BUCKET_OWNERS names fotos, and BUCKETS does not"),
        ({"BUCKET_OWNERS": "photos=mine"}, "'photos=mine' is no rule"),
        ({"BUCKET_OWNERS": "photos"}, "'photos' is no rule"),
        ({"BUCKET_OWNERS": "photos=metadata"}, "metadata:<key>"),
        ({"BUCKET_OWNERS": "photos=none:owner"}, "metadata:<key>"),
    ],
)
def test_what_is_missing_or_wrong_is_named_with_the_fix(change: dict[str, str], said: str) -> None:
    with pytest.raises(HostedError) as caught:
        read_plan(_STAGE | change)

    assert said in str(caught.value)
    assert "correct horse" not in str(caught.value)


def test_a_given_address_is_passed_on_without_its_password() -> None:
    address = given_address(SecretStr("postgresql://postgres:s%20e@db.example:6000/postgres?sslmode=require"))

    assert address.url == "postgresql://postgres@db.example:6000/postgres?sslmode=require"
    assert address.environment() == {"PGPASSWORD": "s e"}
    assert "s e" not in repr(address)


def test_the_folder_of_a_socket_is_a_parameter() -> None:
    address = given_address(SecretStr("host=/run/pg user=postgres sslmode=disable"))

    assert address.url == "postgresql://postgres@localhost:5432/postgres?sslmode=disable&host=%2Frun%2Fpg"


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://postgres@db.example/postgres", "require"),
        ("postgresql://postgres@localhost,db.example/postgres", "require"),
        ("postgresql://postgres@localhost/postgres?hostaddr=203.0.113.5", "require"),
        ("postgresql://postgres@db.example/postgres?sslmode=disable", "disable"),
        ("postgresql://postgres@localhost/postgres", None),
        ("postgresql://postgres@127.0.0.1/postgres", None),
        ("postgresql://postgres@[::1]/postgres", None),
        ("host=/run/pg user=postgres", None),
        ("user=postgres", None),
    ],
)
def test_another_machines_database_is_reached_by_tls_unless_told(url: str, mode: str | None) -> None:
    assert given_address(SecretStr(url)).parts.get("sslmode") == mode


@pytest.mark.parametrize(
    "address",
    [
        given_address(SecretStr("postgresql://postgres@db.example/postgres?sslmode=prefer"), Path("/ca.crt")),
        given_address(SecretStr("postgresql://postgres@localhost/postgres"), Path("/ca.crt")),
        hosted_address(_REF, None, SecretStr("s"), Path("/ca.crt")),
    ],
)
def test_with_a_certificate_the_server_has_to_prove_itself(address: Address) -> None:
    assert address.url.endswith("?sslmode=verify-full&sslrootcert=%2Fca.crt")
    assert not address.trusts_any_server


@pytest.mark.parametrize(
    ("url", "trusts"),
    [
        ("postgresql://postgres@db.example/postgres", True),
        ("postgresql://postgres@db.example/postgres?sslmode=verify-ca", False),
        ("postgresql://postgres@localhost/postgres", False),
    ],
)
def test_it_is_known_whether_any_server_would_do(url: str, trusts: bool) -> None:
    assert given_address(SecretStr(url)).trusts_any_server is trusts


def test_an_address_of_version_six_is_in_brackets() -> None:
    address = given_address(SecretStr("postgresql://postgres@[2001:db8::1]/postgres"))

    assert address.url == "postgresql://postgres@[2001:db8::1]:5432/postgres?sslmode=require"


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(HostedError, match="percent-encoded") as caught:
        given_address(SecretStr("postgresql://postgres:100%@db.example/postgres"))

    assert "100%" not in str(caught.value)


def test_a_project_is_reached_by_its_pooler() -> None:
    pooler = f"postgresql://postgres.{_REF}@aws-0-eu-central-1.pooler.supabase.com:5432/postgres"

    address = hosted_address(_REF, pooler, SecretStr("s"))

    assert address.url == f"{pooler}?sslmode=require"


def test_a_project_without_a_pooler_is_reached_directly() -> None:
    address = hosted_address(_REF, None, SecretStr("s"))

    assert address.url == f"postgresql://postgres@db.{_REF}.supabase.co:5432/postgres?sslmode=require"


@pytest.mark.parametrize(
    "pooler",
    [
        f"postgresql://postgres.{_REF}@pooler.example:5432/postgres",
        f"postgresql://postgres.{_REF}@evil-pooler.supabase.com.example:5432/postgres",
        "postgresql://postgres.another@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
    ],
)
def test_the_password_goes_to_no_other_pooler(pooler: str) -> None:
    with pytest.raises(HostedError, match="none of this project"):
        hosted_address(_REF, pooler, SecretStr("s"))
