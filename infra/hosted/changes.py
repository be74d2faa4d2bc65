"""One thing that a deployment changes: told before it is made, so that a dry run tells the same."""

from collections.abc import Callable
from typing import NamedTuple


class Change(NamedTuple):
    """A step that is not done yet."""

    text: str
    """What it does, as an order: make bucket photos."""
    make: Callable[[], object]
    """Raises `HostedError`, `PixseekError`."""
