"""What keys tell of themselves, without a call."""

import time
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from infra.doctor.answers import FROM_DASHBOARD, SERVICE_KEY
from infra.doctor.findings import Finding, wrong

ANON_KEY: Final = "SUPABASE_ANON_KEY"
_HOSTED: Final = (".supabase.co", ".supabase.in")
_PREFIXES: Final = {"sb_publishable_": "anon", "sb_secret_": "service_role"}


def form_findings(url: str, anon_key: str, service_key: str) -> Iterator[Finding]:
    """Only what is wrong."""
    anon_role, service_role = _role_of(anon_key), _role_of(service_key)
    if (anon_role, service_role) == ("service_role", "anon"):
        what = f"{ANON_KEY} and {SERVICE_KEY} are exchanged"
        yield wrong("keys.exchanged", what, "exchange them; if they were in use so, rotate the service key")
    elif anon_role == "service_role":
        what = f"{ANON_KEY} holds a key of the service, which passes every policy"
        mend = f"{FROM_DASHBOARD}; if it was in use so, rotate the service key"
        yield wrong("keys.exchanged", what, mend)
    elif service_role == "anon":
        yield wrong("keys.exchanged", f"{SERVICE_KEY} holds an anon (publishable) key", FROM_DASHBOARD)
    yield from _own_findings(url, ANON_KEY, anon_key)
    yield from _own_findings(url, SERVICE_KEY, service_key)


def _own_findings(url: str, name: str, key: str) -> Iterator[Finding]:
    claims = _claims(key)
    host = urlsplit(url).hostname or ""
    # A load balancer's name is <ref>-all, a read replica's <ref>-rr-<region>.
    project = host.partition(".")[0].partition("-")[0]
    if host.endswith(_HOSTED) and claims.get("ref", project) != project:
        what = f"{name} is of project {claims['ref']}, and SUPABASE_URL is of {project}"
        yield wrong("keys.project", what, f"both are of one project: {FROM_DASHBOARD}")
    expires = claims.get("exp")
    if isinstance(expires, int | float) and expires < time.time():
        yield wrong("keys.expired", f"{name} has expired", f"make a new one: {FROM_DASHBOARD}")


def _role_of(key: str) -> object:
    """None when the key does not tell."""
    by_prefix = [role for prefix, role in _PREFIXES.items() if key.startswith(prefix)]
    return by_prefix[0] if by_prefix else _claims(key).get("role")


def _claims(key: str) -> Mapping[str, object]:
    """Those of a JWT, its signature not looked at; none of another key."""
    import jwt

    try:
        claims: dict[str, object] = jwt.decode(key, options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}
    return claims
