"""Whether the project can be reached, and whether its keys are the right ones."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import httpx

from infra.doctor.deployment import NOT_ALLOWED, NOT_THERE, Deployment, code_of, is_refused_key
from infra.doctor.findings import Finding, ok, wrong
from infra.doctor.key_forms import form_findings

if TYPE_CHECKING:
    from jwt.types import Options

_KEYS_PATH: Final = "/auth/v1/.well-known/jwks.json"
_DASHBOARD: Final = "take it from the dashboard (Project Settings, API Keys), and deploy again"
_FOR_THE_SERVICE: Final = "list_buckets_v1"


def look(deployment: Deployment) -> Iterator[Finding]:
    """The address first: without it nothing can be told of keys."""
    url = deployment.url
    anon_key = deployment.variable("SUPABASE_ANON_KEY")
    service_key = deployment.variable("SUPABASE_SERVICE_ROLE_KEY")
    yield from form_findings(url, anon_key, service_key)
    try:
        published = deployment.http.get(f"{url}{_KEYS_PATH}")
    except httpx.HTTPError as exc:
        yield _unreachable(url, exc)
        return
    count = _published(published)
    if count is None:
        what = f"{url} answers {published.status_code}, and not as a Supabase project does"
        yield wrong("keys.url", what, "set SUPABASE_URL to the project's address, without a path")
        return
    yield ok("keys.url", f"{url} answers")
    yield _anon(deployment.rpc(anon_key, _FOR_THE_SERVICE, {}))
    yield _service(deployment.rpc(service_key, _FOR_THE_SERVICE, {}))
    yield _hidden(deployment.get("/rest/v1/models?limit=1", service_key, **{"Accept-Profile": "pixseek"}))
    yield _tokens(deployment, anon_key, count)


def _unreachable(url: str, error: httpx.HTTPError) -> Finding:
    mend = "look at SUPABASE_URL; a project that is paused is woken in the dashboard"
    if "CERTIFICATE" in str(error).upper():
        mend = "its certificate does not hold: look at SUPABASE_URL, and at proxies in between"
    return wrong("keys.url", f"{url} does not answer ({type(error).__name__})", mend)


def _published(answer: httpx.Response) -> int | None:
    """How many public keys the project has; None for what is no project."""
    try:
        keys = json.loads(answer.content)["keys"] if answer.is_success else None
    except (ValueError, KeyError, TypeError):
        return None
    return len(keys) if isinstance(keys, list) else None


def _anon(answer: httpx.Response) -> Finding:
    if is_refused_key(answer):
        return wrong("keys.anon", "SUPABASE_ANON_KEY is refused by the project", _DASHBOARD)
    if answer.is_success:
        what = f"SUPABASE_ANON_KEY may call {_FOR_THE_SERVICE}, which is for the service alone"
        mend = (
            "if it is the service key, take the anon (publishable) key instead, and rotate the service key: "
            "it was meant to be shown; else the grants are wrong (see database.grants)"
        )
        return wrong("keys.anon", what, mend)
    return ok("keys.anon", "SUPABASE_ANON_KEY is taken, and may do no more than it should")


def _service(answer: httpx.Response) -> Finding:
    if is_refused_key(answer):
        return wrong("keys.service", "SUPABASE_SERVICE_ROLE_KEY is refused by the project", _DASHBOARD)
    if code_of(answer) == NOT_ALLOWED:
        what = f"SUPABASE_SERVICE_ROLE_KEY may not call {_FOR_THE_SERVICE}"
        mend = f"is it the service_role (secret) key? {_DASHBOARD}; else the grants are wrong"
        return wrong("keys.service", what, mend)
    if answer.is_error and code_of(answer) not in NOT_THERE:
        what = f"the database API answers {answer.status_code} ({code_of(answer) or 'no code'})"
        return wrong("keys.service", what, "look at the project's health in the dashboard, and at its logs")
    return ok("keys.service", "SUPABASE_SERVICE_ROLE_KEY is taken")


def _hidden(answer: httpx.Response) -> Finding:
    """Tables are reached through functions alone."""
    if answer.is_success:
        mend = "take it out of Project Settings, Data API, Exposed schemas"
        return wrong("keys.schema", "the schema pixseek is exposed: its tables can be read directly", mend)
    return ok("keys.schema", "the schema pixseek is not exposed")


def _tokens(deployment: Deployment, anon_key: str, published: int) -> Finding:
    """Whether tokens of signed-in users can be checked."""
    if deployment.settings.auth == "public":
        return ok("keys.tokens", "AUTH=public: no tokens are checked")
    secret = deployment.settings.supabase_jwt_secret
    if secret is not None:
        return _secret(secret.get_secret_value(), anon_key)
    if published == 0:
        what = "the project publishes no key, and SUPABASE_JWT_SECRET is not set: nobody can sign in"
        mend = "set it (dashboard: Project Settings, JWT Keys), or migrate there to signing keys"
        return wrong("keys.tokens", what, mend)
    return ok("keys.tokens", f"the project publishes {published} keys for its users' tokens")


def _secret(secret: str, anon_key: str) -> Finding:
    """A legacy key was signed with it too."""
    import jwt

    options: Options = {"verify_exp": False, "enforce_minimum_key_length": True}
    try:
        jwt.decode(anon_key, secret, algorithms=["HS256"], options=options)
    except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
        what = "SUPABASE_JWT_SECRET has not signed SUPABASE_ANON_KEY: it is not this project's"
        mend = "take it from the dashboard (Project Settings, JWT Keys); leave it empty if keys are published"
        return wrong("keys.tokens", what, mend)
    except jwt.PyJWTError:
        return ok("keys.tokens", "SUPABASE_JWT_SECRET is set; a publishable key cannot tell whether it fits")
    return ok("keys.tokens", "SUPABASE_JWT_SECRET is the project's")
