"""A stand-in for Roboflow's CLIP API that fails now and then, and knows whom it has answered what:
`python -m benchmarks.chaos_parts.clip_api PORT SEED`.

The first part of the path names who asks. `GET /answers` tells every answer to a picture, `GET /next` who
gets the next one, as soon as it is sent.
"""

import base64
import hashlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, Final

CALM: Final = "sweep"
"""Who never meets a fault."""
NEXT: Final = "/next"
_NEXT_S: Final = 5.0
_FAULTY: Final = 0.05
_FAULTS: Final = ("500", "500", "429", "429", "hang", "long hang", "reset")
_HANGS_S: Final = 1.5
_HANGS_LONG_S: Final = 25.0
"""Longer than a function has."""
_TAKES_S: Final = (0.01, 0.06)
_DIMENSIONS: Final = 512


@dataclass(frozen=True, slots=True)
class Answer:
    """A vector that was sent."""

    worker: str
    digest: str
    """Of the picture as it came."""
    at_s: float
    """`time.monotonic`."""


def embedding(content: bytes) -> list[float]:
    """A function of the bytes; not of length 1, as CLIP's own is not."""
    numbers = struct.unpack(f"<{_DIMENSIONS}h", hashlib.shake_256(content).digest(2 * _DIMENSIONS))
    return [number / 44_000 for number in numbers]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, seed: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers: list[Answer] = []
        self.faults = 0
        self.answered = threading.Condition()
        self._random = Random(seed)  # noqa: S311 -- what goes wrong
        self._lock = threading.Lock()

    def draw(self, worker: str) -> tuple[str | None, float]:
        """A fault or none, and how long it takes."""
        with self._lock:
            is_faulty = self._random.random() < _FAULTY and worker != CALM
            self.faults += is_faulty
            return (self._random.choice(_FAULTS) if is_faulty else None), self._random.uniform(*_TAKES_S)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        if self.path == NEXT:
            with self.server.answered:
                self.server.answered.wait(_NEXT_S)
            self._send(200, {"worker": self.server.answers[-1].worker if self.server.answers else ""})
            return
        self._send(200, {"answers": list(map(asdict, self.server.answers)), "faults": self.server.faults})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        worker = self.path.split("/")[1]
        fault, takes_s = self.server.draw(worker)
        if "image" not in request:
            self._send_vectors([text.encode() for text in request["text"]])
            return
        time.sleep(takes_s)
        if fault is not None:
            self._fail(fault)
            return
        content = base64.b64decode(request["image"]["value"])
        answer = Answer(worker, hashlib.sha256(content).hexdigest(), time.monotonic())
        self.server.answers.append(answer)
        try:
            self._send_vectors([content])
        except OSError:  # whoever asked is no more, and has not got it
            self.server.answers.remove(answer)
            raise
        with self.server.answered:
            self.server.answered.notify_all()

    def _fail(self, fault: str) -> None:
        match fault:
            case "429":
                self._send(429, {"message": "Too many requests."}, **{"Retry-After": "1"})
            case "500":
                self._send(500, {"message": "Internal error."})
            case "reset":
                self._reset()
            case _:
                time.sleep(_HANGS_S if fault == "hang" else _HANGS_LONG_S)
                self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def _send_vectors(self, contents: Sequence[bytes]) -> None:
        self._send(200, {"time": 0.01, "embeddings": [embedding(content) for content in contents]})

    def _send(self, status: int, body: dict[str, Any], **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


def main() -> None:
    """Serve until the process is ended."""
    _Server(int(sys.argv[1]), sys.argv[2]).serve_forever()


if __name__ == "__main__":
    main()
