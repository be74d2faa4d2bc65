"""What the answers of a project's API mean."""

import json
import ssl
from typing import Final

import httpx

from infra.doctor.findings import CannotTell, FunctionMissing

SERVICE_KEY: Final = "SUPABASE_SERVICE_ROLE_KEY"
FROM_DASHBOARD: Final = "take it from the dashboard (Project Settings, API Keys), and deploy again"
NOT_THERE: Final = {"PGRST202", "42883"}
"""The codes of a function that is not there."""
NOT_ALLOWED: Final = "42501"
NOT_EXPOSED: Final = "PGRST106"
_KEYS_PATH: Final = "/auth/v1/.well-known/jwks.json"
LOOK_AT_PROJECT: Final = "look at the project's health and its logs in the dashboard, then look again"


def json_of(answer: httpx.Response) -> object:
    """What it holds; None for what is no JSON."""
    try:
        return json.loads(answer.content)
    except ValueError:
        return None


def code_of(answer: httpx.Response) -> str | None:
    """That of an error of the database API; None for what stands before it."""
    body = json_of(answer)
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) else None


def is_refused_key(answer: httpx.Response) -> bool:
    """Whether it is the key that is not taken, not what it may do."""
    return answer.status_code in {401, 403} and code_of(answer) != NOT_ALLOWED


def ask_for_keys(http: httpx.Client, url: str) -> int:
    """How many public keys a project has. Raises `CannotTell` for what is no project."""
    try:
        answer = http.get(f"{url}{_KEYS_PATH}")
    except httpx.HTTPError as exc:
        mend = "look at SUPABASE_URL; a project that is paused is woken in the dashboard"
        if _is_of_certificate(exc):
            mend = "its certificate does not hold: look at SUPABASE_URL, and at proxies in between"
        raise CannotTell(f"{url} does not answer ({type(exc).__name__})", mend) from exc
    body = json_of(answer) if answer.is_success else None
    keys = body.get("keys") if isinstance(body, dict) else None
    if not isinstance(keys, list):
        what = f"{url} answers {answer.status_code}, and not as a Supabase project does"
        raise CannotTell(what, "set SUPABASE_URL to the project's address, without a path")
    return len(keys)


def _is_of_certificate(error: BaseException | None) -> bool:
    """httpx and httpcore each wrap what ssl has raised."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def said_by(answer: httpx.Response) -> str:
    """Status and code."""
    return f"{answer.status_code} ({code_of(answer) or 'no code'})"


def refusal(function: str, answer: httpx.Response, applies_migrations: str) -> CannotTell:
    """Why a call with the service key has failed."""
    code = code_of(answer)
    if is_refused_key(answer):
        return CannotTell(f"{SERVICE_KEY} is refused", FROM_DASHBOARD)
    if code == NOT_ALLOWED:
        mend = f"is it the service_role (secret) key? {FROM_DASHBOARD}; else see database.lost_grants"
        return CannotTell(f"{SERVICE_KEY} may not call {function}", mend)
    if code in NOT_THERE:
        return FunctionMissing(f"the database lacks {function}: a migration is missing", applies_migrations)
    return CannotTell(f"{function} is answered with {said_by(answer)}", LOOK_AT_PROJECT)
