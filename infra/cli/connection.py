"""Which stack or project the commands talk to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import httpx
from postgrest import APIError
from pydantic import TypeAdapter, ValidationError

from infra.cli.aws_credentials import take_credentials
from infra.local.home import Connection, Home, bypass_proxies, default_home
from shared.problems import Problem
from shared.queries import SearchQuery
from shared.replies import SearchReply

if TYPE_CHECKING:
    from supabase import Client

    from shared.settings import Settings

_Rows = TypeVar("_Rows")
_TIMEOUT_S = 30
_WRONG_VALUE = "22"
"""The class of Postgres' error codes for data that cannot be."""
_VARIABLES = ("SUPABASE_URL", "SEARCH_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY")


class NotRunningError(Exception):
    """No stack is running, or the project does not answer; the message says what to do."""


class RefusedError(Exception):
    """What was asked for is refused; the message says why."""


class Project:
    """A stack or a project as its operator sees it: with the service key."""

    def __init__(self, connection: Connection) -> None:
        bypass_proxies()
        self.connection = connection

    @classmethod
    def current(cls) -> "Project":
        """The project of the environment, else the local stack that runs. Raises `NotRunningError`."""
        connection = project_of_environment() or Home(default_home()).connection()
        if connection is None:
            raise NotRunningError(
                "no stack is running. Start one with `make serve` in another terminal, "
                f"or name a project by {', '.join(_VARIABLES)}."
            )
        return cls(connection)

    @cached_property
    def client(self) -> "Client":
        """The supabase client."""
        from supabase import ClientOptions, create_client

        options = ClientOptions(postgrest_client_timeout=_TIMEOUT_S, storage_client_timeout=_TIMEOUT_S)
        return create_client(self.connection.supabase_url, self.connection.service_role_key, options)

    def settings(self) -> "Settings":
        """How its functions are set, for commands that do their work here, with this machine's credentials
        for its store. Raises `SettingsError`.
        """
        from shared.settings import parse_settings

        variables = self.variables()
        take_credentials(variables)
        return parse_settings(variables)

    def variables(self) -> dict[str, str]:
        """What its functions are told. Of a stack all but the keys to the model is known; of a project the
        environment tells.
        """
        stack = self.connection.function_settings
        # A stack that does not know the model to come could not search with it.
        environment = {
            name: value for name, value in os.environ.items() if not (stack and name.startswith("NEXT_"))
        }
        return {
            **environment,
            **self.connection.function_settings,
            "SUPABASE_URL": self.connection.supabase_url,
            "SUPABASE_ANON_KEY": self.connection.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": self.connection.service_role_key,
        }

    def rows(self, form: TypeAdapter[_Rows], function: str, **arguments: object) -> _Rows:
        """Call a function of the database API. Raises `NotRunningError`, `RefusedError` for wrong values."""
        try:
            with answering(self.connection.supabase_url):
                return form.validate_python(self.client.rpc(function, arguments).execute().data)
        except APIError as exc:
            if (exc.code or "").startswith(_WRONG_VALUE):
                raise RefusedError(f"{exc.message}. {exc.hint or ''}".strip()) from exc
            raise NotRunningError(
                f"{self.connection.supabase_url} refuses {function}: {exc.message}"
            ) from exc

    def act(self, function: str, **arguments: object) -> None:
        """Call a function of the database API that answers nothing. Raises as `rows` does."""
        self.rows(TypeAdapter(object), function, **arguments)

    def search(self, text: str, limit: int) -> SearchReply:
        """Ask the search function. Raises `NotRunningError`, `RefusedError`."""
        try:
            query = SearchQuery(q=text, limit=limit)
        except ValidationError as exc:
            reasons = [error["msg"].removeprefix("Value error, ") for error in exc.errors()]
            raise RefusedError("; ".join(reasons)) from exc
        with answering(self.connection.search_url):
            answer = httpx.get(
                f"{self.connection.search_url}/search",
                params={"q": query.q, "limit": query.limit},
                headers={"Authorization": f"Bearer {self.connection.service_role_key}"},
                timeout=_TIMEOUT_S,
            )
        try:
            if answer.is_success:
                return SearchReply.model_validate_json(answer.content)
            problem = Problem.model_validate_json(answer.content)
        except ValidationError as exc:
            reason = f"{self.connection.search_url} is no pixseek search: it answered {answer.status_code}"
            raise NotRunningError(reason) from exc
        raise RefusedError(problem.detail)


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Calls of a stack or a project inside. Raises `NotRunningError` when it does not answer."""
    try:
        yield
    except httpx.TransportError as exc:
        raise NotRunningError(f"{url} does not answer") from exc


def project_of_environment() -> Connection | None:
    """The project that the environment names, whole. Raises `NotRunningError`."""
    url, search_url, anon_key, service_key = (os.environ.get(name, "") for name in _VARIABLES)
    if not (url and search_url and anon_key and service_key):
        return None
    if "@" in url + search_url:  # it would be shown
        raise NotRunningError("SUPABASE_URL and SEARCH_URL take addresses such as https://<host>")
    return Connection(url, search_url, anon_key, service_key)
