"""The HTTP API of a stage on a port, for who really sends requests: Supabase's database webhook."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from tests.http_servers import Handler, serving
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

    class Answering(Handler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            url = urlsplit(self.path)
            query, headers = dict(parse_qsl(url.query)), dict(self.headers)
            request = Request(self.command, url.path, query, headers, self.content())
            if web.deployed is None:
                self.answer(503)
                return
            with web.lock:
                answer = web.deployed.request(request)
            self.answer(answer.status, answer.content)

        do_GET = do_POST

    with serving(Answering) as web.url:
        yield web
