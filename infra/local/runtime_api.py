"""Lambda's Runtime API, for one process of a function: where that takes its events from and answers them."""

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from types import TracebackType
from typing import Literal

Kind = Literal["ready", "answer", "error", "init_error"]


@dataclass(frozen=True, slots=True)
class Report:
    """What the process has said."""

    kind: Kind
    content: bytes
    at_s: float
    """Of `time.perf_counter`."""


@dataclass(frozen=True, slots=True)
class _Given:
    content: bytes
    headers: Mapping[str, str]


class RuntimeApi:
    """A server on this machine, as a context manager. Reports come in the order of their arrival."""

    def __init__(self) -> None:
        self.reports: Queue[Report] = Queue()
        self._given: Queue[_Given | None] = Queue()
        self._given_at_s = 0.0
        self._is_ready = False
        self._server = _Server(("127.0.0.1", 0), self)

    def __enter__(self) -> "RuntimeApi":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._given.put(None)
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Host and port, as AWS_LAMBDA_RUNTIME_API has them."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def given_at_s(self) -> float:
        """When the last event went out, of `time.perf_counter`."""
        return self._given_at_s

    def give(self, event: object, *, request_id: str, function_arn: str, deadline_s: float) -> None:
        """Hand out an event, to be answered by `deadline_s` of `time.time`."""
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(1000 * deadline_s)),
            "Lambda-Runtime-Invoked-Function-Arn": function_arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{'0' * 24};Sampled=0",
            "Content-Type": "application/json",
        }
        self._given.put(_Given(json.dumps(event).encode(), headers))

    def next(self) -> _Given | None:
        """What the process is to work on; waits until there is something. None at the end."""
        if not self._is_ready:
            self._is_ready = True
            self.report("ready", b"")
        given = self._given.get()
        self._given_at_s = time.perf_counter()
        return given

    def report(self, kind: Kind, content: bytes) -> None:
        """The process has said something."""
        self.reports.put(Report(kind, content, time.perf_counter()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], api: RuntimeApi) -> None:
        super().__init__(address, _Exchange)
        self.api = api


class _Exchange(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

    def handle(self) -> None:
        with suppress(ConnectionError):  # the process may be killed
            super().handle()

    def do_GET(self) -> None:
        given = self.server.api.next()
        if given is None:
            self.close_connection = True
            return
        self._send(200, given.content, given.headers)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.api.report(_kind_of(self.path), content)
        self._send(202, b"", {})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


def _kind_of(path: str) -> Kind:
    if path.endswith("/init/error"):
        return "init_error"
    return "error" if path.endswith("/error") else "answer"
