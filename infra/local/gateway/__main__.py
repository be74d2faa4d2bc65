"""`python -m infra.local.gateway`: serve on 127.0.0.1 until SIGTERM."""

import logging
import os
import signal
import socket
import sys

import uvicorn

from infra.local.gateway.app import make_app
from infra.local.gateway.config import WrongSettings, parse_settings

_GRACE_S = 5
_KEEP_ALIVE_S = 75  # longer than clients keep a connection: none is closed under a request


def main() -> None:
    """Exits with one line on stderr when a setting is wrong or the port is taken."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = parse_settings(os.environ)
    except WrongSettings as exc:
        sys.exit(f"gateway: wrong settings: {exc}")
    listener = _listen(settings.port)
    # Uvicorn repeats the signal once it has shut down in order: that is the regular end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        make_app(settings),
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit("gateway: could not start, see above")


def _listen(port: int) -> socket.socket:
    # The protocol has to be named: asyncio turns off Nagle's delay for those alone.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        sys.exit(f"gateway: port {port} of 127.0.0.1 is taken; choose another with GATEWAY_PORT")
    return listener


if __name__ == "__main__":
    main()
