"""Where a project's database is, and how to get in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from infra.hosted.errors import HostedError

_POOLERS: Final = ".pooler.supabase.com"
_CONNECT_TIMEOUT_S: Final = 15
_IN_URL: Final = ("host", "port", "user", "dbname", "password")


@dataclass(frozen=True, slots=True)
class Address:
    """How a role connects. The password is kept apart: it may be neither an argument nor in a message."""

    parts: Mapping[str, str]
    password: SecretStr | None

    @property
    def url(self) -> str:
        """As Supabase's CLI takes it; a unix socket's folder is a parameter there."""
        parts = {"host": "localhost", "port": "5432", "user": "postgres", "dbname": "postgres", **self.parts}
        rest = {name: value for name, value in parts.items() if name not in _IN_URL}
        host = parts["host"]
        if host.startswith("/"):
            host, rest["host"] = "localhost", host
        query = f"?{urlencode(rest)}" if rest else ""
        return f"postgresql://{quote(parts['user'])}@{host}:{parts['port']}/{quote(parts['dbname'])}{query}"

    def environment(self) -> dict[str, str]:
        """The password, where a child process looks for it."""
        return {"PGPASSWORD": self.password.get_secret_value()} if self.password else {}

    def connect(self) -> "psycopg.Connection":
        """Raises `HostedError` that says what may be wrong."""
        password = self.password.get_secret_value() if self.password else None
        try:
            return psycopg.connect(
                make_conninfo("", **{"connect_timeout": str(_CONNECT_TIMEOUT_S), **self.parts}),
                password=password,
                autocommit=True,
                # A pooler may give the next statement to another session.
                prepare_threshold=None,
            )
        except psycopg.OperationalError as exc:
            raise HostedError(f"the database does not let us in: {exc}\n{_advice(exc, password)}") from exc


def given_address(url: SecretStr) -> Address:
    """Of SUPABASE_DB_URL. Raises `HostedError`."""
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url.get_secret_value()).items()}
    except psycopg.ProgrammingError:
        raise HostedError(
            "SUPABASE_DB_URL cannot be read: it is postgresql://<user>:<password>@<host>:<port>/<database>, "
            "and signs in the password are percent-encoded."
        ) from None  # it would repeat the password
    password = parts.pop("password", None)
    return Address(parts, SecretStr(password) if password else None)


def hosted_address(project_ref: str, pooler: str | None, password: SecretStr) -> Address:
    """By a project's pooler, which IPv4 reaches too, else directly. Raises `HostedError`."""
    if pooler is None:
        direct = {"host": f"db.{project_ref}.supabase.co", "user": "postgres"}
        return Address({**direct, "port": "5432", "dbname": "postgres", "sslmode": "require"}, password)
    parts = {name: str(value) for name, value in conninfo_to_dict(pooler).items()}
    # The password goes to whom it names.
    if not parts.get("host", "").endswith(_POOLERS) or parts.get("user") != f"postgres.{project_ref}":
        raise HostedError(
            f"the pooler that was told is none of this project: {parts.get('user')} at {parts.get('host')}. "
            "Copy the session pooler's address from the dashboard (Connect) into SUPABASE_DB_URL."
        )
    return Address({**parts, "sslmode": "require"}, password)


def _advice(error: psycopg.OperationalError, password: str | None) -> str:
    if error.pgconn is None:
        return "Its host is not known: is SUPABASE_URL or SUPABASE_DB_URL right, and the project not paused?"
    if password is None and error.pgconn.needs_password:
        return "It asks for a password: give SUPABASE_DB_URL one."
    if error.pgconn.used_password:
        return (
            "Is the password that of the database (dashboard: Project Settings, Database, Reset database "
            "password)? A new one goes into SUPABASE_DB_PASSWORD, or SUPABASE_DB_URL."
        )
    return (
        "Is the address right, does a firewall or a network restriction of the project keep this machine out?"
    )
