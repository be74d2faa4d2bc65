"""The settings: one frozen model, read from one mapping."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from shared.errors import SettingsError
from shared.models import Provider


@dataclass(frozen=True, slots=True)
class Times:
    """Of `time.monotonic`."""

    begin_by: float
    """Until when new work is begun."""
    deadline: float
    """When a model has to have answered."""


def _names(value: object) -> object:
    """From a list with commas."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s*]+)$")]
Folder = Annotated[Path, AfterValidator(Path.expanduser)]

EmbedderName: TypeAlias = Literal["offline", "clip", "roboflow"]

_Kind = TypeVar("_Kind", bound=BaseModel)


class EmbeddingSettings(BaseModel):
    """Which model embeds, and who runs it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    embedder: EmbedderName = "offline"
    clip_model: str = "openai/clip-vit-base-patch16"
    clip_model_dir: Folder | None = None
    clip_text_model: str | None = None
    clip_text_model_dir: Folder | None = None
    roboflow_api_url: Annotated[str, Field(pattern=r"^https?://[^/\s@?#]+(/[^\s?#]*)?$")] = (
        "https://infer.roboflow.com"
    )
    roboflow_api_key: SecretStr | None = None
    roboflow_concurrency: Annotated[int, Field(ge=1, le=256)] = 16

    @model_validator(mode="after")
    def _check_key(self) -> "EmbeddingSettings":
        """Without it every picture would be refused, one by one."""
        host = self.roboflow_api_url.split("/")[2].partition(":")[0].lower()
        is_hosted = host.endswith((".roboflow.com", ".roboflow.eu", ".roboflow.cloud"))
        if self.embedder == "roboflow" and is_hosted and self.roboflow_api_key is None:
            raise ValueError(f"ROBOFLOW_API_KEY is missing, and {host} asks for one")
        if is_hosted and self.roboflow_api_url.startswith("http:"):
            raise ValueError("ROBOFLOW_API_URL must begin with https:, or the key is sent in clear text")
        return self


class Settings(EmbeddingSettings):
    """What a function needs to know of its deployment. `.env.example` explains each."""

    supabase_url: Annotated[str, Field(pattern=r"^https?://[^/\s@]+$")]
    supabase_anon_key: SecretStr
    supabase_service_role_key: SecretStr
    supabase_jwt_secret: SecretStr | None = None
    next_embedder: EmbedderName | None = None
    next_clip_model: str | None = None
    next_clip_model_dir: Folder | None = None
    next_clip_text_model: str | None = None
    next_clip_text_model_dir: Folder | None = None
    activate: Literal["auto", "manual"] = "auto"
    keep_retired_days: Annotated[float, Field(ge=0, le=3650)] = 7.0
    reembed_workers: Annotated[int, Field(ge=1, le=1000)] = 4
    keep_asked_texts: bool = True
    auth: Literal["user", "public"] = "user"
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 120
    trusted_hops: Annotated[int, Field(ge=0, le=10)] = 0
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(_names)] = ()
    picture_queries: bool = True
    storage: Provider = "supabase"
    storage_dir: Folder | None = None
    buckets: Annotated[frozenset[str], BeforeValidator(_names)] = frozenset()
    previews: bool = True
    webhook_secret: Annotated[SecretStr | None, Field(min_length=16)] = None
    webhook_secret_before: Annotated[SecretStr | None, Field(min_length=16)] = None
    function_timeout_s: Annotated[float, Field(gt=1, le=3600)] = 60.0
    link_expires_s: Annotated[int, Field(ge=1, le=604_800)] = 3600
    supabase_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    storage_timeout_s: Annotated[float, Field(gt=0)] = 20.0

    @model_validator(mode="after")
    def _check_folder(self) -> "Settings":
        if self.storage == "local" and self.storage_dir is None:
            raise ValueError("STORAGE_DIR is missing: STORAGE=local keeps each bucket in a folder there")
        return self

    @model_validator(mode="after")
    def _check_next(self) -> "Settings":
        """What is given and does nothing would only be missed when nothing happens."""
        try:
            coming = self.next_embedding()
        except ValidationError as exc:
            raise ValueError(exc.errors()[0]["msg"].removeprefix("Value error, ")) from None
        given = [name.upper() for name in self._own_of_next() if name != "embedder"]
        if given and coming is None:
            raise ValueError(f"NEXT_{given[0]} does nothing without NEXT_EMBEDDER or NEXT_CLIP_MODEL")
        if given and coming and coming.embedder == "offline":
            raise ValueError(f"NEXT_{given[0]} does nothing: the embedder of the model to come is offline")
        return self

    def _own_of_next(self) -> dict[str, object]:
        return {
            name.removeprefix("next_"): value
            for name, value in self
            if name.startswith("next_") and value is not None
        }

    def next_embedding(self) -> EmbeddingSettings | None:
        """What embeds with the model that comes after this one, if one is named.

        Who runs it is the same unless NEXT_EMBEDDER says otherwise; weights are never shared.
        """
        own = self._own_of_next()
        if not own.keys() & {"embedder", "clip_model"}:
            return None
        shared = {name: value for name, value in self if name == "embedder" or name.startswith("roboflow_")}
        return EmbeddingSettings.model_validate(shared | own)

    def webhook_secrets(self) -> list[str]:
        """Those that are accepted, during a rotation also the one of before. Raises `SettingsError`."""
        if self.webhook_secret is None:
            raise SettingsError("settings are missing or wrong: WEBHOOK_SECRET is missing. See .env.example.")
        secrets = (self.webhook_secret, self.webhook_secret_before)
        return [secret.get_secret_value() for secret in secrets if secret is not None]

    def times(self, left_s: float | None = None) -> Times:
        """The times of a call that begins now, with so much of the function's timeout left, all unless told.

        A model gets nine tenths of it; the last one, a second at least, is for the database and the reply.
        """
        left_s = self.function_timeout_s if left_s is None else left_s
        deadline_s = min(0.9 * left_s, left_s - 1)
        now = time.monotonic()
        return Times(now + deadline_s - 0.2 * left_s, now + deadline_s)


def parse_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from variables named as the fields, in capitals. An empty variable counts as absent.

    Raises `SettingsError` that names each wrong variable; never its value.
    """
    return _parse(Settings, environment)


def parse_embedding_settings(environment: Mapping[str, str]) -> EmbeddingSettings:
    """The part that needs no project. Raises `SettingsError`."""
    return _parse(EmbeddingSettings, environment)


def _parse(kind: type[_Kind], environment: Mapping[str, str]) -> _Kind:
    given = {name.lower(): value for name, value in environment.items() if value}
    try:
        return kind.model_validate(given)
    except ValidationError as exc:
        wrong = "; ".join(_fault(error["loc"], error["msg"]) for error in exc.errors())
        raise SettingsError(f"settings are missing or wrong: {wrong}. See .env.example.") from None


def _fault(place: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{str(place[0]).upper()}: {message}" if place else message


@cache
def load_settings() -> Settings:
    """The settings of this process, read once, on first use: from its environment, and from Parameter Store
    what SSM_PARAMETERS names. Raises `SettingsError`, and `Unavailable` when that store does not answer.
    """
    return parse_settings({**os.environ, **_parameters(os.environ)})


def _parameters(environment: Mapping[str, str]) -> Mapping[str, str]:
    names = [name.strip() for name in environment.get("SSM_PARAMETERS", "").split(",") if name.strip()]
    if not names:
        return {}
    from shared.parameters import read_parameters

    return read_parameters(names, environment)
