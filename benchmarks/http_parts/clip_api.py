"""A CLIP API for sentences that takes 120 ms and next to no processor, and counts what it is asked:
`python -m benchmarks.http_parts.clip_api QUERIES` prints its address.

A sentence that ends with a number has the query vector of that number in the file QUERIES, others have the
first. The first part of the path names who asks; `GET /asked` tells how often who asked for what.
"""

import json
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import numpy as np

DELAY_MS: Final = 120
ASKED: Final = "/asked"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, vectors: Sequence[str]) -> None:
        """Of vectors as JSON."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._vectors = vectors
        self._lock = threading.Lock()

    def note(self, who: str, texts: Sequence[str]) -> None:
        with self._lock:
            self.asked[who].update(texts)

    def counts(self) -> bytes:
        with self._lock:
            return json.dumps(self.asked).encode()

    def embed(self, texts: Sequence[str]) -> bytes:
        vectors = ",".join(self._vectors[_number(text) % len(self._vectors)] for text in texts)
        return f'{{"time": {DELAY_MS / 1000}, "embeddings": [{vectors}]}}'.encode()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(self.server.counts())

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        texts = [text] if isinstance(text, str) else text
        self.server.note(self.path.split("/")[1], texts)
        time.sleep(DELAY_MS / 1000)
        self._send(self.server.embed(texts))

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


def _number(text: str) -> int:
    last = text.split()[-1]
    return int(last) if last.isdecimal() else 0


def main() -> None:
    """Serve until the process is ended."""
    with _Server([json.dumps(row) for row in np.load(sys.argv[1]).tolist()]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
