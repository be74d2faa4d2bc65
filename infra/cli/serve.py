"""`pixseek serve`: the embedded stack, kept running."""

import signal
import time
from contextlib import suppress
from types import FrameType

from rich.console import Console

from infra.local.home import Connection

_CHECK_S = 0.5


def serve() -> None:
    """Run Postgres, the gateway and the functions until Ctrl-C. The data stays for the next start.

    PIXSEEK_PORT chooses another port than 54321, PIXSEEK_HOME another folder for the data.
    """
    from infra.local.stack import Stack

    console = Console()
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt), console.status("starting") as starting, Stack() as stack:
        starting.stop()
        _introduce(console, stack.connection)
        while True:
            stack.check()
            time.sleep(_CHECK_S)
    console.print("stopped")


def _introduce(console: Console, connection: Connection) -> None:
    search = (
        f"curl --get '{connection.search_url}/search' --data-urlencode 'q=a dog on a beach' "
        f"--header 'Authorization: Bearer {connection.service_role_key}'"
    )
    for line in (
        f"supabase address   {connection.supabase_url}",
        f"search             {connection.search_url}/search",
        f"anon key           {connection.anon_key}",
        f"service_role key   {connection.service_role_key}",
        "",
        "index pictures     .venv/bin/pixseek index ~/Pictures",
        f"search them        {search}",
        "",
        "Ctrl-C stops it; the data stays.",
    ):
        console.print(line, highlight=False, soft_wrap=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
