"""The webhook: pg_net and Vault turned on, its trigger, and its address and secret in Vault."""

from functools import partial
from typing import Final, LiteralString

import psycopg

from infra.hosted.changes import Change
from infra.hosted.database import apply_file, explained, is_available
from infra.hosted.errors import HostedError
from infra.hosted.rehearsing import would_change
from infra.local.home import ROOT

URL: Final = "pixseek_index_url"
SECRET: Final = "pixseek_webhook_secret"  # noqa: S105 -- a name
_TRIGGER: Final = ROOT / "supabase" / "hosted" / "webhook.sql"
_FUNCTION: Final = "pixseek.post_webhook()"

_HAS: LiteralString = "select true from pg_proc where pronamespace = to_regnamespace(%s) and proname = %s"
_KEPT: LiteralString = "select id, decrypted_secret from vault.decrypted_secrets where name = %s"
_CREATE: LiteralString = "select vault.create_secret(new_secret => %s, new_name => %s, new_description => %s)"
_UPDATE: LiteralString = "select vault.update_secret(secret_id => %s, new_secret => %s)"
_EXTENSIONS: Final[tuple[tuple[str, str, str, LiteralString], ...]] = (
    ("pg_net", "net", "http_post", "create extension if not exists pg_net with schema extensions"),
    ("supabase_vault", "vault", "create_secret", "create extension if not exists supabase_vault cascade"),
)
_TEXTS: Final = {
    URL: ("the function's address", "where changes in Storage are posted"),
    SECRET: ("the webhook's secret", "sent as x-webhook-secret"),
}


def webhook_changes(connection: psycopg.Connection, *, url: str | None, secret: str) -> list[Change]:
    """What it takes that changes are posted; without an address, that none is. Raises `HostedError`."""
    changes = extension_changes(connection)
    if would_change(connection, _TRIGGER, _FUNCTION):
        changes.append(
            Change("set the trigger that posts changes", partial(apply_file, connection, _TRIGGER))
        )
    # To the trigger an empty one is none.
    for name, value in ((URL, url or ""), (SECRET, secret)):
        row = _kept(connection, name)
        if value != (row[1] if row else ""):
            what = f"put {_TEXTS[name][0]} into Vault" if value else f"take {_TEXTS[name][0]} out of Vault"
            changes.append(Change(what, partial(_keep, connection, name, value)))
    return changes


def extension_changes(connection: psycopg.Connection) -> list[Change]:
    """Raises `HostedError` for one that the database cannot have."""
    changes = []
    for extension, schema, function, statement in _EXTENSIONS:
        if connection.execute(_HAS, (schema, function)).fetchone():
            continue
        if not is_available(connection, extension):
            raise HostedError(
                f"the extension {extension} is not available in this database, and the webhook needs it. "
                "Hosted projects have it (dashboard: Database, Extensions); on a server of your own, install "
                "it, or keep the pictures elsewhere (STORAGE=s3)."
            )
        changes.append(
            Change(f"turn on extension {extension}", partial(_turn_on, connection, extension, statement))
        )
    return changes


def _kept(connection: psycopg.Connection, name: str) -> tuple[str, str] | None:
    try:
        with explained(f"Vault does not tell {name}", keeps_quiet=True):
            return connection.execute(_KEPT, (name,)).fetchone()
    except HostedError:
        if connection.execute(_HAS, ("vault", "create_secret")).fetchone():
            raise
        return None  # a dry run, before the extension


def _turn_on(connection: psycopg.Connection, extension: str, statement: LiteralString) -> None:
    with explained(f"the extension {extension} cannot be turned on"):
        connection.execute(statement)


def _keep(connection: psycopg.Connection, name: str, value: str) -> None:
    """By a bound parameter, and without an error's text: both the statement and its error may be logged."""
    row = _kept(connection, name)
    with explained(f"Vault does not keep {name}", keeps_quiet=True):
        if row is None:
            connection.execute(_CREATE, (value, name, _TEXTS[name][1]))
        else:
            connection.execute(_UPDATE, (row[0], value))
