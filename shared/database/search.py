"""The adapter's part for searches: what is found with the caller's rights, and how often somebody asks."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import httpx
from postgrest import SyncPostgrestClient
from pydantic import TypeAdapter

from shared.database.answers import BUCKETS, FOUND, NAME, NOTHING, SECONDS, SHOWN, image_state, page
from shared.database.arguments import part_item, rounded
from shared.database.calls import call, limit_time, refuse_outage
from shared.errors import AccessDenied, PixseekError, SettingsError
from shared.hits import ImageState, Page, Query
from shared.models import Lane, ObjectRef, Vector
from shared.tls import tls_context

_Reply = TypeVar("_Reply")
_COUNT_SPARED_EVERY_S: Final = 1.0
_COUNT_ASKED_EVERY_S: Final = 30.0
_MOST_ASKED: Final = 400
_REMEMBERED_LATELY_S: Final = 5.0
_MOST_REMEMBERED: Final = 1000


class SearchDatabase:
    """An `ImageSearch`, a `QueryMemory`, a `RequestCounter` and `BucketRules` over one Supabase project."""

    def __init__(
        self,
        url: str,
        *,
        service_key: str,
        anon_key: str,
        timeout_s: float,
        lane: Lane,
        costs: Callable[[str], bool],
        keeps_asked_texts: bool = True,
    ) -> None:
        """`costs`: whether a model's calls cost money, so that permits count them."""
        self._url = f"{url}/rest/v1"
        self._lane = lane
        self._http = httpx.Client(
            verify=tls_context(),
            timeout=timeout_s,
            event_hooks={"request": [limit_time], "response": [refuse_outage]},
        )
        self._service_key = service_key
        self._service = self._client(service_key, service_key)
        self._anon_key = anon_key
        self.costs = costs
        self._keeps_asked_texts = keeps_asked_texts
        self._spared = 0
        self._spared_told_at = -math.inf
        self._asked: Counter[str] = Counter()
        self._asked_told_at = time.monotonic()
        self._remembered_at: dict[tuple[str, str], float] = {}
        self._noting = threading.Lock()

    def nearest(self, query: Query, *, model: str, caller_token: str, deadline: float = math.inf) -> Page:
        """The nearest pictures that the caller may see, or which texts of the query are not remembered."""
        arguments = {
            "query": [part_item(part) for part in query.parts],
            "match_count": query.limit,
            "model_name": model,
            "min_similarity": query.min_similarity,
            "filters": dict(query.filters),
            "page_cursor": query.cursor,
        }
        return page(self._read("search_images_v2", arguments, FOUND, caller_token, deadline))

    def image(self, image_id: int, *, caller_token: str, deadline: float = math.inf) -> ImageState:
        """A picture that the caller may see. Raises `UnknownImage`."""
        return image_state(self._read("image_v1", {"image_id": image_id}, SHOWN, caller_token, deadline))

    def image_named(self, ref: ObjectRef, *, caller_token: str, deadline: float = math.inf) -> ImageState:
        """The same by its name in its bucket. Raises `UnknownImage`."""
        arguments = {"bucket_name": ref.bucket, "image_name": ref.name}
        return image_state(self._read("image_v1", arguments, SHOWN, caller_token, deadline))

    def cursor_model(self, cursor: str, *, deadline: float = math.inf) -> str:
        """The model of the search that a cursor goes on with."""
        return self._read("cursor_model_v1", {"page_cursor": cursor}, NAME, self._anon_key, deadline)

    def active_model(self, deadline: float = math.inf) -> str:
        """The model that searches use. Raises `SettingsError` when there is none."""
        return self._read("active_model_v1", {}, NAME, self._anon_key, deadline)

    def remember(self, text: str, vector: Vector, *, model: str) -> None:
        """Spare the next search for this text the call to the model."""
        if self._is_being_remembered(model, text):
            return
        arguments = {"query_text": text, "query_embedding": rounded(vector), "model_name": model}
        try:
            self.write("remember_query_v1", arguments, NOTHING)
            if not self.costs(model):
                self.write("count_calls_v1", {"lane": self._lane, "made": 1}, NOTHING)
        except PixseekError:
            self._remembered_at.pop((model, text), None)
            raise

    def _is_being_remembered(self, model: str, text: str) -> bool:
        """Of many who ask for the same at once, one remembers it."""
        with self._noting:
            now = time.monotonic()
            if now < self._remembered_at.get((model, text), -math.inf) + _REMEMBERED_LATELY_S:
                return True
            if len(self._remembered_at) >= _MOST_REMEMBERED:
                self._remembered_at.clear()
            self._remembered_at[model, text] = now
            return False

    def count_spared(self) -> None:
        """Count a call that was spared; told once a second, as all instances write one row."""
        with self._noting:
            self._spared += 1
            now = time.monotonic()
            if now < self._spared_told_at + _COUNT_SPARED_EVERY_S:
                return
            spared, self._spared, self._spared_told_at = self._spared, 0, now
        self.write("count_calls_v1", {"lane": self._lane, "saved": spared}, NOTHING)

    def count_asked(self, texts: Sequence[str]) -> None:
        """Count what was asked; told now and then. What a process has not told when it ends is lost."""
        if not self._keeps_asked_texts:
            return
        with self._noting:
            self._asked.update(texts)
            now = time.monotonic()
            if now < self._asked_told_at + _COUNT_ASKED_EVERY_S and len(self._asked) < _MOST_ASKED:
                return
            asked, self._asked, self._asked_told_at = self._asked.most_common(_MOST_ASKED), Counter(), now
        items = [{"text": text, "uses": uses} for text, uses in asked]
        if items:
            self.write("count_asked_v1", {"asked": items}, NOTHING)

    def count_request(self, caller: str, *, per_minute: int, deadline: float = math.inf) -> float:
        """Count a request of a caller; how many seconds it has to wait, 0 if it may be answered."""
        arguments = {"caller": caller, "per_minute": per_minute}
        return self.write("count_request_v1", arguments, SECONDS, deadline)

    def owner_rule(self, bucket: str) -> str | None:
        """Who owns a picture of a bucket; None for an unknown one."""
        rules = {row.name: row.owner_rule for row in self.write("list_buckets_v1", {}, BUCKETS)}
        return rules.get(bucket)

    def _read(
        self,
        function: str,
        arguments: Mapping[str, object],
        reply: TypeAdapter[_Reply],
        caller_token: str,
        deadline: float,
    ) -> _Reply:
        """With the caller's rights."""
        if not caller_token.isascii():
            raise AccessDenied("the token is not one: it holds other than ASCII characters")
        # The operator's: keys of the newer kind are no tokens, and pass as bearer only beside themselves.
        api_key = caller_token if caller_token == self._service_key else self._anon_key
        return call(self._client(api_key, caller_token), function, arguments, reply, deadline)

    def write(
        self,
        function: str,
        arguments: Mapping[str, object],
        reply: TypeAdapter[_Reply],
        deadline: float = math.inf,
    ) -> _Reply:
        """With our own rights."""
        try:
            return call(self._service, function, arguments, reply, deadline)
        except AccessDenied as exc:
            raise SettingsError("the database refuses SUPABASE_SERVICE_ROLE_KEY") from exc

    def _client(self, api_key: str, token: str) -> SyncPostgrestClient:
        headers = {"apikey": api_key, "Authorization": f"Bearer {token}"}
        return SyncPostgrestClient(self._url, headers=headers, http_client=self._http)
