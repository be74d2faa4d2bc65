"""The settings: one frozen model, read from one mapping."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.errors import SettingsError


class Settings(BaseModel):
    """What a function needs to know of its deployment. `.env.example` explains each."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    supabase_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]
    supabase_anon_key: SecretStr
    supabase_service_role_key: SecretStr
    webhook_secret: Annotated[SecretStr, Field(min_length=16)]
    embedder: Literal["offline"] = "offline"
    link_expires_s: Annotated[int, Field(ge=1, le=604_800)] = 3600
    supabase_timeout_s: Annotated[float, Field(gt=0)] = 10.0


def parse_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from variables named as the fields, in capitals. An empty variable counts as absent.

    Raises `SettingsError` that names each wrong variable; never its value.
    """
    given = {name.lower(): value for name, value in environment.items() if value}
    try:
        return Settings.model_validate(given)
    except ValidationError as exc:
        wrong = "; ".join(f"{str(error['loc'][0]).upper()}: {error['msg']}" for error in exc.errors())
        raise SettingsError(f"settings are missing or wrong: {wrong}. See .env.example.") from None


@cache
def load_settings() -> Settings:
    """The settings of this process, read from its environment once, on first use."""
    return parse_settings(os.environ)
