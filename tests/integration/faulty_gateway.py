"""The stack's gateway as an outage leaves it: some paths hang, or answer something else."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx

from shared.events.supabase import SECRET_HEADER
from tests.http_servers import Handler, serving

_HANGS_S: Final = 15.0
"""Not for ever: a test of what waits for it then fails instead of hanging."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer in place of the gateway's; None hangs."""

    status: int | None
    body: bytes = b""
    content_type: str = "application/json"


HANG: Final = Fault(None)


@dataclass
class FaultyGateway:
    """Where it answers, and what befalls requests whose paths begin so."""

    url: str
    faults: dict[str, Fault] = field(default_factory=dict)
    ahead_s: float = 0.0
    """Of all other clocks."""
    with_secrets: list[str] = field(default_factory=list)
    """The paths that came with a key, a token or a webhook's secret."""

    def fault_of(self, path: str) -> Fault | None:
        return next((fault for start, fault in self.faults.items() if path.startswith(start)), None)


@contextmanager
def faulty_gateway(upstream: str) -> Iterator[FaultyGateway]:
    """In front of another, whose answers it hands on."""
    closing = threading.Event()
    client = httpx.Client(base_url=upstream, timeout=30)

    class Answering(Handler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            content = self.content()
            if {"authorization", "apikey", SECRET_HEADER} & {name.lower() for name in self.headers}:
                gateway.with_secrets.append(self.path)
            fault = gateway.fault_of(self.path)
            if fault is None:
                kept = {
                    "authorization",
                    "apikey",
                    "content-type",
                    "accept",
                    "accept-profile",
                    "content-profile",
                    "prefer",
                    SECRET_HEADER,
                }
                headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
                answer = client.request(self.command, self.path, content=content, headers=headers)
                fault = Fault(answer.status_code, answer.content, answer.headers.get("content-type", ""))
            if fault.status is None:
                closing.wait(_HANGS_S)
                self.close_connection = True
                return
            self.answer(fault.status, fault.body, {"content-type": fault.content_type})

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever asked may leave
                super().handle()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + gateway.ahead_s)

    gateway = FaultyGateway("")
    with client, serving(Answering) as gateway.url:
        try:
            yield gateway
        finally:
            closing.set()
