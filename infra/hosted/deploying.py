"""A deployment to a Supabase project, step by step; each looks first at what is there: again is fine."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from infra.hosted.address import Address, hosted_address
from infra.hosted.buckets import registry_changes, storage_changes
from infra.hosted.changes import Change
from infra.hosted.database import check_database
from infra.hosted.errors import HostedError
from infra.hosted.plan import Plan
from infra.hosted.policies import policy_changes
from infra.hosted.storage import check_keys
from infra.hosted.supabase_cli import SupabaseCli
from infra.hosted.webhook import extension_changes, webhook_changes

_UNVERIFIED: Final = (
    "the server's certificate is not verified; SUPABASE_DB_CA=<the project's certificate> has it verified"
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """How to go about it."""

    plan: Plan
    program: Path
    """Supabase's CLI."""
    report: Callable[[str], None]
    confirm: Callable[[Sequence[str]], bool]
    """Is asked about migrations before they are applied."""
    is_dry_run: bool = False
    """Changes nothing, and reports what would be changed."""

    def run(self) -> list[str]:
        """Make the project what the plan says; returns what is left to do.

        Raises `HostedError`, `PixseekError`.
        """
        with tempfile.TemporaryDirectory(prefix="pixseek-supabase-") as folder:
            cli, address = self._find(Path(folder))
            if address.trusts_any_server:
                self.report(f"database: {_UNVERIFIED}")
            with address.connect() as connection:
                storage = self._checked(connection)
                self._make("migrations", self._migrations(cli, address))
                self._make(
                    "index", registry_changes(connection, self.plan.settings.storage, self.plan.buckets)
                )
                if self.plan.keeps_pictures:
                    self._make("storage", storage)
                    self._make("policies", policy_changes(connection, self.plan.buckets))
                    self._make("webhook", self._webhook(connection))
                return self._left()

    def _checked(self, connection: psycopg.Connection) -> list[Change]:
        """What Storage lacks. All that can be refused is, before anything is changed: a half-made deployment
        could have opened what the rest of it would have kept private.
        """
        check_database(connection)
        found = check_keys(self.plan.settings)
        if not self.plan.keeps_pictures:
            return []
        extension_changes(connection)
        return storage_changes(self.plan.settings, self.plan.buckets, found)

    def _make(self, step: str, changes: Sequence[Change]) -> None:
        if not changes:
            self.report(f"{step}: nothing to change")
        for change in changes:
            self.report(f"{step}: {'would ' if self.is_dry_run else ''}{change.text}")
            if not self.is_dry_run:
                change.make()

    def _find(self, folder: Path) -> tuple[SupabaseCli, Address]:
        plan = self.plan
        if plan.database is not None:
            return SupabaseCli(self.program, folder, plan.database.environment()), plan.database
        if not (plan.project_ref and plan.access_token and plan.database_password):
            raise HostedError("SUPABASE_DB_URL is missing, and so is what finds the database without it")
        self.report(f"project: link {plan.project_ref}")
        secrets = {
            "SUPABASE_ACCESS_TOKEN": plan.access_token.get_secret_value(),
            "SUPABASE_DB_PASSWORD": plan.database_password.get_secret_value(),
            "PGPASSWORD": plan.database_password.get_secret_value(),
        }
        cli = SupabaseCli(self.program, folder, secrets)
        pooler = cli.link(plan.project_ref)
        return cli, hosted_address(plan.project_ref, pooler, plan.database_password, plan.database_ca)

    def _migrations(self, cli: SupabaseCli, address: Address) -> list[Change]:
        pending = cli.pending(address.url)
        return (
            [Change(f"apply {', '.join(pending)}", lambda: self._push(cli, address, pending))]
            if pending
            else []
        )

    def _push(self, cli: SupabaseCli, address: Address, pending: Sequence[str]) -> None:
        if not self.confirm(pending):
            raise HostedError("the migrations were not applied, and nothing was changed")
        cli.push(address.url)

    def _webhook(self, connection: psycopg.Connection) -> list[Change]:
        secret = self.plan.settings.webhook_secret
        if secret is None:
            raise HostedError("WEBHOOK_SECRET is missing: `openssl rand -hex 32` makes one")
        return webhook_changes(connection, url=self.plan.webhook_url, secret=secret.get_secret_value())

    def _left(self) -> list[str]:
        left = []
        if not self.plan.settings.buckets and self.plan.keeps_pictures:
            left.append(
                "BUCKETS is empty: every bucket is followed, none was made or entered in the index here, and "
                "no policies were made: what signed-in users may do in Storage is left to yours"
            )
        left.append("`make deploy-aws` with the same STAGE, if the functions are not deployed yet")
        if self.plan.keeps_pictures and not self.plan.webhook_url:
            left.append(
                "then put the address of its webhook (…/webhooks/supabase) into the stage's file as "
                "WEBHOOK_URL, and run this again: until then no change in Storage is posted"
            )
        return [*left, "`pixseek doctor` looks at all of it from outside"]
