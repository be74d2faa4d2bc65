"""A CLIP API that takes 120 ms and next to no processor: `python -m benchmarks.ingest_parts.api` prints its
address.

It looks at no picture, so that the guide, which sends whole files, has no cost of ours here.
"""

import hashlib
import json
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

DELAY_S: Final = 0.12
_DIMENSIONS: Final = 512


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(DELAY_S)
        numbers = struct.unpack(f"<{_DIMENSIONS}h", hashlib.shake_256(content).digest(2 * _DIMENSIONS))
        body = json.dumps({"embeddings": [[number / 44_000 for number in numbers]], "time": DELAY_S}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serve until the process is ended."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
