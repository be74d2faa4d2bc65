"""A deployment to AWS stops at a Supabase project that its functions could not work with."""

from collections.abc import Iterator

import pytest

from infra.aws.errors import AwsError
from infra.aws.preflight import check_project
from infra.local.home import Keys
from infra.local.stack import Stack
from tests.integration.faulty_gateway import Fault, FaultyGateway, faulty_gateway

pytestmark = pytest.mark.long

_NO_FUNCTION = Fault(404, b'{"code": "PGRST202", "message": "no such function", "hint": null}')


@pytest.fixture
def variables(stack: Stack, keys: Keys) -> dict[str, str]:
    return {
        "SUPABASE_URL": stack.connection.supabase_url,
        "SUPABASE_ANON_KEY": keys.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_key,
        "SUPABASE_JWT_SECRET": keys.jwt_secret,
    }


@pytest.fixture
def gateway(stack: Stack) -> Iterator[FaultyGateway]:
    """In front of the project."""
    with faulty_gateway(stack.connection.supabase_url) as running:
        yield running


def test_a_project_that_is_ready_lets_it_go_on(variables: dict[str, str]) -> None:
    check_project(variables, "prod")


def test_an_anon_key_in_place_of_the_service_key_stops_it(variables: dict[str, str]) -> None:
    variables["SUPABASE_SERVICE_ROLE_KEY"] = variables["SUPABASE_ANON_KEY"]

    with pytest.raises(AwsError, match="SUPABASE_SERVICE_ROLE_KEY holds an anon"):
        check_project(variables, "prod")


def test_a_key_that_the_project_refuses_stops_it(variables: dict[str, str]) -> None:
    variables["SUPABASE_SERVICE_ROLE_KEY"] = "sb_secret_of_another"

    with pytest.raises(AwsError, match="SUPABASE_SERVICE_ROLE_KEY is refused") as refused:
        check_project(variables, "prod")

    assert "sb_secret_of_another" not in str(refused.value)


def test_a_project_without_migrations_stops_it(variables: dict[str, str], gateway: FaultyGateway) -> None:
    gateway.faults["/rest/v1/rpc/"] = _NO_FUNCTION
    variables["SUPABASE_URL"] = gateway.url

    with pytest.raises(AwsError, match=r"migration.*make deploy-supabase"):
        check_project(variables, "prod")


def test_an_address_where_nobody_answers_stops_it(variables: dict[str, str]) -> None:
    variables["SUPABASE_URL"] = "http://127.0.0.1:9"

    with pytest.raises(AwsError, match=r"127\.0\.0\.1:9 does not answer"):
        check_project(variables, "prod")
