"""Whether the project can be reached, and whether its keys are the right ones."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import httpx

from infra.doctor.answers import (
    FROM_DASHBOARD,
    LOOK_AT_PROJECT,
    NOT_ALLOWED,
    NOT_EXPOSED,
    NOT_THERE,
    SERVICE_KEY,
    code_of,
    is_refused_key,
    said_by,
)
from infra.doctor.deployment import Deployment
from infra.doctor.findings import CannotTell, Finding, ok, wrong
from infra.doctor.key_forms import ANON_KEY, form_findings

if TYPE_CHECKING:
    from jwt.types import Options

_FOR_THE_SERVICE: Final = "list_buckets_v1"


def look(deployment: Deployment) -> Iterator[Finding]:
    """A key that cannot be sent, or an address that is no project's, ends it: nothing more can be told."""
    url = deployment.address("SUPABASE_URL")
    anon_key, service_key = deployment.secret(ANON_KEY), deployment.secret(SERVICE_KEY)
    yield from form_findings(url, anon_key, service_key)
    try:
        published = deployment.published_keys
    except CannotTell as exc:
        yield wrong("keys.url", exc.why, exc.mend)
        return
    yield ok("keys.url", f"{url} answers")
    yield _anon(deployment.rpc(_FOR_THE_SERVICE, {}, ANON_KEY), deployment)
    taken = deployment.rpc(_FOR_THE_SERVICE, {})
    yield _service(taken)
    if not is_refused_key(taken) and code_of(taken) not in NOT_THERE:
        yield _hidden(deployment.rpc("caller_roles", {}, **{"Content-Profile": "pixseek"}))
    yield _tokens(deployment, anon_key, published)


def _anon(answer: httpx.Response, deployment: Deployment) -> Finding:
    if is_refused_key(answer):
        return wrong("keys.anon", f"{ANON_KEY} is refused by the project", FROM_DASHBOARD)
    if answer.is_success:
        what = f"{ANON_KEY} may call {_FOR_THE_SERVICE}, which is for the service alone"
        mend = (
            "if it is the service key, take the anon (publishable) key instead, and rotate the service key: "
            "it was meant to be shown; else the grants are wrong (see database.grants)"
        )
        return wrong("keys.anon", what, mend)
    if code_of(answer) == NOT_ALLOWED:
        return ok("keys.anon", f"{ANON_KEY} is taken, and may do no more than it should")
    if code_of(answer) in NOT_THERE:
        what = f"what {ANON_KEY} may do cannot be told before all migrations are there"
        return wrong("keys.anon", what, deployment.applies_migrations)
    what = f"what {ANON_KEY} may do cannot be told: the database API answers {said_by(answer)}"
    return wrong("keys.anon", what, LOOK_AT_PROJECT)


def _service(answer: httpx.Response) -> Finding:
    if is_refused_key(answer):
        return wrong("keys.service", f"{SERVICE_KEY} is refused by the project", FROM_DASHBOARD)
    if code_of(answer) == NOT_ALLOWED:
        what = f"{SERVICE_KEY} may not call {_FOR_THE_SERVICE}"
        mend = f"is it the service_role (secret) key? {FROM_DASHBOARD}; else see database.lost_grants"
        return wrong("keys.service", what, mend)
    if answer.is_error and code_of(answer) not in NOT_THERE:
        what = f"what {SERVICE_KEY} may do cannot be told: the database API answers {said_by(answer)}"
        return wrong("keys.service", what, LOOK_AT_PROJECT)
    return ok("keys.service", f"{SERVICE_KEY} is taken")


def _hidden(answer: httpx.Response) -> Finding:
    """Tables are reached through functions of public alone. Of an exposed schema a function is looked for."""
    if answer.is_success or code_of(answer) in {NOT_ALLOWED, *NOT_THERE}:
        mend = "take it out of Project Settings, Data API, Exposed schemas"
        return wrong("keys.schema", "the schema pixseek is exposed: its tables can be read directly", mend)
    if code_of(answer) == NOT_EXPOSED:
        return ok("keys.schema", "the schema pixseek is not exposed")
    what = f"whether the schema pixseek is exposed cannot be told: the database API answers {said_by(answer)}"
    return wrong("keys.schema", what, LOOK_AT_PROJECT)


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
