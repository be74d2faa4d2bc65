"""The contenders: each a caller with one connection that stays open."""

from collections.abc import Callable
from itertools import count

import httpx
from postgrest import SyncPostgrestClient
from pydantic import BaseModel, TypeAdapter

from benchmarks.http_parts import search_rpc
from benchmarks.http_parts.stages import Stages, read_stages
from benchmarks.search_parts.data import QUERIES
from benchmarks.search_parts.exact import K
from benchmarks.search_parts.timing import Search
from infra.local.home import Connection

_TIMEOUT_S = 60


class _Result(BaseModel):
    id: int
    url: str


class _Answer(BaseModel):
    results: list[_Result]


_ROWS = TypeAdapter(list[_Result])


class Function:
    """A caller of the search function, who keeps what it says of its stages."""

    def __init__(self, url: str, token: str, text_of: Callable[[int], str]) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S)
        self._text_of = text_of
        self.stages: list[Stages] = []
        """Of each search, in order, those to get warm among them."""

    def search(self, number: int) -> list[int]:
        """Raises when there is no answer, or a hit has no link."""
        answer = self._client.get("/search", params={"q": self._text_of(number), "limit": K})
        answer.raise_for_status()
        results = _Answer.model_validate_json(answer.content).results
        self.stages.append(read_stages(answer.headers["Server-Timing"]))
        return [result.id for result in results]


def remembered(number: int) -> str:
    """The text of a query, always the same; the queries repeat."""
    return f"sentence {number % QUERIES}"


def unknown() -> Callable[[int], str]:
    """Texts of a query, a new one each time."""
    numbers = count()
    return lambda number: f"attempt {next(numbers)} at sentence {number}"


def bare_rpc(connection: Connection, token: str, model: str) -> Search:
    """The function's search call alone, by the client that the function uses."""
    client = SyncPostgrestClient(
        f"{connection.supabase_url}/rest/v1",
        headers={"apikey": connection.anon_key, "Authorization": f"Bearer {token}"},
        http_client=httpx.Client(timeout=_TIMEOUT_S),
    )

    def search(number: int) -> list[int]:
        arguments = search_rpc.arguments(remembered(number), model)
        # postgrest types arguments as text; its wire format is any JSON.
        return search_rpc.ids(client.rpc(search_rpc.FUNCTION, arguments).execute().data)  # type: ignore[arg-type]

    return search


def guide_handler(url: str) -> Search:
    """The guide's handler."""
    client = httpx.Client(base_url=url, timeout=_TIMEOUT_S)

    def search(number: int) -> list[int]:
        answer = client.get("/search", params={"q": remembered(number)})
        answer.raise_for_status()
        return [row.id for row in _ROWS.validate_json(answer.content)]

    return search
