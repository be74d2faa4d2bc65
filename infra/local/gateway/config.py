"""The gateway's settings: one frozen model, read from variables that start with `GATEWAY_`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

_PREFIX = "GATEWAY_"


class WrongSettings(Exception):
    """A variable is missing or wrong; the message names it, never its value."""


class Settings(BaseModel):
    """How the gateway is wired up."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dsn_authenticator: str
    """Connects as the role that REST calls switch from."""
    dsn_storage: str
    """Connects as the owner of schema storage."""
    dsn_auth: str
    """Connects as the owner of the tables of schema auth."""
    public_url: Annotated[str, Field(pattern=r"^https?://")]
    """How clients reach the gateway: whom access tokens name as their issuer."""
    jwt_secret: Annotated[SecretStr, Field(min_length=32)]
    signing_keys_file: Path
    """The private keys of access tokens; made when it is missing."""
    files_dir: Path
    webhook_url: Annotated[str, Field(pattern=r"^https?://")]
    webhook_secret: Annotated[SecretStr, Field(min_length=16)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 54321
    file_size_limit_bytes: Annotated[int, Field(ge=1)] = 50 * 1024 * 1024


def parse_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from variables. An empty variable counts as absent. Raises `WrongSettings`."""
    given = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(_PREFIX) and value
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as exc:
        wrong = "; ".join(
            f"{_PREFIX}{str(error['loc'][0]).upper()}: {error['msg']}" for error in exc.errors()
        )
        raise WrongSettings(wrong) from None
