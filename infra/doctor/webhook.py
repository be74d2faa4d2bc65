"""Whether a change in Supabase Storage comes to the index."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import httpx

from infra.doctor.deployment import Deployment
from infra.doctor.facts import Webhook
from infra.doctor.findings import Finding, NotLookedAt, not_looked_at, ok, wrong
from shared.events.supabase import SECRET_HEADER
from shared.models import PREVIEWS_SUFFIX

_SLOW_S: Final = 60.0
_INSTALL: Final = "apply supabase/hosted/webhook.sql (make deploy-supabase does)"
_URL, _SECRET = "pixseek_index_url", "pixseek_webhook_secret"
_HERE: Final = {"127.0.0.1", "localhost", "::1"}


def look(deployment: Deployment) -> Iterator[Finding]:
    """The function that takes events, and the trigger that posts them."""
    if deployment.settings.storage != "supabase":
        raise NotLookedAt(f"STORAGE={deployment.settings.storage}: its own events come, no webhook")
    yield from _function(deployment)
    if deployment.is_local:
        yield ok("webhook.trigger", "the local stack posts by itself")
    else:
        yield from trigger_findings(deployment.facts.webhook)


def _function(deployment: Deployment) -> Iterator[Finding]:
    url, secret = deployment.variables.get("WEBHOOK_URL"), deployment.variables.get("WEBHOOK_SECRET")
    if not url:
        yield not_looked_at("webhook.url", "WEBHOOK_URL is not set: the address that takes the events")
        return
    if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in _HERE:
        mend = "set WEBHOOK_URL, and Vault's pixseek_index_url, to the address that begins with https://"
        yield wrong("webhook.tls", f"{url} is not encrypted: the secret can be read on its way", mend)
    try:
        refused = _post(deployment, url, secrets.token_hex(32))
    except httpx.HTTPError as exc:
        mend = "look at WEBHOOK_URL, and whether the function is deployed"
        yield wrong("webhook.url", f"{url} does not answer ({type(exc).__name__})", mend)
        return
    yield _stranger(url, refused)
    if not secret:
        yield not_looked_at("webhook.secret", "WEBHOOK_SECRET is not set")
    elif refused.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        yield _known(_post(deployment, url, secret))


def _stranger(url: str, answer: httpx.Response) -> Finding:
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return ok("webhook.url", f"{url} answers, and refuses a wrong secret")
    if answer.is_success:
        what = f"{url} takes an event with a wrong secret: it is another function, or everybody may post"
        return wrong(
            "webhook.stranger",
            what,
            "set WEBHOOK_URL to the function that takes webhooks (its path is /webhooks/supabase)",
        )
    if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        what = "the function that takes events answers 500: its own settings are missing or wrong"
        return wrong(
            "webhook.settings", what, "look at its log; is WEBHOOK_SECRET set there? Then deploy again"
        )
    what = f"{url} answers {answer.status_code} to an event: it does not take webhooks"
    return wrong(
        "webhook.url",
        what,
        "set WEBHOOK_URL to the function that takes webhooks (its path is /webhooks/supabase)",
    )


def _known(answer: httpx.Response) -> Finding:
    """An event of previews: nobody follows those."""
    if answer.is_success:
        return ok("webhook.secret", "WEBHOOK_SECRET is taken")
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        what = "the function refuses WEBHOOK_SECRET: it has another"
        return wrong("webhook.secret", what, "deploy again, and put the same into Vault (docs/webhooks.md)")
    what = f"the function answers {answer.status_code} to an event with the right secret"
    return wrong("webhook.secret", what, "look at its log")


def _post(deployment: Deployment, url: str, secret: str) -> httpx.Response:
    record = {
        "bucket_id": f"pixseek-doctor{PREVIEWS_SUFFIX}",
        "name": "nothing",
        "version": "1",
        "updated_at": datetime.now(UTC).isoformat(),
    }
    event = {"type": "INSERT", "table": "objects", "schema": "storage", "record": record, "old_record": None}
    headers = {SECRET_HEADER: secret, "Content-Type": "application/json"}
    return deployment.http.post(url, content=json.dumps(event), headers=headers, timeout=_SLOW_S)


def trigger_findings(webhook: Webhook | None) -> Iterator[Finding]:
    """What posts in a hosted project."""
    if webhook is None:
        yield not_looked_at("webhook.trigger", "the owner of doctor_v1 may not look into Vault")
        return
    lacking = [name for name in (_URL, _SECRET) if name not in (webhook.secrets or ())]
    faults = list(_trigger_faults(webhook, lacking))
    yield from faults or [
        ok("webhook.trigger", "the trigger is installed, and Vault has its address and secret")
    ]


def _trigger_faults(webhook: Webhook, lacking: list[str]) -> Iterator[Finding]:
    if webhook.is_enabled is None:
        what = "no trigger posts the changes in Storage: pictures that come are found by audits alone"
        yield wrong("webhook.trigger", what, _INSTALL)
    elif not webhook.is_enabled:
        mend = f"in the dashboard (Database, Triggers): enable pixseek_post_webhook; or {_INSTALL}"
        yield wrong("webhook.trigger", "the trigger pixseek_post_webhook is disabled", mend)
    if not webhook.has_pg_net:
        mend = "create extension pg_net; (in the dashboard: Database, Extensions)"
        yield wrong("webhook.pg_net", "the extension pg_net is not there: nothing can be posted", mend)
    if webhook.secrets is None:
        mend = "create extension supabase_vault; (in the dashboard: Database, Extensions), then deploy again"
        yield wrong("webhook.vault", "Vault is not there: the trigger has no address and no secret", mend)
    elif lacking:
        mend = " ".join(f"select vault.create_secret('<its value>', '{name}');" for name in lacking)
        yield wrong("webhook.vault", f"Vault lacks {' and '.join(lacking)}: nothing is posted", mend)
