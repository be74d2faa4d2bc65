"""What a stage's variables ask for, checked as far as that goes without a call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.aws.errors import AwsError
from infra.bundle import BundleError, Choice
from infra.bundle.choice import architecture_of, storage_of
from shared.errors import SettingsError
from shared.models import PREVIEWS_SUFFIX
from shared.settings import Settings, parse_settings

SECRETS: Final = (
    "SUPABASE_SERVICE_ROLE_KEY",
    "SUPABASE_JWT_SECRET",
    "ROBOFLOW_API_KEY",
    "WEBHOOK_SECRET",
    "WEBHOOK_SECRET_BEFORE",
)
"""The variables that only Parameter Store and the functions may hold. The anon key is public by design."""


_IMAGE: Final = r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[^@\s]+@sha256:[0-9a-f]{64}$"
_BUCKET: Final = r"^[a-z0-9][a-z0-9.-]{1,52}[a-z0-9]$"
_KEY: Final = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[a-z0-9-]+"
_Flag: TypeAlias = Literal["true", "false"]
_WEBHOOKS: Final = 50
"""Instances of the webhook at most, as infra/aws/choices.js has it."""


class Place(BaseModel):
    """What only deploying to AWS reads. `.env.example` explains each."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    aws_region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    image: Annotated[str | None, Field(pattern=_IMAGE)] = None
    s3_bucket: Annotated[str | None, Field(pattern=_BUCKET)] = None
    s3_bucket_exists: _Flag = "false"
    s3_kms_key_arn: Annotated[str | None, Field(pattern=f"^{_KEY}(, *{_KEY})*$")] = None
    reserve_concurrency: _Flag = "true"
    tracing: _Flag = "false"
    picture_queries: _Flag = "true"
    alarm_email: Annotated[str | None, Field(pattern=r"^[^@\s]+@[^@\s]+$")] = None
    budget_usd: Annotated[float | None, Field(gt=0)] = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one deployment needs to know."""

    stage: str
    settings: Settings
    place: Place
    choice: Choice | None
    """What the zips are made of; None when an image takes their place."""
    variables: Mapping[str, str] = field(repr=False)
    """As the stage's file has them, secrets too."""

    @property
    def stack(self) -> str:
        """The name of what CloudFormation keeps together; the functions' names begin with it."""
        return f"pixseek-{self.stage}"

    @property
    def buckets(self) -> tuple[str, ...]:
        """The pictures' bucket of S3 and that of their previews, if the pictures lie there."""
        if self.settings.storage != "s3" or self.place.s3_bucket is None:
            return ()
        return (self.place.s3_bucket, self.place.s3_bucket + PREVIEWS_SUFFIX)

    @property
    def keys(self) -> set[str]:
        """The keys of KMS that the functions may use."""
        return {arn.strip() for arn in (self.place.s3_kms_key_arn or "").split(",") if arn}

    @property
    def reserved(self) -> dict[str, int]:
        """What is set aside of the account's concurrency, by the functions' names."""
        if self.place.reserve_concurrency == "false":
            return {}
        webhook = {f"{self.stack}-webhook": _WEBHOOKS} if self.settings.storage == "supabase" else {}
        return {f"{self.stack}-reembed": self.settings.reembed_workers, **webhook}

    @property
    def secrets(self) -> dict[str, str]:
        """Those that are set: they go to Parameter Store."""
        return {name: self.variables[name] for name in SECRETS if self.variables.get(name)}


def read_plan(stage: str, variables: Mapping[str, str]) -> Plan:
    """Raises `AwsError` that names each variable that is missing or wrong; never its value."""
    try:
        settings = parse_settings(variables)
        place = Place.model_validate({name.lower(): value for name, value in variables.items() if value})
        architecture_of(variables)  # these two hold for an image as well
        storage_of(variables)
        choice = None if place.image else Choice.of(variables)
    except (SettingsError, BundleError) as exc:
        raise AwsError(f".env.{stage}: {exc}") from exc
    except ValidationError as exc:
        raise AwsError(f".env.{stage}: {_faults(exc)}. See .env.example.") from None
    _check_together(stage, settings, place)
    return Plan(stage, settings, place, choice, variables)


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{str(fault['loc'][0]).upper()} is missing"
        if fault["type"] == "missing"
        else f"{str(fault['loc'][0]).upper()}: {fault['msg']}"
        for fault in error.errors()
    )


def _check_together(stage: str, settings: Settings, place: Place) -> None:
    """What is right by itself, and not beside the others."""
    if settings.storage == "supabase" and settings.webhook_secret is None:
        raise AwsError(
            f".env.{stage}: WEBHOOK_SECRET is missing: the function knows by it that a change comes from "
            "your project. `openssl rand -hex 32` makes one; `make deploy-supabase` tells the database."
        )
    if place.image and f".ecr.{place.aws_region}." not in place.image:
        raise AwsError(
            f".env.{stage}: IMAGE lies in another region: Lambda takes it from {place.aws_region} only"
        )
    if settings.storage == "s3" and place.s3_bucket is None:
        raise AwsError(f".env.{stage}: S3_BUCKET is missing: STORAGE=s3 keeps the pictures in one bucket")
    if settings.storage == "s3" and settings.buckets - {place.s3_bucket}:
        raise AwsError(
            f".env.{stage}: BUCKETS names others than S3_BUCKET, which alone sends its events and may be "
            "read: leave BUCKETS empty, and give another bucket a Supabase project of its own, and a stage"
        )
