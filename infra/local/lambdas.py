"""Runs a function's zip on this machine as Lambda runs it: the same runtime client, environment and limits.

The code cannot be written to. Left out: the memory limit, that all but /tmp is read-only, and that an
instance sleeps between calls.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

from infra.local.lambda_code import remove, unpack
from infra.local.lambda_instance import Instance
from infra.local.runtime_api import Report

_INIT_S: Final = 10.0
"""What Lambda allows."""
_GRACE_S: Final = 0.2
"""An answer of the last moment may still be on its way."""


@dataclass(frozen=True, slots=True)
class FunctionError:
    """Why a call failed, as its caller is told."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """What became of a call."""

    payload: Any  # whatever JSON the handler returned
    error: FunctionError | None
    took_ms: float


class LambdaInitError(Exception):
    """The function does not get as far as taking events; the message has the cause."""


class LambdaFunction:
    """A deployed function with one instance, as a context manager. Raises `LambdaInitError`."""

    def __init__(
        self,
        zip_path: Path,
        handler: str,
        environment: Mapping[str, str],
        *,
        timeout_s: float = 30.0,
        memory_mb: int = 1024,
        name: str = "function",
        region: str = "eu-central-1",
    ) -> None:
        """`environment` is all that the function gets beside what Lambda itself sets."""
        self.init_ms = 0.0
        """Of the last instance, until it asked for its first event."""
        self._zip = zip_path
        self._handler = handler
        self._environment = dict(environment)
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._name = name
        self._region = region
        self._peak_rss_mb = 0.0
        self._instance: Instance | None = None
        self._closing = ExitStack()

    def __enter__(self) -> "LambdaFunction":
        with ExitStack() as starting:
            self._folder = Path(tempfile.mkdtemp(prefix="pixseek-lambda-"))
            starting.callback(remove, self._folder)
            unpack(self._zip, self.code)
            self._scratch.mkdir()
            starting.callback(self._end)
            self._start()
            self._closing = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def code(self) -> Path:
        """The unpacked zip."""
        return self._folder / "task"

    @property
    def log(self) -> str:
        """What all its instances have written."""
        return self._log.read_text(errors="replace")

    @property
    def peak_rss_mb(self) -> float:
        """The most that an instance ever held."""
        running = self._instance.process.peak_rss_mb() if self._instance else 0.0
        self._peak_rss_mb = max(self._peak_rss_mb, running)
        return self._peak_rss_mb

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self._region}:123456789012:function:{self._name}"

    def invoke(self, event: object) -> Invocation:
        """Call it, and wait for its answer. What has ended, by a timeout or itself, is started anew first."""
        instance = self._instance or self._start()
        instance.api.give(
            event,
            request_id=str(uuid4()),
            function_arn=self.arn,
            deadline_s=time.time() + self._timeout_s,
        )
        report = instance.wait(self._timeout_s + _GRACE_S)
        if report is None:
            return self._failed(instance)
        took_ms = 1000 * (report.at_s - instance.api.given_at_s)
        content = json.loads(report.content)
        if report.kind == "answer":
            return Invocation(content, None, took_ms)
        return Invocation(None, FunctionError(content["errorType"], content["errorMessage"]), took_ms)

    def _failed(self, instance: Instance) -> Invocation:
        """It has ended, or is ended now, as Lambda does after a timeout."""
        error = _ended() if instance.process.exit_code() is not None else _timed_out(self._timeout_s)
        self._end()
        return Invocation(None, error, 1000 * (time.perf_counter() - instance.api.given_at_s))

    @property
    def _scratch(self) -> Path:
        return self._folder / "tmp"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _start(self) -> "Instance":
        instance = Instance(self._handler, self.code, self._own_environment(), self._log)
        self._instance = instance
        report = instance.wait(_INIT_S)
        if report is None or report.kind != "ready":
            self._end()
            raise LambdaInitError(f"{self._handler}: {_why(report)}\n{self.log}")
        self.init_ms = 1000 * (report.at_s - instance.process.started_at_s)
        return instance

    def _end(self) -> None:
        if self._instance:
            self._peak_rss_mb = self.peak_rss_mb
            self._instance.close()
            self._instance = None

    def _own_environment(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
        return {
            "AWS_ACCESS_KEY_ID": "AKIDOFTHEFUNCTION",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-function",
            "AWS_SESSION_TOKEN": "session-of-the-function",
            **self._environment,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": self._name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self._name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
            "AWS_REGION": self._region,
            "LAMBDA_TASK_ROOT": str(self.code),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(self.code),
            "TMPDIR": str(self._scratch),
            "TZ": ":UTC",
            "_HANDLER": self._handler,
        }


def _timed_out(timeout_s: float) -> FunctionError:
    return FunctionError("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds")


def _ended() -> FunctionError:
    return FunctionError("Runtime.ExitError", "Runtime exited without providing a reason")


def _why(report: Report | None) -> str:
    if report is None:
        return f"ended, or did not ask for an event within {_INIT_S:.0f} s"
    content = json.loads(report.content)
    return f"{content['errorType']}: {content['errorMessage']}"
