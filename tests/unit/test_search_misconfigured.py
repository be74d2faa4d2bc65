"""A deployment whose settings are wrong."""

import json

import httpx
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.search_images.app import load_app
from functions.search_images.aws import handler
from shared.errors import Unavailable
from shared.settings import load_settings
from tests.search_api import event_of


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables is there."""
    monkeypatch.setenv("SUPABASE_URL", "not an address")
    load_app.cache_clear()
    load_settings.cache_clear()


@pytest.mark.usefixtures("unset")
def test_a_wrong_setting_is_a_problem_that_names_it_in_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = event_of(httpx.Request("GET", "https://api.example/search", params={"q": "a cat"}))

    reply = handler(event, LambdaContext())

    problem = json.loads(reply["body"])
    assert (reply["statusCode"], problem["type"]) == (500, "urn:pixseek:problem:misconfigured")
    assert problem["request_id"] == event["requestContext"]["requestId"]
    assert "SUPABASE" not in reply["body"]
    assert "SUPABASE_URL" in str(vars(caplog.records[-1]))


def test_secrets_that_cannot_be_read_are_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Unavailable("Parameter Store at https://ssm.example does not answer")

    monkeypatch.setenv("SSM_PARAMETERS", "/pixseek/prod/SUPABASE_SERVICE_ROLE_KEY")
    monkeypatch.setattr("shared.parameters.read_parameters", fail)
    load_app.cache_clear()
    load_settings.cache_clear()

    reply = handler(
        event_of(httpx.Request("GET", "https://api.example/search", params={"q": "a cat"})), LambdaContext()
    )

    assert (reply["statusCode"], "Retry-After" in reply["headers"]) == (503, True)
    assert "ssm.example" not in reply["body"]
