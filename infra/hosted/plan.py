"""What a stage's variables ask for: which project, which buckets, which webhook."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from infra.hosted.address import Address, given_address
from infra.hosted.errors import HostedError
from infra.local.home import ROOT
from shared.errors import SettingsError
from shared.settings import Settings, parse_settings

OwnerRule: TypeAlias = Literal["none", "storage_owner", "first_segment", "metadata"]

_HOSTED: Final = re.compile(r"https://([a-z0-9]{20})\.supabase\.co")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it is to be. Without a rule it keeps its own, and a new one has Storage's owners."""

    name: str
    is_public: bool = False
    owner_rule: OwnerRule | None = None
    owner_metadata_key: str | None = None


def _listed(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


_Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Deployment(BaseModel):
    """What only deploying reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    supabase_access_token: SecretStr | None = None
    supabase_db_password: SecretStr | None = None
    supabase_db_url: SecretStr | None = None
    supabase_db_ca: Path | None = None
    public_buckets: _Names = ()
    bucket_owners: _Names = ()
    s3_bucket: str | None = None
    webhook_url: Annotated[str | None, Field(pattern=r"^https://[^/\s@]+(/[^\s]*)?$")] = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one deployment needs to know."""

    settings: Settings
    project_ref: str | None
    """Of a project of supabase.co, when its database is to be found through it."""
    access_token: SecretStr | None
    database_password: SecretStr | None
    database: Address | None
    """Where SUPABASE_DB_URL says that it is."""
    database_ca: Path | None
    """What the server's certificate has to be signed by."""
    buckets: tuple[Bucket, ...]
    webhook_url: str | None

    @property
    def keeps_pictures(self) -> bool:
        """Whether the pictures lie in this project's Storage."""
        return self.settings.storage == "supabase"


def read_plan(stage: Mapping[str, str]) -> Plan:
    """Raises `HostedError` that names each variable that is missing or wrong; never its value."""
    try:
        settings = parse_settings(stage)
        given = _Deployment.model_validate({name.lower(): value for name, value in stage.items() if value})
    except SettingsError as exc:
        raise HostedError(str(exc)) from exc
    except ValidationError as exc:
        wrong = "; ".join(f"{str(error['loc'][0]).upper()}: {error['msg']}" for error in exc.errors())
        raise HostedError(f"variables are wrong: {wrong}. See .env.example.") from None
    if settings.storage == "supabase" and settings.webhook_secret is None:
        raise HostedError(
            "WEBHOOK_SECRET is missing: the function knows by it that a change comes from this project. "
            "`openssl rand -hex 32` makes one; keep it in the stage's file."
        )
    return Plan(
        settings,
        None if given.supabase_db_url else _project_ref(settings.supabase_url, given),
        given.supabase_access_token,
        given.supabase_db_password,
        _database(settings.supabase_url, given),
        _certificate(given),
        _buckets(settings, given),
        given.webhook_url,
    )


def _database(url: str, given: _Deployment) -> Address | None:
    if given.supabase_db_url is None:
        return None
    address = given_address(given.supabase_db_url, _certificate(given))
    match = _HOSTED.fullmatch(url)
    if match and address.project_ref and match[1] != address.project_ref:
        raise HostedError(
            f"SUPABASE_URL is of project {match[1]}, and SUPABASE_DB_URL of {address.project_ref}: both are "
            "of the project that is meant (dashboard: Connect)."
        )
    return address


def _certificate(given: _Deployment) -> Path | None:
    if given.supabase_db_ca is None:
        return None
    path = ROOT / given.supabase_db_ca.expanduser()
    if not path.is_file():
        raise HostedError(
            f"SUPABASE_DB_CA: there is no file {path}. It is the project's certificate (dashboard: Database, "
            "Settings, SSL, Download certificate)."
        )
    return path


def _project_ref(url: str, given: _Deployment) -> str:
    match = _HOSTED.fullmatch(url)
    if match is None:
        raise HostedError(
            f"SUPABASE_URL is {url}, from which no project of supabase.co can be told "
            "(https://<ref>.supabase.co). For one behind a name of its own, or that you run yourself, give "
            "SUPABASE_DB_URL."
        )
    for name, value, where in (
        ("SUPABASE_ACCESS_TOKEN", given.supabase_access_token, "supabase.com/dashboard/account/tokens"),
        ("SUPABASE_DB_PASSWORD", given.supabase_db_password, "dashboard: Project Settings, Database"),
    ):
        if value is None:
            raise HostedError(
                f"{name} is missing ({where}). Or give SUPABASE_DB_URL, which needs neither of the two."
            )
    return match[1]


def _buckets(settings: Settings, given: _Deployment) -> tuple[Bucket, ...]:
    """Those that are followed, and how; a rule for another would do nothing."""
    names = sorted(settings.buckets)
    if not names and settings.storage == "s3" and given.s3_bucket:
        names = [given.s3_bucket]
    owners = dict(_owner(rule) for rule in given.bucket_owners)
    for variable, named in (("PUBLIC_BUCKETS", given.public_buckets), ("BUCKET_OWNERS", owners)):
        unknown = sorted(set(named) - set(names))
        if unknown:
            raise HostedError(
                f"{variable} names {', '.join(unknown)}, and BUCKETS does not: put it there, too."
            )
    return tuple(
        Bucket(name, name in given.public_buckets, *owners.get(name, (None, None))) for name in names
    )


def _owner(rule: str) -> tuple[str, tuple[OwnerRule, str | None]]:
    """Of `photos=first_segment`, or `scans=metadata:owner`."""
    bucket, _, named = rule.partition("=")
    name, _, key = named.partition(":")
    for known in get_args(OwnerRule):
        if name.strip() == known and bool(key) == (known == "metadata"):
            return bucket.strip(), (known, key.strip() or None)
    raise HostedError(
        f"BUCKET_OWNERS: {rule!a} is no rule. It is a list with commas of <bucket>=<rule>, and a rule is one "
        "of none, storage_owner, first_segment, metadata:<key>."
    )
