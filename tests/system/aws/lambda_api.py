"""Lambda's own API, as far as a function calls others by it: what it is told to invoke later, it keeps."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Asked:
    """To be invoked, without an answer."""

    function_arn: str
    kind: str
    payload: Any


@dataclass
class LambdaApi:
    """Whatever was asked of it, in order."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def lambda_api() -> Iterator[LambdaApi]:
    """On a free port."""
    api = LambdaApi()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            arn = unquote(self.path.split("/")[3])
            api.asked.append(Asked(arn, self.headers["X-Amz-Invocation-Type"], payload))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield api
        server.shutdown()
