"""What X-Ray is told of a call."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.telemetry import traced

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
from aws_lambda_powertools.utilities.typing import LambdaContext
from shared.telemetry import traced

@traced
def search(event, context):
    if event["q"] == "fails":
        raise ValueError("of a cat")
    return {"found": "a cat"}

try:
    search({"q": %r}, LambdaContext())
except ValueError:
    pass
"""


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    """X-Ray's, which Lambda runs beside a function."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        yield listening


def _told(daemon: socket.socket, asked: str) -> dict[str, Any]:
    environment = {
        "LAMBDA_TASK_ROOT": "/var/task",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
    }
    subprocess.run([sys.executable, "-c", _PROGRAM % asked], cwd=_ROOT, env=environment, check=True)
    header, _, segment = daemon.recv(65_536).partition(b"\n")
    assert json.loads(header)["format"] == "json"
    told: dict[str, Any] = json.loads(segment)
    return told


def test_each_call_is_a_segment_that_holds_nothing_of_the_answer(daemon: socket.socket) -> None:
    told = _told(daemon, "a dog")

    assert told["name"] == "## search"
    assert told["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
    assert "cat" not in json.dumps(told)


def test_a_call_that_fails_is_marked_with_its_error(daemon: socket.socket) -> None:
    told = _told(daemon, "fails")

    assert told["fault"] is True
    assert told["cause"]["exceptions"][0]["type"] == "ValueError"


def test_a_handler_answers_as_without_traces() -> None:
    def search(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
        return {"asked": event["q"]}

    assert traced(search)({"q": "a cat"}, LambdaContext()) == {"asked": "a cat"}
