"""Secrets lie in Parameter Store alone: functions read them there, and nobody anywhere else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

import pytest

from tests.system.aws.checkout import Checkout
from tests.system.aws.deployed import Deployed
from tests.system.aws.http_api import Answer, Request
from tests.system.aws.stages import IN_S3, Supabase

_SERVICE_KEY: Final = "SUPABASE_SERVICE_ROLE_KEY"
_SECRETS: Final = {_SERVICE_KEY, "SUPABASE_JWT_SECRET", "WEBHOOK_SECRET", "ROBOFLOW_API_KEY"}
_FUNCTIONS: Final = ("audit", "index", "reembed", "search")


@contextmanager
def parameter(deployed: Deployed, name: str, value: str | None) -> Iterator[None]:
    """Another value of a secret, or none, for as long as it takes."""
    ssm, path = deployed.aws.client("ssm"), f"/pixseek/{IN_S3}/{name}"
    before = ssm.get_parameter(Name=path, WithDecryption=True)["Parameter"]["Value"]
    try:
        ssm.delete_parameter(Name=path)
        if value is not None:
            ssm.put_parameter(Name=path, Value=value, Type="SecureString")
        yield
    finally:
        ssm.delete_parameters(Names=[path])  # so that it is the first version again, which functions read
        ssm.put_parameter(Name=path, Value=before, Type="SecureString")


def answered(deployed: Deployed, supabase: Supabase, **beside: str) -> tuple[Answer, str]:
    """What a new instance of the search says to a caller with a new question, and to its log."""
    request = Request("GET", "/search", {"q": f"as {uuid4()}"}, supabase.user().headers)
    with deployed.started("search", **beside) as function:
        return Answer.of(function.invoke(request.event("$default"))), function.log


class TestSecrets:
    def test_lie_encrypted_in_parameter_store(self, in_s3: Deployed, supabase: Supabase) -> None:
        found = in_s3.aws.client("ssm").get_parameters_by_path(Path=f"/pixseek/{IN_S3}", WithDecryption=True)

        kept = {one["Name"].rpartition("/")[2]: (one["Type"], one["Value"]) for one in found["Parameters"]}
        assert kept[_SERVICE_KEY] == ("SecureString", supabase.keys.service_role_key)
        assert kept.keys() == _SECRETS

    def test_are_not_in_the_template_nor_in_any_environment(
        self, in_s3: Deployed, supabase: Supabase
    ) -> None:
        template = in_s3.aws.client("cloudformation").get_template(StackName=in_s3.stack)
        deployed = in_s3.aws.client("lambda").list_functions()["Functions"]

        everything = json.dumps([template, deployed], default=str)

        assert "SSM_PARAMETERS" in everything
        assert [secret for secret in supabase.secrets if secret in everything] == []

    @pytest.mark.parametrize("name", _FUNCTIONS)
    def test_are_all_that_a_function_has_beside_its_environment(self, name: str, in_s3: Deployed) -> None:
        environment = in_s3.functions[name].environment

        assert environment.keys() & _SECRETS == set()
        assert {path.rpartition("/")[0] for path in environment["SSM_PARAMETERS"].split(",")} == {
            f"/pixseek/{IN_S3}"
        }

    def test_are_in_no_log_whatever_goes_wrong(
        self, in_s3: Deployed, in_supabase: Deployed, supabase: Supabase
    ) -> None:
        wrong = {"Records": [{"messageId": "1", "body": "{"}], "key": supabase.keys.service_role_key}
        _ = [in_s3.invoke(name, wrong) for name in _FUNCTIONS]
        in_supabase.invoke("webhook", {"headers": {"x-webhook-secret": supabase.keys.webhook_secret}})

        written = "".join([*in_s3.logs().values(), *in_supabase.logs().values()])

        assert len(in_s3.logs()) == len(_FUNCTIONS)
        assert written
        assert [secret for secret in supabase.secrets if secret in written] == []


class TestWithout:
    def test_a_parameter_the_log_says_which_and_the_caller_is_told_nothing(
        self, in_s3: Deployed, supabase: Supabase
    ) -> None:
        with parameter(in_s3, _SERVICE_KEY, None):
            answer, log = answered(in_s3, supabase)

        assert answer.status == 500
        assert b"SUPABASE" not in answer.content
        assert f"/pixseek/{IN_S3}/{_SERVICE_KEY}" in log

    def test_the_right_key_the_log_says_so_and_the_caller_is_told_nothing(
        self, in_s3: Deployed, supabase: Supabase
    ) -> None:
        with parameter(in_s3, _SERVICE_KEY, supabase.project.connection.anon_key):
            answer, log = answered(in_s3, supabase)

        assert answer.status in {500, 503}
        assert b"key" not in answer.content.lower()
        assert "SUPABASE_SERVICE_ROLE_KEY" in log

    def test_the_models_key_the_log_says_so_and_the_caller_is_told_nothing(
        self, in_s3: Deployed, supabase: Supabase
    ) -> None:
        with parameter(in_s3, "ROBOFLOW_API_KEY", "a-wrong-one"):
            answer, log = answered(in_s3, supabase)

        assert answer.status in {500, 503}
        assert b"roboflow" not in answer.content.lower()
        assert "ROBOFLOW_API_KEY" in log

    def test_the_right_to_read_it_the_log_says_what_the_role_needs(
        self, in_s3: Deployed, supabase: Supabase
    ) -> None:
        answer, log = answered(in_s3, supabase, **in_s3.credentials("audit"))

        assert answer.status == 500
        assert "ssm:GetParameters" in log


def test_the_stage_file_alone_knows_the_secrets(
    checkout: Checkout, in_s3: Deployed, supabase: Supabase
) -> None:
    assert in_s3.stack
    texts = [
        path for path in checkout.folder.rglob("*") if path.is_file() and path.suffix in {".json", ".yml"}
    ]

    holding = [path.name for path in texts if any(secret in path.read_text() for secret in supabase.secrets)]

    assert texts
    assert holding == []
