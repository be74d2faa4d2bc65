"""What stands between the workers and their storage, and fails now and then:
`python -m benchmarks.chaos_parts.proxy PORT UPSTREAM_PORT PATHS SEED`.

Only requests whose path begins with PATHS fail. `GET /chaos` tells the faults, and which content hashes have
got their vector when.
"""

import http.client
import json
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Final

_FAULTY: Final = 0.02
_FAULTS: Final = ("503", "500", "reset", "reset after", "cut")
_OUTAGES: Final = 0.05
"""Of the faults: those that begin an outage, in which every request fails."""
_OUTAGE_S: Final = 0.5
_REPORT: Final = "/chaos"
_STORES: Final = "/rest/v1/rpc/store_vectors_v2"
_OF_A_HOP: Final = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_OF_A_CALL: Final = {"connection", "expect"}
_NO_ANSWER: Final = b'{"statusCode":"503","error":"ServiceUnavailable","message":"chaos"}'


@dataclass(frozen=True, slots=True)
class Stored:
    """A vector that the database has taken."""

    content_hash: str
    at_s: float
    """`time.monotonic`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, upstream_port: int, paths: str, seed: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.upstream_port = upstream_port
        self.stored: list[Stored] = []
        self.requests = 0
        self.faults = 0
        self._paths = paths
        self._random = Random(seed)  # noqa: S311 -- what goes wrong
        self._outage_until = 0.0
        self._lock = threading.Lock()

    def draw(self, path: str) -> str | None:
        """A fault or none."""
        if not path.startswith(self._paths):
            return None
        with self._lock:
            self.requests += 1
            now = time.monotonic()
            if now > self._outage_until:
                if self._random.random() >= _FAULTY:
                    return None
                if self._random.random() < _OUTAGES:
                    self._outage_until = now + _OUTAGE_S
            self.faults += 1
            return self._random.choice(_FAULTS)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream_port, timeout=60)

    def finish(self) -> None:
        self._upstream.close()
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def _pass_on(self) -> None:
        if self.path == _REPORT:
            self._report()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.draw(self.path)
        if fault in {"500", "503"}:
            self._send(int(fault), [("Content-Type", "application/json")], _NO_ANSWER)
        elif fault == "reset":
            self._reset()
        else:
            self._exchange(body, fault)

    do_GET = _pass_on
    do_HEAD = _pass_on
    do_PUT = _pass_on
    do_POST = _pass_on
    do_DELETE = _pass_on

    def _exchange(self, body: bytes, fault: str | None) -> None:
        try:
            answer, content = self._ask(body)
        except (OSError, http.client.HTTPException):
            self._upstream.close()
            self._reset()
            return
        if self.path == _STORES and answer.status == http.HTTPStatus.OK:
            self._note(body)
        if fault == "reset after":
            self._reset()
            return
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OF_A_HOP]
        length = answer.headers["Content-Length"] if self.command == "HEAD" else None
        self._send(answer.status, headers, content, length=length, is_cut=fault == "cut")

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Upstream may have closed a connection that was idle: nothing has happened yet then."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_CALL}
        try:
            self._upstream.request(self.command, self.path, body, headers)
            answer = self._upstream.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError):
            self._upstream.close()
            self._upstream.request(self.command, self.path, body, headers)
            answer = self._upstream.getresponse()
        return answer, answer.read()

    def _note(self, body: bytes) -> None:
        at_s = time.monotonic()
        self.server.stored += [
            Stored(item["content_hash"], at_s) for item in json.loads(body)["vectors"] if item["embedding"]
        ]

    def _report(self) -> None:
        server = self.server
        report = {
            "requests": server.requests,
            "faults": server.faults,
            "stored": list(map(asdict, server.stored)),
        }
        self._send(200, [("Content-Type", "application/json")], json.dumps(report).encode())

    def _send(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        *,
        length: str | None = None,
        is_cut: bool = False,
    ) -> None:
        """The whole answer, or half of it and then a reset."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self._reset()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


def main() -> None:
    """Serve until the process is ended."""
    _, port, upstream_port, paths, seed = sys.argv
    _Server(int(port), int(upstream_port), paths, seed).serve_forever()


if __name__ == "__main__":
    main()
