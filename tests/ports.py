"""Where a stack of a test listens."""

import socket


def free_base_port() -> int:
    """A port that is free together with the two that the functions take."""
    with socket.socket() as gateway, socket.socket() as search, socket.socket() as index:
        gateway.bind(("127.0.0.1", 0))
        base: int = gateway.getsockname()[1]
        try:
            search.bind(("127.0.0.1", base + 10))
            index.bind(("127.0.0.1", base + 11))
        except OSError:
            return free_base_port()
        return base
