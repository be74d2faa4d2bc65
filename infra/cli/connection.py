"""Which stack or project the commands talk to."""

import os
from functools import cached_property
from typing import TypeVar

import httpx
from postgrest import APIError
from pydantic import TypeAdapter
from supabase import Client, ClientOptions, create_client

from infra.local.home import Connection, Home, default_home
from shared.replies import Problem, SearchReply

_Rows = TypeVar("_Rows")
_TIMEOUT_S = 30
_VARIABLES = ("SUPABASE_URL", "SEARCH_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY")


class NotRunningError(Exception):
    """No stack is running, or the project does not answer; the message says what to do."""


class RefusedError(Exception):
    """The search refused the question; the message says why."""


class Project:
    """A stack or a project as its operator sees it: with the service key."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    def current(cls) -> "Project":
        """The project of the environment, else the local stack that runs. Raises `NotRunningError`."""
        connection = _from_environment() or Home(default_home()).connection()
        if connection is None:
            raise NotRunningError(
                "no stack is running. Start one with `make serve` in another terminal, "
                f"or name a project by {', '.join(_VARIABLES)}."
            )
        return cls(connection)

    @cached_property
    def client(self) -> Client:
        """The supabase client."""
        options = ClientOptions(postgrest_client_timeout=_TIMEOUT_S, storage_client_timeout=_TIMEOUT_S)
        return create_client(self.connection.supabase_url, self.connection.service_role_key, options)

    def rows(self, form: TypeAdapter[_Rows], function: str, **arguments: object) -> _Rows:
        """Call a function of the database API. Raises `NotRunningError`."""
        try:
            return form.validate_python(self.client.rpc(function, arguments).execute().data)
        except httpx.TransportError as exc:
            raise NotRunningError(f"{self.connection.supabase_url} does not answer") from exc
        except APIError as exc:
            raise NotRunningError(
                f"{self.connection.supabase_url} refuses {function}: {exc.message}"
            ) from exc

    def search(self, text: str, limit: int) -> SearchReply:
        """Ask the search function. Raises `NotRunningError`, `RefusedError`."""
        try:
            answer = httpx.get(
                f"{self.connection.search_url}/search",
                params={"q": text, "limit": limit},
                headers={"Authorization": f"Bearer {self.connection.service_role_key}"},
                timeout=_TIMEOUT_S,
            )
        except httpx.TransportError as exc:
            raise NotRunningError(f"{self.connection.search_url} does not answer") from exc
        if answer.is_success:
            return SearchReply.model_validate_json(answer.content)
        raise RefusedError(Problem.model_validate_json(answer.content).detail)


def _from_environment() -> Connection | None:
    url, search_url, anon_key, service_key = (os.environ.get(name, "") for name in _VARIABLES)
    if not (url and search_url and service_key):
        return None
    return Connection(url, search_url, anon_key, service_key)
