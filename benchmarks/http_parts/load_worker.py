"""Callers who each ask again as soon as they have an answer: `TOKEN=… python -m
benchmarks.http_parts.load_worker URL SECONDS` prints a `load.Load` as JSON."""

import asyncio
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Final

import aiohttp
import numpy as np

from benchmarks.http_parts.callers import remembered
from benchmarks.http_parts.load import Load
from benchmarks.search_parts.data import QUERIES
from benchmarks.search_parts.exact import K

_CALLERS: Final = 32
_EACH: Final = QUERIES // 5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120)
_LOST: Final = "connection lost"
"""Under a request, which aiohttp has sent again on its own: it counts as an error all the same."""


@dataclass(slots=True)
class _Tally:
    times_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class _Caller:
    """One connection."""

    def __init__(self, number: int, tally: _Tally) -> None:
        self._number = number
        self._tally = tally
        self._opened = 0
        self._expected = 1
        """Connections: another one after each that the server has said it would close."""

    async def ask(self, url: str, token: str, until: float) -> None:
        """Callers start at different sentences."""
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(self._note_connection)
        async with aiohttp.ClientSession(
            url,
            connector=aiohttp.TCPConnector(limit=1),
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            trace_configs=[tracing],
        ) as session:
            number = self._number * _EACH
            while time.monotonic() < until:
                await self._ask_once(session, remembered(number))
                number += 1
        if self._opened > self._expected:
            self._tally.errors[_LOST] += self._opened - self._expected

    async def _ask_once(self, session: aiohttp.ClientSession, text: str) -> None:
        started = time.perf_counter()
        try:
            async with session.get("/search", params={"q": text, "limit": K}) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as exc:
            self._tally.errors[type(exc).__name__] += 1
            self._expected = self._opened + 1
            return
        if answer.headers.get("Connection", "").lower() == "close":
            self._expected += 1
        if answer.status == 200:
            self._tally.times_ms.append(1000 * (time.perf_counter() - started))
        else:
            self._tally.errors[str(answer.status)] += 1

    async def _note_connection(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, ___: aiohttp.TraceConnectionCreateEndParams
    ) -> None:
        self._opened += 1


async def _load(url: str, token: str, seconds: float) -> Load:
    tally = _Tally()
    started, processor_started_s = time.monotonic(), time.process_time()
    callers = [_Caller(number, tally) for number in range(_CALLERS)]
    await asyncio.gather(*(caller.ask(url, token, started + seconds) for caller in callers))
    times_ms = tally.times_ms
    return Load(
        callers=_CALLERS,
        elapsed_s=time.monotonic() - started,
        processor_s=time.process_time() - processor_started_s,
        answered=len(times_ms),
        errors=tally.errors,
        p50_ms=float(np.percentile(times_ms, 50)) if times_ms else None,
        p95_ms=float(np.percentile(times_ms, 95)) if times_ms else None,
    )


def main() -> None:
    """Print what came of it."""
    url, seconds = sys.argv[1:]
    load = asyncio.run(_load(url, os.environ["TOKEN"], float(seconds)))
    sys.stdout.write(load.model_dump_json())


if __name__ == "__main__":
    main()
