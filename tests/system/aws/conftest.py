"""Two stages in one AWS, one for each place of pictures, on one embedded Supabase stack."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from infra.cli.connection import Project
from infra.local.home import Home
from infra.local.stack import Stack
from tests.ports import free_base_port
from tests.roboflow_api import RoboflowApi, serving
from tests.system.aws.checkout import Checkout
from tests.system.aws.colours import knows_colours
from tests.system.aws.deployed import Deployed
from tests.system.aws.lambda_api import LambdaApi, lambda_api
from tests.system.aws.moto_aws import Aws, aws_server
from tests.system.aws.stages import BUCKET, IN_S3, IN_SUPABASE, KEY, Supabase, variables
from tests.system.aws.web_server import WebServer, web_server

_DEPLOYED: Final = "pixseek-{}"


class _Stack(Stack):
    """Its database webhook goes to AWS."""

    webhook_url = ""

    @property
    def index_url(self) -> str:
        return self.webhook_url


@pytest.fixture(scope="session")
def roboflow() -> Iterator[RoboflowApi]:
    with serving(key=KEY) as api:
        api.otherwise = knows_colours
        yield api


@pytest.fixture(scope="session")
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture(scope="session")
def supabase(
    tmp_path_factory: pytest.TempPathFactory, roboflow: RoboflowApi, web: WebServer
) -> Iterator[Supabase]:
    home = Home(tmp_path_factory.mktemp("stack"))
    embedder = {"EMBEDDER": "roboflow", "ROBOFLOW_API_URL": roboflow.url, "ROBOFLOW_API_KEY": KEY}
    stack = _Stack(home.path, free_base_port(), environment=embedder)
    stack.webhook_url = f"{web.url}/webhooks/supabase"
    with stack:
        project = Project(stack.connection)
        project.client.rpc(
            "put_bucket_v1",
            {"bucket_name": BUCKET, "provider": "s3", "is_public": False, "owner_rule": "first_segment"},
        ).execute()
        yield Supabase(stack, project, home.keys())


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    with aws_server() as server:
        yield server


@pytest.fixture(scope="session")
def called_later() -> Iterator[LambdaApi]:
    """What functions ask Lambda to do."""
    with lambda_api() as api:
        yield api


@pytest.fixture(scope="session")
def checkout(
    tmp_path_factory: pytest.TempPathFactory, aws: Aws, supabase: Supabase, roboflow: RoboflowApi
) -> Checkout:
    made = Checkout.make(tmp_path_factory.mktemp("checkout"), aws)
    made.write_stage(IN_S3, variables(supabase, roboflow, STORAGE="s3", S3_BUCKET=BUCKET))
    made.write_stage(IN_SUPABASE, variables(supabase, roboflow, STORAGE="supabase", AUTH="public"))
    return made


@pytest.fixture(scope="session")
def in_s3(
    checkout: Checkout, called_later: LambdaApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    with ExitStack() as closing:
        yield _deployed(closing, checkout, IN_S3, called_later, tmp_path_factory.mktemp(IN_S3))


@pytest.fixture(scope="session")
def in_supabase(
    checkout: Checkout, called_later: LambdaApi, web: WebServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    with ExitStack() as closing:
        deployed = _deployed(
            closing, checkout, IN_SUPABASE, called_later, tmp_path_factory.mktemp(IN_SUPABASE)
        )
        web.deployed = deployed
        yield deployed
        web.deployed = None


def _deployed(
    closing: ExitStack, checkout: Checkout, stage: str, called_later: LambdaApi, folder: Path
) -> Deployed:
    ran = checkout.run("deploy", "--stage", stage)
    assert ran.code == 0, ran.output
    deployed = Deployed(
        checkout.aws, _DEPLOYED.format(stage), folder, beside={"AWS_ENDPOINT_URL_LAMBDA": called_later.url}
    )
    deployed.fill_gaps()
    return closing.enter_context(deployed)
