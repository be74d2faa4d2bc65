"""What a request's headers say of its caller: a project's key, and a token."""

from starlette.requests import Request

from infra.local.gateway.errors import KeyRefused
from infra.local.gateway.tokens import Caller, TokenRefused, Tokens


def key_caller(request: Request, tokens: Tokens) -> Caller:
    """Whom the request's key stands for. Raises `KeyRefused`."""
    key = request.headers.get("apikey")
    if not key:
        raise KeyRefused("No API key found in request", "No `apikey` request header was found.")
    try:
        return tokens.key_caller(key)
    except TokenRefused as exc:
        hint = "Double check your Supabase `anon` or `service_role` API key."
        raise KeyRefused("Invalid API key", hint) from exc


def bearer(request: Request) -> str | None:
    """The token of the request; None when it has none, which is not an empty one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
