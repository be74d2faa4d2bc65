"""How a command ends when something is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape


@contextmanager
def one_message(*errors: type[Exception], exit_code: int = 1) -> Iterator[None]:
    """An error that is raised on purpose is one message on stderr, not a traceback, and ends the command."""
    try:
        yield
    except errors as exc:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]error:[/] {escape(str(exc))}")
        sys.exit(exit_code)
