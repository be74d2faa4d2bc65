"""The deployment that is looked at: its variables, and what its project answers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from infra.doctor.addresses import checked_address
from infra.doctor.answers import SERVICE_KEY, ask_for_keys, refusal
from infra.doctor.asking import asked_once
from infra.doctor.facts import Facts, RegisteredBucket, RegisteredModel, Told
from infra.doctor.findings import CannotTell
from infra.doctor.secrets import checked_secret
from infra.local.home import bypass_proxies
from shared.errors import SettingsError

if TYPE_CHECKING:
    from shared.settings import Settings

_Reply = TypeVar("_Reply")
_TIMEOUT: Final = httpx.Timeout(10, connect=5)
_SLOW_S: Final = 30.0


class _Count(Told):
    state: str
    images: int


@dataclass(frozen=True)
class Deployment:
    """One, by the variables that its functions have."""

    variables: Mapping[str, str] = field(repr=False)
    stage: str | None = None
    """Whose file holds them."""
    is_local: bool = False
    """The embedded stack, whose gateway posts the changes in its Storage by itself."""
    calls_model: bool = True
    """Whether the model may be called, which may cost."""
    salt: str = field(default_factory=lambda: secrets.token_hex(16), init=False, repr=False, compare=False)
    """What the database makes its digests of Vault's secrets with."""

    def close(self) -> None:
        """Its connections; it can be looked at again."""
        http = self.__dict__.pop("_http", None)
        if http is not None:
            http.close()

    def variable(self, name: str) -> str:
        """Raises `CannotTell` when it is not set."""
        if not (value := self.variables.get(name, "")):
            where = f".env.{self.stage}" if self.stage else "the environment"
            raise CannotTell(f"{name} is not set", f"set it in {where} (.env.example explains it)")
        return value

    def secret(self, name: str) -> str:
        """One that may be sent. Raises `CannotTell`."""
        return checked_secret(name, self.variable(name))

    def address(self, name: str) -> str:
        """One that secrets may be sent to. Raises `CannotTell`."""
        return checked_address(name, self.variable(name))

    @property
    def again(self) -> str:
        """The command that looks again."""
        return f"pixseek doctor --stage {self.stage}" if self.stage else "pixseek doctor"

    @property
    def deploys_supabase(self) -> str:
        """The command that does."""
        return f"make deploy-supabase STAGE={self.stage or '<stage>'}"

    @property
    def applies_migrations(self) -> str:
        """What does."""
        return "start the stack anew: it applies them" if self.is_local else self.deploys_supabase

    @asked_once
    def settings(self) -> "Settings":
        """Raises `CannotTell` when they are wrong."""
        from shared.settings import parse_settings

        try:
            return parse_settings(self.variables)
        except SettingsError as exc:
            why = "the settings are missing or wrong"
            raise CannotTell(why, "correct what is said of settings, then look again") from exc

    @asked_once
    def http(self) -> httpx.Client:
        """Redirects are not followed: they would take the keys along."""
        bypass_proxies()
        return httpx.Client(timeout=_TIMEOUT)

    @asked_once
    def published_keys(self) -> int:
        """How many the project has for its users' tokens. Asked without a key before any key is sent: what
        answers otherwise is no project. Raises `CannotTell`."""
        return ask_for_keys(self.http, self.address("SUPABASE_URL"))

    @asked_once
    def facts(self) -> Facts:
        """What the database says of itself. Raises `CannotTell`."""
        return self.call(TypeAdapter(Facts), "doctor_v1", salt=self.salt)

    @asked_once
    def models(self) -> list[RegisteredModel]:
        """Those of the index. Raises `CannotTell`."""
        return self.call(TypeAdapter(list[RegisteredModel]), "list_models_v1")

    @asked_once
    def buckets(self) -> list[RegisteredBucket]:
        """Those of the index. Raises `CannotTell`."""
        return self.call(TypeAdapter(list[RegisteredBucket]), "list_buckets_v1")

    @asked_once
    def images(self) -> Mapping[str, int]:
        """How many are in each state. Raises `CannotTell`."""
        rows = self.call(TypeAdapter(list[_Count]), "index_counts_v1")
        return {row.state: row.images for row in rows}

    @property
    def is_empty(self) -> bool:
        """Whether nothing has ever come to the index; False as long as that cannot be told."""
        try:
            return not self.models and not any(self.images.values())
        except CannotTell:
            return False

    def get(self, path: str) -> httpx.Response:
        """From the project, with the service key. Raises `CannotTell`, httpx's errors."""
        return self.http.get(f"{self._project()}{path}", headers=self._key_headers(SERVICE_KEY))

    def rpc(
        self, function: str, arguments: Mapping[str, object], key: str = SERVICE_KEY, **headers: str
    ) -> httpx.Response:
        """A call of the database API with the key of a variable. Raises `CannotTell`, httpx's errors."""
        url = f"{self._project()}/rest/v1/rpc/{function}"
        sent = {**self._key_headers(key), **headers}
        return self.http.post(url, headers=sent, json=dict(arguments), timeout=_SLOW_S)

    def _key_headers(self, name: str) -> dict[str, str]:
        key = self.secret(name)
        return {"apikey": key, "Authorization": f"Bearer {key}"}

    def call(self, form: TypeAdapter[_Reply], function: str, **arguments: object) -> _Reply:
        """A call with the service key. Raises `CannotTell`."""
        try:
            answer = self.rpc(function, arguments)
        except httpx.HTTPError as exc:
            what = f"SUPABASE_URL does not answer ({function}: {type(exc).__name__})"
            raise CannotTell(
                what, f"look at the project's health in the dashboard, then: {self.again}"
            ) from exc
        if answer.is_error:
            raise refusal(function, answer, self.applies_migrations)
        try:
            return form.validate_json(answer.content)
        except ValidationError as exc:
            mend = f"use the copy of pixseek that has deployed it, or: {self.applies_migrations}"
            raise CannotTell(f"{function} answers in an unknown form", mend) from exc

    def _project(self) -> str:
        """The address of what answers as a project. Raises `CannotTell`."""
        _ = self.published_keys
        return self.address("SUPABASE_URL")
