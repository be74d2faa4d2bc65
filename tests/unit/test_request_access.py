"""Who asks the search API, and under which name requests are counted."""

import math
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from functions.search_images.access import admission_of, caller_of
from shared.admitting import Refused
from shared.callers import Caller, Callers
from shared.database import Database
from shared.errors import AccessDenied
from shared.settings import Settings, parse_settings
from shared.wiring import Adapters
from tests.unit.search_ports import AskedEmbedder, AskedStore, OneEmbedder

_USER = Caller("a user's token", "11111111-1111-4111-8111-111111111111")


class Counter:
    """Keeps who is counted."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, int]] = []

    def count_request(self, caller: str, *, per_minute: int, deadline: float = math.inf) -> float:  # noqa: ARG002
        self.counted.append((caller, per_minute))
        return 0


class KnownCallers(Callers):
    """Knows the operator, and one user."""

    def __init__(self) -> None:
        super().__init__("https://a.example", jwt_secret=None, service_key="service", timeout_s=1)

    def caller(self, token: str) -> Caller:
        if token == _USER.token:
            return _USER
        return super().caller(token)


def _settings(**settings: str) -> Settings:
    return parse_settings(
        {
            "SUPABASE_URL": "https://a.example",
            "SUPABASE_ANON_KEY": "anon",
            "SUPABASE_SERVICE_ROLE_KEY": "service",
            "REQUESTS_PER_MINUTE": "7",
            **settings,
        }
    )


def _adapters(counter: Counter | None = None) -> Adapters:
    database = cast(Database, counter or Counter())
    embedders = cast(Any, OneEmbedder(AskedEmbedder()))
    return Adapters(embedders, cast(Any, AskedStore()), database, KnownCallers())


def _event(source_ip: str = "203.0.113.7", **headers: str) -> APIGatewayProxyEventV2:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return APIGatewayProxyEventV2({"headers": named, "requestContext": {"http": {"sourceIp": source_ip}}})


def _counted(event: APIGatewayProxyEventV2, caller: Caller | None = None, **settings: str) -> tuple[str, int]:
    counter = Counter()
    caller = caller or Caller("anon", None)
    admission_of(event, caller, _settings(**settings), _adapters(counter), 1e9, Refused()).wait()
    [counted] = counter.counted
    return counted


def test_a_user_is_known_by_their_token() -> None:
    event = _event(authorization=f"Bearer {_USER.token}")

    assert caller_of(event, _settings(), _adapters()) == _USER


@pytest.mark.parametrize("mode", ["user", "public"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_operator_is_known_by_their_key_in_either_mode(mode: str, scheme: str) -> None:
    event = _event(authorization=f"{scheme} service")

    caller = caller_of(event, _settings(AUTH=mode), _adapters())

    assert (caller.token, caller.is_operator, caller.user_id) == ("service", True, None)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic c2VydmljZQ==", "service"])
def test_without_a_token_nobody_is_known_and_told_how_to_be(authorization: str) -> None:
    with pytest.raises(AccessDenied, match="Authorization: Bearer <token>"):
        caller_of(_event(authorization=authorization), _settings(), _adapters())


def test_a_request_without_the_header_is_not_known_either() -> None:
    with pytest.raises(AccessDenied, match="sign in"):
        caller_of(_event(), _settings(), _adapters())


@pytest.mark.parametrize("token", ["made-up", "ünïcode", "anon"])
def test_a_token_that_does_not_hold_is_refused(token: str) -> None:
    with pytest.raises(AccessDenied):
        caller_of(_event(authorization=f"Bearer {token}"), _settings(), _adapters())


@pytest.mark.parametrize("authorization", ["", "Bearer made-up", f"Bearer {_USER.token}", "Bearer ünïcode"])
def test_in_public_mode_everybody_is_the_public(authorization: str) -> None:
    event = _event(authorization=authorization)

    assert caller_of(event, _settings(AUTH="public"), _adapters()) == Caller("anon", None)


def test_a_user_is_counted_wherever_they_are() -> None:
    assert _counted(_event(), _USER) == (f"user {_USER.user_id}", 7)


def test_the_operator_is_not_counted() -> None:
    counter = Counter()
    operator = Caller("key", None, is_operator=True)

    admission_of(_event(), operator, _settings(), _adapters(counter), 1e9, Refused()).wait()

    assert counter.counted == []


def test_without_the_header_of_a_hop_the_platform_says_who_asks() -> None:
    assert _counted(_event(), TRUSTED_HOPS="1") == ("address 203.0.113.7", 7)


@pytest.mark.parametrize(
    ("source_ip", "expected"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("198.51.100.1", "198.51.100.1"),
    ],
)
def test_whoever_has_one_address_of_ipv6_has_its_network(source_ip: str, expected: str) -> None:
    assert _counted(_event(source_ip)) == (f"address {expected}", 7)


@pytest.mark.parametrize("address", ["nobody", "1.2.3", "1.2.3.4:80", "", "None", "'; drop table", "1" * 99])
def test_an_address_that_is_none_is_counted_with_all_such(address: str) -> None:
    assert _counted(_event(address)) == ("address unknown", 7)
