"""Searchers who each ask again as soon as they have an answer: `TOKEN=… python -m
benchmarks.reembed_parts.search_worker URL LOG` logs each search, and ends with its input."""

import asyncio
import os
import sys
import time
from pathlib import Path
from random import Random
from typing import IO, Final

import aiohttp
from pydantic import BaseModel, ValidationError

from benchmarks.reembed_parts.searches import LIMIT, SEARCHERS, TEXTS, Answer, Attempt, Search, text_of, write

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
_PATIENCE_S: Final = 120.0
_PAUSE_S: Final = 0.2


class _Result(BaseModel):
    id: int
    similarity: float


class _Reply(BaseModel):
    results: list[_Result]
    model: str


class _Searcher:
    """One connection."""

    def __init__(self, number: int, session: aiohttp.ClientSession, log: IO[bytes]) -> None:
        self._number = number
        self._session = session
        self._log = log
        self._random = Random(number)  # noqa: S311 -- what is asked for

    async def ask(self, is_over: asyncio.Event) -> None:
        """All texts in an order of its own, again and again."""
        while True:
            for text in self._random.sample(range(TEXTS), TEXTS):
                if is_over.is_set():
                    return
                self._log.write(write(await self._search(text)))

    async def _search(self, text: int) -> Search:
        """Again until there is an answer."""
        failures: list[Attempt] = []
        started_s = time.monotonic()
        while True:
            attempted_s = time.monotonic()
            outcome = await self._attempt(text)
            ended_s = time.monotonic()
            if isinstance(outcome, Answer) or ended_s > started_s + _PATIENCE_S:
                answer = outcome if isinstance(outcome, Answer) else None
                return Search(self._number, text, started_s, ended_s, answer, failures)
            failures.append(Attempt(attempted_s, ended_s, outcome))
            await asyncio.sleep(_PAUSE_S)

    async def _attempt(self, text: int) -> Answer | str:
        # Each answer is compared with all there is: no floor.
        parameters: dict[str, str | int] = {"q": text_of(text), "limit": LIMIT, "min_similarity": -1}
        try:
            async with self._session.get("/search", params=parameters) as response:
                body = await response.read()
            if response.status != 200:
                return str(response.status)
            reply = _Reply.model_validate_json(body)
        except (aiohttp.ClientError, TimeoutError, ValidationError) as exc:
            return type(exc).__name__
        results = reply.results
        return Answer(reply.model, [hit.id for hit in results], [hit.similarity for hit in results])


async def _search_on(url: str, token: str, log: IO[bytes]) -> None:
    is_over = asyncio.Event()
    async with aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=SEARCHERS),
        headers={"Authorization": f"Bearer {token}"},
        timeout=_TIMEOUT,
    ) as session:
        searchers = [_Searcher(number, session, log) for number in range(SEARCHERS)]
        async with asyncio.TaskGroup() as tasks:
            for searcher in searchers:
                tasks.create_task(searcher.ask(is_over))
            await asyncio.to_thread(sys.stdin.read)
            is_over.set()


def main() -> None:
    """Search until whoever started it is gone."""
    url, path = sys.argv[1:]
    with Path(path).open("wb") as log:
        asyncio.run(_search_on(url, os.environ["TOKEN"], log))


if __name__ == "__main__":
    main()
