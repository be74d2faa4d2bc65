"""A stand-in for Roboflow's CLIP API on a socket of its own; it keeps what arrives and misbehaves on demand.

As a process: `python -m tests.roboflow_api PORT DELAY_MS LIMIT_PER_S` prints its address; `GET /counts` there
says what has arrived.
"""

import argparse
import json
import math
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit
from weakref import WeakSet

from tests.roboflow_replies import Replies, Reply, as_json


@dataclass(frozen=True)
class Arrival:
    """A request, as it came."""

    route: str
    content: bytes
    """Empty when it is not kept."""
    size_bytes: int
    at_s: float
    """`time.monotonic`."""
    at_once: int
    """How many were in hand then, this one included."""
    is_refused: bool
    """By the limit."""

    @property
    def body(self) -> dict[str, Any]:
        """The content, parsed."""
        body: dict[str, Any] = json.loads(self.content)
        return body


class RoboflowApi:
    """What has arrived, and what is to befall the next requests. Threads share it."""

    def __init__(self, replies: Replies, *, limit_per_s: float, keeps_contents: bool) -> None:
        self.url = ""
        self.arrivals: list[Arrival] = []
        self.connections = 0
        self.next: deque[Fault] = deque()
        self.otherwise: Fault = delayed(0)
        self.closing = threading.Event()
        self.replies = replies
        self._limit_per_s = limit_per_s
        self._keeps_contents = keeps_contents
        self._lock = threading.Lock()
        self._in_hand = 0
        self._last_second: deque[float] = deque()

    @property
    def most_at_once(self) -> int:
        """How many requests were in hand at the busiest moment."""
        return max((arrival.at_once for arrival in self.arrivals), default=0)

    def begin(self, route: str, content: bytes) -> "Fault":
        """What is to befall it. More than the limit within any second are refused."""
        kept = content if self._keeps_contents else b""
        with self._lock:
            now = time.monotonic()
            self._in_hand += 1
            self._last_second.append(now)
            while self._last_second[0] <= now - 1:
                self._last_second.popleft()
            is_refused = len(self._last_second) > self._limit_per_s
            self.arrivals.append(Arrival(route, kept, len(content), now, self._in_hand, is_refused))
            if is_refused:
                return _refused
            return self.next.popleft() if self.next else self.otherwise

    def end(self) -> None:
        """One request less is in hand."""
        with self._lock:
            self._in_hand -= 1

    def counts(self) -> dict[str, object]:
        """Times and seconds are counted from the first arrival."""
        with self._lock:
            arrivals = list(self.arrivals)
        times_s = [arrival.at_s - arrivals[0].at_s for arrival in arrivals]
        refused_s = [at_s for at_s, arrival in zip(times_s, arrivals, strict=True) if arrival.is_refused]
        return {
            "arrivals_s": times_s,
            "refused_s": refused_s,
            "largest_bytes": max((arrival.size_bytes for arrival in arrivals), default=0),
        }


class Exchange(BaseHTTPRequestHandler):
    """One connection, and the request on it that is in hand."""

    server: "_Server"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.content = b""
        self.is_in_hand = False
        self.api = self.server.api

    def handle(self) -> None:
        with suppress(ConnectionError):  # whoever asked may leave
            super().handle()

    def do_GET(self) -> None:
        self.send(as_json(200, self.api.counts()))

    def do_POST(self) -> None:
        self.content = self.rfile.read(int(self.headers["Content-Length"]))
        address = urlsplit(self.path)
        keys = [
            parse_qs(address.query).get("api_key", [None])[0],
            self.headers.get("Authorization", "").removeprefix("Bearer "),
        ]
        fault = self.api.begin(address.path, self.content)
        self.is_in_hand = True
        try:
            fault(self, self.api.replies.to(address.path, keys, self.content))
        finally:
            self.leave_hand()

    def leave_hand(self) -> None:
        """Before the last byte is sent: who has it may ask again at once."""
        if self.is_in_hand:
            self.is_in_hand = False
            self.api.end()

    def send(self, reply: Reply, *, length: int | None = None) -> None:
        """The whole reply, or its head and so many bytes of its content."""
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.content))}.items():
            self.send_header(name, value)
        self.leave_hand()
        self.end_headers()
        self.wfile.write(reply.content[:length])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


Fault: TypeAlias = Callable[[Exchange, Reply], None]
"""Ends an exchange in its own way; it is given the proper reply."""


def delayed(delay_s: float) -> Fault:
    """The proper reply, after so long."""

    def fault(exchange: Exchange, reply: Reply) -> None:
        exchange.api.closing.wait(delay_s)
        exchange.send(reply)

    return fault


def _refused(exchange: Exchange, _: Reply) -> None:
    exchange.send(as_json(429, {"message": "Too many requests."}))


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, port: int, api: RoboflowApi) -> None:
        super().__init__(("127.0.0.1", port), Exchange)
        self.api = api
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._sockets.add(connection)
        self.api.connections += 1
        return connection, address

    def server_close(self) -> None:
        """Ends also the connections that the other side keeps open."""
        self.api.closing.set()
        for connection in list(self._sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


@contextmanager
def serving(
    port: int = 0,
    *,
    key: str | None = None,
    is_old: bool = False,
    limit_per_s: float = math.inf,
    keeps_contents: bool = True,
) -> Iterator[RoboflowApi]:
    """On a free port, until the end of the block."""
    replies = Replies(key=key, is_old=is_old)
    api = RoboflowApi(replies, limit_per_s=limit_per_s, keeps_contents=keeps_contents)
    with _Server(port, api) as server:
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        try:
            yield api
        finally:
            server.shutdown()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.roboflow_api")
    parser.add_argument("port", type=int, help="0 for one that is free")
    parser.add_argument("delay_ms", type=float)
    parser.add_argument("limit_per_s", type=float)
    options = parser.parse_args()
    with serving(options.port, limit_per_s=options.limit_per_s, keeps_contents=False) as api:
        api.otherwise = delayed(options.delay_ms / 1000)
        sys.stdout.write(f"{api.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
