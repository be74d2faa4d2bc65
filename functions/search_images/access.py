"""Who asks, and how often they may."""

import ipaddress
from typing import Final

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from shared.admitting import Counted, Refused, Unlimited
from shared.callers import Caller
from shared.errors import AccessDenied
from shared.ports import Admission
from shared.settings import Settings
from shared.wiring import Adapters

_NETWORK_BITS: Final = 64
"""Of IPv6: whoever has one address there has all of them."""


def caller_of(event: APIGatewayProxyEventV2, settings: Settings, adapters: Adapters) -> Caller:
    """Whoever the bearer token names. Raises `AccessDenied`, `Unavailable`.

    In public mode nobody has to be named, and everybody sees what is public; the operator more.
    """
    token = _bearer_token(event)
    if settings.auth == "public":
        return adapters.callers.operator(token) or Caller(settings.supabase_anon_key.get_secret_value(), None)
    if not token:
        raise AccessDenied("sign in, and send your access token: Authorization: Bearer <token>")
    return adapters.callers.caller(token)


def admission_of(
    event: APIGatewayProxyEventV2,
    caller: Caller,
    settings: Settings,
    adapters: Adapters,
    deadline: float,
    refused: Refused,
) -> Admission:
    """The request, being counted: of a user, or else of an address. The operator is not counted.

    Raises `RateLimited` at once for who was told to wait.
    """
    if caller.is_operator:
        return Unlimited()
    counted = f"user {caller.user_id}" if caller.user_id else f"address {_network(_address(event, settings))}"
    return Counted(
        adapters.database,
        counted,
        per_minute=settings.requests_per_minute,
        deadline=deadline,
        refused=refused,
    )


def _bearer_token(event: APIGatewayProxyEventV2) -> str:
    scheme, _, token = event.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _address(event: APIGatewayProxyEventV2, settings: Settings) -> str:
    """As the platform reports it, or the last trusted hop: what a client says of itself is before that."""
    hops = [hop.strip() for hop in event.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    if 0 < settings.trusted_hops <= len(hops):
        return hops[-settings.trusted_hops]
    return str(event.request_context.http.source_ip)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, _NETWORK_BITS), strict=False))
