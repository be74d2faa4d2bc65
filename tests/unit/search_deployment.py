"""The search API over ports that do as they are told."""

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

from infra.local.home import Connection
from shared.callers import Caller
from shared.database import Database
from shared.errors import AccessDenied
from shared.hits import Page, Query
from shared.models import Vector
from shared.wiring import Adapters
from tests.search_api import Answer, SearchApi
from tests.unit.search_ports import AskedEmbedder, AskedIndex, AskedStore, OneEmbedder

USER_ID = "11111111-1111-4111-8111-111111111111"


class AskedDatabase(AskedIndex):
    """The index, and all else that is asked of a database."""

    def __init__(self) -> None:
        super().__init__()
        self.wait_s = 0.0
        self.meet: Callable[[], object] = lambda: None
        """Before each search."""

    def nearest(self, query: Query, *, model: str, caller_token: str, deadline: float = math.inf) -> Page:
        self.meet()
        return super().nearest(query, model=model, caller_token=caller_token, deadline=deadline)

    def count_request(self, caller: str, *, per_minute: int, deadline: float = math.inf) -> float:  # noqa: ARG002
        return self.wait_s

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        pass

    def count_spared(self) -> None:
        pass

    def count_asked(self, texts: Sequence[str]) -> None:
        pass

    def owner_rule(self, bucket: str) -> str | None:  # noqa: ARG002
        return "first_segment"


class AskedCallers:
    """Knows every token that begins with `user`."""

    def __init__(self) -> None:
        self.meet: Callable[[], object] = lambda: None
        """Before each answer."""

    def caller(self, token: str) -> Caller:
        self.meet()
        if token.startswith("user"):
            return Caller(token, USER_ID)
        raise AccessDenied(f"not a token: {token}")

    def operator(self, token: str) -> Caller | None:  # noqa: ARG002
        return None


class Deployment:
    """One, with its ports at hand."""

    def __init__(self, **settings: str) -> None:
        self.embedder = AskedEmbedder()
        self.embedders = OneEmbedder(self.embedder)
        self.store = AskedStore()
        self.database = AskedDatabase()
        self.callers = AskedCallers()
        self.api = SearchApi(
            Connection("https://a.example", "", "anon", "service"), self._adapters, **settings
        )

    def ask(self, method: str, path: str, *, token: str | None = "user 1", **request: Any) -> Answer:  # noqa: S107, ANN401 -- as httpx takes it
        return self.api.ask(method, path, token=token, **request)

    def _adapters(self) -> Adapters:
        return Adapters(
            cast(Any, self.embedders),
            cast(Any, self.store),
            cast(Database, self.database),
            cast(Any, self.callers),
        )


def problem_in(answer: Answer, status: int, name: str) -> dict[str, Any]:
    """The problem that an answer is, as RFC 9457 has it."""
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["type"]) == (status, f"urn:pixseek:problem:{name}")
    assert len(problem["request_id"]) == 32
    return problem
