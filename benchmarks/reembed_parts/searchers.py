"""Searchers at work, in a process of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.reembed_parts.running import Running, module

_ENDED_S: Final = 180.0
"""Longer than a searcher's patience."""


@contextmanager
def searching(running: Running, name: str) -> Iterator[Path]:
    """They ask again as soon as they have an answer, until the end of the block; after it their log is
    whole. Raises `RuntimeError` when they end badly.
    """
    connection = running.stack.connection
    log = running.home.path / f"{name}.jsonl"
    arguments = [connection.search_url, str(log)]
    with module(
        "benchmarks.reembed_parts.search_worker", arguments, TOKEN=connection.service_role_key
    ) as process:
        yield log
        process.communicate(timeout=_ENDED_S)
    if process.returncode:
        raise RuntimeError(f"the searchers ended with code {process.returncode}")
