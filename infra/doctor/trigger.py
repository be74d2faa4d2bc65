"""What posts the changes in a hosted project's Storage: its trigger, pg_net and Vault."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

from infra.doctor.deployment import Deployment
from infra.doctor.facts import Posts, Trigger, Vault, Webhook
from infra.doctor.findings import Finding, ok, warning, wrong

_FUNCTION: Final = "pixseek.post_webhook"
_KEPT: Final = {"pixseek_index_url": "WEBHOOK_URL", "pixseek_webhook_secret": "WEBHOOK_SECRET"}
"""The names of Vault's secrets, and the variables that they come from."""


def trigger_findings(webhook: Webhook, deployment: Deployment) -> Iterator[Finding]:
    """`webhook`: from `deployment.facts`, whose digests are made with its salt."""
    install = f"{deployment.deploys_supabase}, or apply supabase/hosted/webhook.sql"
    faults = [*_trigger_faults(webhook.trigger, install)]
    if not webhook.has_pg_net:
        mend = "create extension pg_net; (in the dashboard: Database, Extensions)"
        faults.append(
            wrong("webhook.pg_net", "the extension pg_net is not there: nothing can be posted", mend)
        )
    faults += _vault_faults(webhook.vault, deployment.deploys_supabase)
    faults += _other_values(webhook.vault.secrets or {}, deployment)
    faults += _post_faults(webhook.posts)
    yield from faults or [
        ok("webhook.trigger", "the trigger is installed, and Vault has its address and secret")
    ]


def _trigger_faults(trigger: Trigger | None, install: str) -> Iterator[Finding]:
    if trigger is None:
        what = "no trigger posts the changes in Storage: pictures that come are found by audits alone"
        yield wrong("webhook.trigger", what, install)
    elif trigger.function != _FUNCTION:
        what = f"the trigger pixseek_post_webhook runs {trigger.function}, and not {_FUNCTION}"
        yield wrong("webhook.function", what, install)
    elif not trigger.is_enabled:
        mend = f"enable pixseek_post_webhook in the dashboard (Database, Triggers); or {install}"
        yield wrong("webhook.trigger", "the trigger pixseek_post_webhook is disabled", mend)


def _vault_faults(vault: Vault, deploys: str) -> Iterator[Finding]:
    lacking = [name for name in _KEPT if name not in (vault.secrets or {})]
    if vault.fault:
        what = f"what Vault keeps for the webhook cannot be read (SQLSTATE {vault.fault}): nothing is posted"
        mend = f"take {' and '.join(_KEPT)} out of Vault (dashboard: Integrations, Vault), then: {deploys}"
        yield wrong("webhook.vault", what, mend)
    elif vault.secrets is None:
        mend = f"create extension supabase_vault; (in the dashboard: Database, Extensions), then: {deploys}"
        yield wrong("webhook.vault", "Vault is not there: the trigger has no address and no secret", mend)
    elif lacking:
        mend = " ".join(f"select vault.create_secret('<{_KEPT[name]}>', '{name}');" for name in lacking)
        yield wrong(
            "webhook.vault",
            f"Vault lacks {' and '.join(lacking)}: nothing is posted",
            f"{deploys}, or {mend}",
        )


def _other_values(kept: Mapping[str, str | None], deployment: Deployment) -> Iterator[Finding]:
    for name, variable in _KEPT.items():
        value = deployment.variables.get(variable)
        if value and name in kept and kept[name] != digest_of(value, deployment.salt):
            check = f"webhook.vault_{variable.partition('_')[2].lower()}"
            what = f"Vault's {name} is another than {variable}: what is posted does not come to this function"
            yield wrong(check, what, f"{deployment.deploys_supabase}: it puts {variable} into Vault")


def _post_faults(posts: Posts) -> Iterator[Finding]:
    """Those of other triggers are among them."""
    if posts.fault:
        what = f"how pg_net's posts have fared cannot be told (SQLSTATE {posts.fault})"
        mend = "grant usage on schema net to postgres; grant select on net._http_response to postgres;"
        yield warning("webhook.posts", what, mend)
    by_status = posts.by_status or {}
    failed = {status: count for status, count in by_status.items() if not 200 <= status < 300}
    if failed:
        said = ", ".join(
            f"{count} with status {status}" if status > 0 else f"{count} without an answer"
            for status, count in sorted(failed.items())
        )
        what = (
            f"posts of the last hour fail, this trigger's or another's: {said}, of {sum(by_status.values())}"
        )
        mend = "the log of the function webhook says why, and so do the last rows of net._http_response"
        level = warning if len(failed) < len(by_status) else wrong
        yield level("webhook.posts", what, mend)


def digest_of(content: str, salt: str) -> str:
    """As pixseek.digest_of has it."""
    return sha256(f"{salt}{content}".encode()).hexdigest()
