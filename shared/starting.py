"""How a process gets ready: what its first caller waits for."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Imports inside make nothing but what stays: to look for garbage among it takes 7 % of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
