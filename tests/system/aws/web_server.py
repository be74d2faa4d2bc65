"""The HTTP API of a stage on a port, for who really sends requests: Supabase's database webhook."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.system.aws.deployed import Deployed
from tests.system.aws.http_api import Request


@dataclass
class WebServer:
    """Where it answers; for nobody, until something is deployed."""

    url: str = ""
    deployed: Deployed | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    """One instance of a function has one call at a time."""


@contextmanager
def web_server() -> Iterator[WebServer]:
    """On a free port."""
    web = WebServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            url = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), content)
            if web.deployed is None:
                self._send(503, b"")
                return
            with web.lock:
                answer = web.deployed.request(request)
            self._send(answer.status, answer.content)

        do_GET = do_POST  # noqa: N815 -- the library's name

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield web
        server.shutdown()
