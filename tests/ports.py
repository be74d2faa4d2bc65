"""Where a server of a test listens."""

import os
import socket
from collections.abc import Iterator
from itertools import cycle

_WORKERS = 16
_TAKEN_BY_A_STACK = 12  # the gateway's, and the functions' ten and eleven above it
# Below what systems give to outgoing connections and to servers that ask for any port: nothing else takes one
# between the look here and the server's start. Each worker has its own.
_BASES = range(12_000, 32_000, _TAKEN_BY_A_STACK)
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_own = _BASES[_worker::_WORKERS]
_start = os.getpid() % len(_own)  # two runs at once begin apart
_bases: Iterator[int] = cycle([*_own[_start:], *_own[:_start]])


def free_base_port() -> int:
    """A port that is free together with the two that the functions take.

    Raises:
        OSError: every port of this worker is taken.
    """
    for _ in _own:
        base = next(_bases)
        if all(map(_is_free, (base, base + 10, base + 11))):
            return base
    raise OSError(f"no port of {_own} is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
