"""The deployment that is looked at: its variables, and what its project answers."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from infra.doctor.facts import Facts
from infra.doctor.findings import NotLookedAt
from infra.local.home import Home, Ports, bypass_proxies, default_home
from shared.errors import SettingsError

if TYPE_CHECKING:
    from shared.settings import Settings

_Reply = TypeVar("_Reply")
_TIMEOUT: Final = httpx.Timeout(10, connect=5)
_SLOW_S: Final = 30.0
NOT_THERE: Final = {"PGRST202", "42883"}
"""The codes of a function that is not there."""
NOT_ALLOWED: Final = "42501"
_SECRET_NAMES: Final = ("_KEY", "_SECRET", "_SECRET_BEFORE", "_TOKEN", "_PASSWORD", "_DB_URL")
_PROJECT: Final = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY")


@dataclass(frozen=True)
class Deployment:
    """One, by the variables that its functions have."""

    variables: Mapping[str, str]
    is_local: bool = False
    """The embedded stack, whose gateway posts the changes in its Storage by itself."""
    calls_model: bool = True
    """Whether the model may be called, which may cost."""

    def variable(self, name: str) -> str:
        """Raises `NotLookedAt` when it is not set."""
        if not (value := self.variables.get(name, "")):
            raise NotLookedAt(f"{name} is not set")
        return value

    @property
    def url(self) -> str:
        """The project's."""
        return self.variable("SUPABASE_URL").rstrip("/")

    @cached_property
    def settings(self) -> "Settings":
        """Raises `NotLookedAt` when they are wrong."""
        from shared.settings import parse_settings

        try:
            return parse_settings(self.variables)
        except SettingsError as exc:
            raise NotLookedAt("the settings are missing or wrong") from exc

    @cached_property
    def http(self) -> httpx.Client:
        """Redirects are not followed: they would take the keys along."""
        bypass_proxies()
        return httpx.Client(timeout=_TIMEOUT)

    def get(self, path: str, key: str, **headers: str) -> httpx.Response:
        """From the project. Raises httpx's errors."""
        return self.http.get(f"{self.url}{path}", headers={**_bearer(key), **headers})

    def rpc(self, key: str, function: str, arguments: Mapping[str, object]) -> httpx.Response:
        """A call of the database API. Raises httpx's errors."""
        url = f"{self.url}/rest/v1/rpc/{function}"
        return self.http.post(url, headers=_bearer(key), json=dict(arguments), timeout=_SLOW_S)

    def call(self, form: TypeAdapter[_Reply], function: str, **arguments: object) -> _Reply:
        """A call with the service key. Raises `NotLookedAt`."""
        key = self.variable("SUPABASE_SERVICE_ROLE_KEY")
        try:
            answer = self.rpc(key, function, arguments)
        except httpx.HTTPError as exc:
            raise NotLookedAt(f"{self.url} does not answer ({function})") from exc
        if answer.is_error:
            raise NotLookedAt(_refusal(function, answer))
        try:
            return form.validate_json(answer.content)
        except ValidationError as exc:
            raise NotLookedAt(f"{function} answers in an unknown form") from exc

    @cached_property
    def facts(self) -> Facts:
        """What the database says of itself. Raises `NotLookedAt`."""
        return self.call(TypeAdapter(Facts), "doctor_v1")

    @property
    def secrets(self) -> list[str]:
        """What must not be shown, the longest first."""
        kept = [value for name, value in self.variables.items() if name.endswith(_SECRET_NAMES)]
        return sorted((value for value in kept if value), key=len, reverse=True)


def deployment_of_stage(variables: Mapping[str, str]) -> Deployment:
    """That of a stage's file. On S3 its functions follow one bucket."""
    bucket = variables.get("S3_BUCKET") if variables.get("STORAGE") == "s3" else None
    return Deployment({**variables, "BUCKETS": bucket} if bucket else variables)


def deployment_of(environment: Mapping[str, str] = os.environ, home: Home | None = None) -> Deployment | None:
    """That of an environment, if it names a project, else the local stack that runs."""
    if any(environment.get(name) for name in _PROJECT):
        return Deployment(environment)
    home = home or Home(default_home())
    connection = home.connection()
    if connection is None:
        return None
    keys = home.keys()
    gateway = urlsplit(connection.supabase_url).port or 0
    return Deployment(
        {
            **{name: value for name, value in environment.items() if name.startswith(("AWS_", "ROBOFLOW_"))},
            **connection.function_settings,
            "SUPABASE_URL": connection.supabase_url,
            "SUPABASE_ANON_KEY": connection.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
            "SUPABASE_JWT_SECRET": keys.jwt_secret,
            "SEARCH_URL": connection.search_url,
            "WEBHOOK_URL": f"http://127.0.0.1:{Ports.from_base(gateway).index}",
            "WEBHOOK_SECRET": keys.webhook_secret,
        },
        is_local=True,
    )


def code_of(answer: httpx.Response) -> str | None:
    """That of an error of the database API; None for what stands before it."""
    try:
        body = json.loads(answer.content)
    except ValueError:
        return None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) else None


def is_refused_key(answer: httpx.Response) -> bool:
    """Whether it is the key that is not taken, not what it may do."""
    return answer.status_code in {401, 403} and code_of(answer) != NOT_ALLOWED


def _refusal(function: str, answer: httpx.Response) -> str:
    if is_refused_key(answer):
        return "SUPABASE_SERVICE_ROLE_KEY is refused"
    code = code_of(answer)
    if code == NOT_ALLOWED:
        return f"SUPABASE_SERVICE_ROLE_KEY may not call {function}"
    if code in NOT_THERE:
        return f"the database lacks {function}: a migration is missing"
    return f"{function} is answered with {answer.status_code} ({code or 'no code'})"


def _bearer(key: str) -> dict[str, str]:
    try:
        return {"apikey": key.encode("ascii").decode(), "Authorization": f"Bearer {key}"}
    except UnicodeEncodeError as exc:
        raise NotLookedAt("a key holds other than ASCII characters") from exc
