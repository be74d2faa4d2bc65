"""What a stage's variables come to, and what is refused before AWS is asked."""

import pytest
from pydantic import SecretStr

from infra.aws import osls
from infra.aws.errors import AwsError
from infra.aws.outcome import outcome
from infra.aws.plan import SECRETS, Plan, read_plan
from shared.settings import Settings

_SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
_STAGE = {
    "AWS_REGION": "eu-central-1",
    "SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "the-service-key",
    "EMBEDDER": "roboflow",
    "ROBOFLOW_API_KEY": "the-key-of-roboflow",
    "WEBHOOK_SECRET": _SECRET,
}
_IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/pixseek@sha256:{'a' * 64}"
_S3 = {"STORAGE": "s3", "S3_BUCKET": "photos"}


def _plan(**more: str) -> Plan:
    return read_plan("prod", _STAGE | more)


def test_pictures_in_supabase_need_no_bucket_of_s3() -> None:
    plan = _plan(S3_BUCKET="photos")

    assert plan.stack == "pixseek-prod"
    assert plan.buckets == ()


def test_pictures_in_s3_have_a_bucket_and_one_of_previews() -> None:
    assert _plan(**_S3).buckets == ("photos", "photos-previews")


def test_an_image_takes_the_place_of_zips_whatever_embeds() -> None:
    plan = _plan(EMBEDDER="clip", IMAGE=_IMAGE)

    assert plan.choice is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"STORAGE": "gcs"}, "choose supabase or s3"),
        ({"STORAGE": "local", "STORAGE_DIR": "/pictures"}, "choose supabase or s3"),
        ({"ARCHITECTURE": "arm"}, "choose arm64 or x86_64"),
    ],
)
def test_an_image_takes_no_other_storage_or_architecture_than_zips(more: dict[str, str], said: str) -> None:
    with pytest.raises(AwsError, match=rf"^\.env\.prod: .*{said}"):
        _plan(EMBEDDER="clip", IMAGE=_IMAGE, **more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"AWS_REGION": ""}, "AWS_REGION is missing"),
        ({"AWS_REGION": "Frankfurt"}, "AWS_REGION"),
        ({"SUPABASE_URL": ""}, "SUPABASE_URL"),
        ({"SUPABASE_SERVICE_ROLE_KEY": ""}, "SUPABASE_SERVICE_ROLE_KEY"),
        ({"ROBOFLOW_API_KEY": ""}, "ROBOFLOW_API_KEY is missing"),
        ({"WEBHOOK_SECRET": ""}, "openssl rand -hex 32"),
        ({"WEBHOOK_SECRET": "short"}, "WEBHOOK_SECRET"),
        ({"STORAGE": "gcs"}, "choose supabase or s3"),
        ({"STORAGE": "s3"}, "S3_BUCKET is missing"),
        (_S3 | {"S3_BUCKET": "Photos_1"}, "S3_BUCKET"),
        (_S3 | {"S3_BUCKET": "p" * 55}, "S3_BUCKET"),
        (_S3 | {"BUCKETS": "photos,scans"}, "BUCKETS names others than S3_BUCKET"),
        (_S3 | {"S3_BUCKET_EXISTS": "yes"}, "S3_BUCKET_EXISTS"),
        ({"EMBEDDER": "clip"}, "container image"),
        ({"ARCHITECTURE": "arm"}, "choose arm64 or x86_64"),
        ({"IMAGE": "pixseek:latest"}, "IMAGE"),
        ({"IMAGE": _IMAGE.replace("eu-central-1", "eu-west-1")}, "IMAGE lies in another region"),
        ({"ALARM_EMAIL": "me"}, "ALARM_EMAIL"),
        ({"BUDGET_USD": "ten"}, "BUDGET_USD"),
        ({"RESERVE_CONCURRENCY": "0"}, "RESERVE_CONCURRENCY"),
        ({"TRACING": "True"}, "TRACING"),
        ({"PICTURE_QUERIES": "no"}, "PICTURE_QUERIES"),
        ({"S3_KMS_KEY_ARN": "alias/photos"}, "S3_KMS_KEY_ARN"),
    ],
)
def test_what_is_missing_or_wrong_is_named(more: dict[str, str], said: str) -> None:
    with pytest.raises(AwsError) as refused:
        _plan(**more)

    assert said in str(refused.value)
    assert str(refused.value).startswith(".env.prod: ")


def test_a_refusal_tells_no_value() -> None:
    with pytest.raises(AwsError) as refused:
        read_plan("prod", _STAGE | {"WEBHOOK_SECRET": "too-short", "SUPABASE_URL": "nowhere"})

    assert "too-short" not in str(refused.value)


def test_every_secret_of_the_settings_goes_to_parameter_store_but_the_public_key() -> None:
    kept = {
        name.upper()
        for name, about in Settings.model_fields.items()
        if SecretStr in (about.annotation, *getattr(about.annotation, "__args__", ()))
    }

    assert kept - {"SUPABASE_ANON_KEY"} == set(SECRETS)


def test_only_the_secrets_that_are_set_are_put() -> None:
    assert _plan(SUPABASE_JWT_SECRET="").secrets == {
        "SUPABASE_SERVICE_ROLE_KEY": "the-service-key",
        "ROBOFLOW_API_KEY": "the-key-of-roboflow",
        "WEBHOOK_SECRET": _SECRET,
    }


def test_a_plan_shows_no_secret() -> None:
    shown = repr(_plan())

    assert [name for name, value in _plan().secrets.items() if value in shown] == []


def test_osls_is_told_no_secret() -> None:
    plan = _plan(SUPABASE_DB_PASSWORD="correct horse")

    outer = {"PATH": "/bin", **plan.variables}
    told = osls.environment(plan, {"AWS_ACCESS_KEY_ID": "AKIA"}, outer)

    assert [name for name, value in plan.secrets.items() if value in told.values()] == []
    assert not {*SECRETS, "SUPABASE_DB_PASSWORD"} & told.keys()
    assert told["PATH"] == "/bin"
    assert told["AWS_ACCESS_KEY_ID"] == "AKIA"


def test_what_is_set_on_this_machine_does_not_get_into_a_stage() -> None:
    outer = {
        "STORAGE": "s3",
        "AUTH": "public",
        "TRACING": "true",
        "ALARM_EMAIL": "a@b.example",
        "AWS_PROFILE": "x",
    }

    told = osls.environment(_plan(), {}, outer)

    assert not outer.keys() & told.keys()


def test_osls_learns_the_version_of_each_secret_from_the_deployment_alone() -> None:
    told = osls.environment(
        _plan(), osls.versions_told({"WEBHOOK_SECRET": 7}), {"ROBOFLOW_API_KEY_VERSION": "2"}
    )

    assert {name for name in told if name.endswith("_VERSION")} == {"WEBHOOK_SECRET_VERSION"}
    assert told["WEBHOOK_SECRET_VERSION"] == "7"


def test_the_two_buckets_may_have_a_key_each() -> None:
    arn = "arn:aws:kms:eu-central-1:123456789012:key/{}"
    arns = {arn.format("a" * 8), arn.format("b" * 8)}

    assert _plan(S3_KMS_KEY_ARN=", ".join(arns)).keys == arns
    assert _plan().keys == set()


_OUTPUTS = {
    "ApiUrl": "https://a.example",
    "WebhookUrl": "https://a.example/webhooks/supabase",
    "AlarmTopicArn": "arn",
}


def test_a_deployment_ends_with_its_addresses_and_what_is_left_to_do() -> None:
    assert list(outcome(_plan(ALARM_EMAIL="me@b.example"), _OUTPUTS)) == [
        "ApiUrl: https://a.example",
        "WebhookUrl: https://a.example/webhooks/supabase",
        "next: WEBHOOK_URL=https://a.example/webhooks/supabase into .env.prod",
        "next: `make deploy-supabase STAGE=prod`, so that the database posts to the webhook",
        "next: confirm the mail that AWS sends to me@b.example, or no alarm arrives",
        "next: SEARCH_URL=https://a.example into .env.prod",
        "next: `.venv/bin/pixseek doctor --stage prod`",
    ]


def test_what_a_stage_knows_already_is_not_told_again() -> None:
    plan = _plan(**_S3, SEARCH_URL="https://a.example")

    assert list(outcome(plan, {"ApiUrl": "https://a.example"})) == [
        "ApiUrl: https://a.example",
        "next: `.venv/bin/pixseek doctor --stage prod`",
    ]
