"""What keys tell of themselves, without a call."""

import time
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from infra.doctor.findings import Finding, wrong

_HOSTED: Final = (".supabase.co", ".supabase.in")
_MEND: Final = "take it from the dashboard (Project Settings, API Keys), and deploy again"
_NAMES: Final = {"anon": "SUPABASE_ANON_KEY", "service_role": "SUPABASE_SERVICE_ROLE_KEY"}
_PREFIXES: Final = {"sb_publishable_": "anon", "sb_secret_": "service_role"}


def form_findings(url: str, anon_key: str, service_key: str) -> Iterator[Finding]:
    """Only what is wrong."""
    anon_role, service_role = _role_of(anon_key), _role_of(service_key)
    if (anon_role, service_role) == ("service_role", "anon"):
        what = "SUPABASE_ANON_KEY and SUPABASE_SERVICE_ROLE_KEY are exchanged"
        yield wrong("keys.exchanged", what, "exchange them; if they were in use so, rotate the service key")
    elif anon_role == "service_role":
        what = "SUPABASE_ANON_KEY holds a key of the service, which passes every policy"
        yield wrong("keys.exchanged", what, f"{_MEND}; if it was in use so, rotate the service key")
    elif service_role == "anon":
        yield wrong("keys.exchanged", "SUPABASE_SERVICE_ROLE_KEY holds an anon (publishable) key", _MEND)
    for role, key in (("anon", anon_key), ("service_role", service_key)):
        yield from _own_findings(url, _NAMES[role], key)


def _own_findings(url: str, name: str, key: str) -> Iterator[Finding]:
    if key != key.strip().strip("\"'"):
        yield wrong("keys.form", f"{name} has spaces or quotes around it", "take them away")
    claims = _claims(key)
    host = urlsplit(url).hostname or ""
    project = host.partition(".")[0]
    if host.endswith(_HOSTED) and claims.get("ref", project) != project:
        what = f"{name} is of project {claims['ref']}, and SUPABASE_URL is of {project}"
        yield wrong("keys.project", what, f"both are of one project: {_MEND}")
    expires = claims.get("exp")
    if isinstance(expires, int | float) and expires < time.time():
        yield wrong("keys.expired", f"{name} has expired", f"make a new one: {_MEND}")


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
