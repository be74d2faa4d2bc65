"""Where a project's database is, and how to get in."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from infra.hosted.errors import HostedError

_POOLERS: Final = ".pooler.supabase.com"
_CONNECT_TIMEOUT_S: Final = 15
_DEFAULTS: Final = {"host": "localhost", "port": "5432", "user": "postgres", "dbname": "postgres"}
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_VERIFIED: Final = {"verify-ca", "verify-full"}
_DIRECT: Final = re.compile(r"db\.([a-z0-9]{20})\.supabase\.co")
_POOLED: Final = re.compile(r"[^.]+\.([a-z0-9]{20})")
_IN_URL: Final = ("host", "port", "user", "dbname", "password")


@dataclass(frozen=True, slots=True)
class Address:
    """How a role connects. The password is kept apart: it may be neither an argument nor in a message."""

    parts: Mapping[str, str]
    password: SecretStr | None

    @property
    def url(self) -> str:
        """As Supabase's CLI takes it; a unix socket's folder is a parameter there."""
        parts = self.parts
        rest = {name: value for name, value in parts.items() if name not in _IN_URL}
        host = parts["host"]
        if host.startswith("/"):
            host, rest["host"] = "localhost", host
        elif ":" in host:
            host = f"[{host}]"
        query = f"?{urlencode(rest)}" if rest else ""
        return f"postgresql://{quote(parts['user'])}@{host}:{parts['port']}/{quote(parts['dbname'])}{query}"

    @property
    def project_ref(self) -> str | None:
        """Of the project of supabase.co whose database this is, where the address tells."""
        match = _DIRECT.fullmatch(self.parts["host"]) or _POOLED.fullmatch(self.parts["user"])
        return match[1] if match else None

    @property
    def trusts_any_server(self) -> bool:
        """Whether a server in between would be taken for the database."""
        return not (_is_here(self.parts) or self.parts.get("sslmode") in _VERIFIED)

    def environment(self) -> dict[str, str]:
        """The password, where a child process looks for it."""
        return {"PGPASSWORD": self.password.get_secret_value()} if self.password else {}

    def connect(self) -> "psycopg.Connection":
        """Raises `HostedError` that says what may be wrong."""
        password = self.password.get_secret_value() if self.password else None
        try:
            with _own_settings_only():
                return psycopg.connect(
                    make_conninfo("", **{"connect_timeout": str(_CONNECT_TIMEOUT_S), **self.parts}),
                    password=password,
                    autocommit=True,
                    # A pooler may give the next statement to another session.
                    prepare_threshold=None,
                )
        except psycopg.OperationalError as exc:
            raise HostedError(
                f"the database does not let us in: {exc}\n{_advice(exc, password, self.parts)}"
            ) from exc


def given_address(url: SecretStr, ca: Path | None = None) -> Address:
    """Of SUPABASE_DB_URL, and of the file with the server's certificate. Raises `HostedError`."""
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url.get_secret_value()).items()}
    except psycopg.ProgrammingError:
        raise HostedError(
            "SUPABASE_DB_URL cannot be read: it is postgresql://<user>:<password>@<host>:<port>/<database>, "
            "and signs in the password are percent-encoded."
        ) from None  # it would repeat the password
    password = given.pop("password", None)
    return Address(_secured({**_DEFAULTS, **given}, ca), SecretStr(password) if password else None)


def hosted_address(
    project_ref: str, pooler: str | None, password: SecretStr, ca: Path | None = None
) -> Address:
    """By a project's pooler, which IPv4 reaches too, else directly. Raises `HostedError`."""
    if pooler is None:
        direct = {**_DEFAULTS, "host": f"db.{project_ref}.supabase.co"}
        return Address(_secured(direct, ca), password)
    parts = {name: str(value) for name, value in conninfo_to_dict(pooler).items()}
    # The password goes to whom it names.
    if not parts.get("host", "").endswith(_POOLERS) or parts.get("user") != f"postgres.{project_ref}":
        raise HostedError(
            f"the pooler that was told is none of this project: {parts.get('user')} at {parts.get('host')}. "
            "Copy the session pooler's address from the dashboard (Connect) into SUPABASE_DB_URL."
        )
    return Address(_secured({**parts, "sslmode": "require"}, ca), password)


def _secured(parts: Mapping[str, str], ca: Path | None) -> Mapping[str, str]:
    """By TLS, unless to this machine or told otherwise; libpq alone would go on without it."""
    if ca is not None:
        return {**parts, "sslmode": "verify-full", "sslrootcert": str(ca)}
    if "sslmode" in parts or _is_here(parts):
        return parts
    return {**parts, "sslmode": "require"}


def _is_here(parts: Mapping[str, str]) -> bool:
    host = parts.get("hostaddr") or parts["host"]
    return host.startswith(("/", "@")) or host in _LOOPBACK


@contextmanager
def _own_settings_only() -> Iterator[None]:
    """libpq takes what it is not told from PGHOST, PGSSLMODE, PGOPTIONS and others of whoever calls."""
    theirs = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(theirs)


def _advice(error: psycopg.OperationalError, password: str | None, parts: Mapping[str, str]) -> str:
    if error.pgconn is None:
        return "Its host is not known: is SUPABASE_URL or SUPABASE_DB_URL right, and the project not paused?"
    if password is None and error.pgconn.needs_password:
        return "It asks for a password: give SUPABASE_DB_URL one."
    if error.pgconn.used_password:
        return (
            "Is the password that of the database (dashboard: Project Settings, Database, Reset database "
            "password)? A new one goes into SUPABASE_DB_PASSWORD, or SUPABASE_DB_URL."
        )
    by = ", and SUPABASE_DB_CA the certificate of this project" if "sslrootcert" in parts else ""
    return (
        f"Is the address right{by}? Does a firewall or a network restriction of the project keep this "
        "machine out?"
    )
