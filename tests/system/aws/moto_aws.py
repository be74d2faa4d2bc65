"""AWS on this machine: moto's server, with what it gets wrong put right."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeAlias

import boto3
import pytest
from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend
from moto.s3 import notifications
from moto.server import ThreadedMotoServer
from moto.sqs.models import Queue

from tests.system.aws.account import REGION
from tests.system.aws.roles import enforce_roles

Client: TypeAlias = Any
"""boto3 makes their classes at run time."""


@dataclass(frozen=True)
class Aws:
    """An account in one region."""

    url: str
    kept_from_functions: set[str] = field(default_factory=set)
    """The last parts of the names of objects that no function may read."""

    def client(self, service: str) -> Client:
        """boto3's."""
        return _client(self.url, service)

    def environment(self) -> dict[str, str]:
        """For who has to take this for AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "of-a-test",
            "AWS_SECRET_ACCESS_KEY": "of-a-test",
        }


@cache
def _client(url: str, service: str) -> Client:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="of-a-test",
        aws_secret_access_key="of-a-test",
    )


@contextmanager
def aws_server() -> Iterator[Aws]:
    """On a free port, in this process."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    kept: set[str] = set()
    with pytest.MonkeyPatch.context() as moto:
        _send_sequencers(moto)
        _take_every_template(moto)
        _leave_out_quietly(moto)
        _leave_queues_alone(moto)
        enforce_roles(moto, kept)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield Aws(f"http://{host}:{port}", kept)
        finally:
            server.stop()


def _send_sequencers(moto: pytest.MonkeyPatch) -> None:
    """S3 has one in each notification; moto has none."""
    plain = notifications._get_s3_event
    numbers = itertools.count(1)

    def event(*arguments: object) -> dict[str, Any]:
        sent: dict[str, Any] = plain(*arguments)  # type: ignore[arg-type] # handed on
        sent["Records"][0]["s3"]["object"]["sequencer"] = f"{next(numbers):016X}"
        return sent

    moto.setattr(notifications, "_get_s3_event", event)


def _take_every_template(moto: pytest.MonkeyPatch) -> None:
    """For moto a warning of cfn-lint is an error; a test of its own has cfn-lint look at the template."""
    moto.setattr(CloudFormationBackend, "validate_template", lambda *_: [])


def _leave_out_quietly(moto: pytest.MonkeyPatch) -> None:
    """It warns of each kind of resource that it cannot make, and for pytest warnings are errors."""
    moto.setattr(parsing, "warnings", SimpleNamespace(warn=lambda *_, **__: None))


def _leave_queues_alone(moto: pytest.MonkeyPatch) -> None:
    """Its event sources run functions in Docker, and know of no batches."""
    none = property(lambda _: {}, lambda *_: None)
    moto.setattr(Queue, "lambda_event_source_mappings", none, raising=False)
