"""Whether a change in Supabase Storage comes to the index."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import httpx

from infra.doctor.answers import json_of
from infra.doctor.deployment import Deployment
from infra.doctor.findings import CannotTell, DoesNotApply, Finding, ok, untold, warning, wrong
from infra.doctor.trigger import trigger_findings
from shared.events.supabase import SECRET_HEADER
from shared.models import PREVIEWS_SUFFIX

_SLOW_S: Final = 60.0
_REFUSALS: Final = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
_OUR_REFUSAL: Final = {"error": "AccessDenied"}
_ADDRESS: Final = "set WEBHOOK_URL to the function that takes webhooks (its path is /webhooks/supabase)"


def look(deployment: Deployment) -> Iterator[Finding]:
    """The function that takes events, and the trigger that posts them."""
    if deployment.settings.storage != "supabase":
        raise DoesNotApply(f"STORAGE={deployment.settings.storage}: its own events come, no webhook")
    try:
        yield from _function(deployment)
    except CannotTell as exc:
        yield untold("webhook", exc)
    if deployment.is_local:
        yield ok("webhook.trigger", "the local stack posts by itself")
    else:
        yield from trigger_findings(deployment.facts.webhook, deployment)


def _function(deployment: Deployment) -> Iterator[Finding]:
    """The secret is shown to nobody but what refuses a wrong one as pixseek's function does."""
    lacking = [name for name in ("WEBHOOK_URL", "WEBHOOK_SECRET") if not deployment.variables.get(name)]
    yield from (_lacks(name, deployment) for name in lacking)
    if "WEBHOOK_URL" in lacking:
        return
    url = deployment.address("WEBHOOK_URL")
    try:
        refused = _post(deployment, url, secrets.token_hex(32))
    except httpx.HTTPError as exc:
        mend = "look at WEBHOOK_URL, and whether the function is deployed"
        yield wrong("webhook.url", f"{url} does not answer ({type(exc).__name__})", mend)
        return
    stranger = _stranger(url, refused)
    yield stranger
    if stranger.mend is None and not lacking:
        yield _known(_post(deployment, url, deployment.secret("WEBHOOK_SECRET")), deployment)


def _lacks(name: str, deployment: Deployment) -> Finding:
    check = f"webhook.{name.partition('_')[2].lower()}"
    if name == "WEBHOOK_URL":
        what, value = "whether changes in Storage come to the index cannot be told", "the webhook's address"
    else:
        what, value = "whether the function takes the trigger's posts cannot be told", "the function's"
    if deployment.stage is None:
        return warning(check, f"{name} is not set: {what}", f"{name}=<{value}>, then look again")
    mend = (
        f"put it into .env.{deployment.stage} (.env.example explains it), then: {deployment.deploys_supabase}"
    )
    return wrong(check, f"{name} is not set: {what}", mend)


def _stranger(url: str, answer: httpx.Response) -> Finding:
    if answer.status_code in _REFUSALS and json_of(answer) == _OUR_REFUSAL:
        return ok("webhook.url", f"{url} answers, and refuses a wrong secret")
    if answer.is_success:
        what = f"{url} takes an event with a wrong secret: it is another function, or everybody may post"
        return wrong("webhook.stranger", what, _ADDRESS)
    if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        what = "the function that takes events answers 500: its own settings are missing or wrong"
        mend = "look at its log; is WEBHOOK_SECRET set there? Then deploy again"
        return wrong("webhook.settings", what, mend)
    what = f"{url} answers {answer.status_code} to an event, and not as pixseek's function does"
    return wrong("webhook.url", what, _ADDRESS)


def _known(answer: httpx.Response, deployment: Deployment) -> Finding:
    """An event of previews: nobody follows those."""
    if answer.is_success:
        return ok("webhook.secret", "WEBHOOK_SECRET is taken")
    if answer.status_code in _REFUSALS:
        what = "the function refuses WEBHOOK_SECRET: it has another"
        mend = f"deploy the function again, then: {deployment.deploys_supabase} (docs/webhooks.md)"
        return wrong("webhook.secret", what, mend)
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
