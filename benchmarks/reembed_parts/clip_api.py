"""A stand-in for Roboflow's CLIP API with two models, that takes 120 ms and next to no processor:
`python -m benchmarks.reembed_parts.clip_api` prints its address, and serves until its input ends.

The first part of the path names who asks; `GET /asked` tells who asked when for what.
"""

import json
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal

from benchmarks.reembed_parts.space import VERSIONS, Floats, Space

DELAY_S: Final = 0.12
ASKED: Final = "/asked"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was answered."""

    who: str
    version: str
    kind: Literal["image", "text"]
    count: int
    at_s: float
    """When it came, by `time.monotonic`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spaces = {version: Space(version) for version in VERSIONS}
        self.asked: list[Asked] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._send(json.dumps([asdict(asked) for asked in self.server.asked]).encode())

    def do_POST(self) -> None:
        came_s = time.monotonic()
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        who = self.path.split("/")[1]
        answer, kind, count = self._answered(request)
        time.sleep(max(0.0, came_s + DELAY_S - time.monotonic()))
        self._send(answer)
        self.server.asked.append(Asked(who, request["clip_version_id"], kind, count, came_s))

    def _answered(self, request: dict[str, Any]) -> tuple[bytes, Literal["image", "text"], int]:
        space = self.server.spaces[request["clip_version_id"]]
        if "image" in request:
            return _embeddings([space.picture(request["image"]["value"].encode())]), "image", 1
        texts = [request["text"]] if isinstance(request["text"], str) else request["text"]
        return _embeddings([space.text(text) for text in texts]), "text", len(texts)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


def _embeddings(vectors: Sequence[Floats]) -> bytes:
    return json.dumps({"time": DELAY_S, "embeddings": [vector.tolist() for vector in vectors]}).encode()


def main() -> None:
    """Serve until whoever started it is gone."""
    with _Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
