"""A bucket of the embedded stack, and the webhooks that its own trigger writes, kept from the gateway."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx
import psycopg
from storage3.exceptions import StorageApiError
from storage3.types import FileOptions

from benchmarks.chaos_parts.buckets import BucketObject, Message
from benchmarks.chaos_parts.plan import Act, Operation
from benchmarks.chaos_parts.running import Running
from shared.models import PREVIEWS_SUFFIX

WORDS: Final = ("holiday photo", "a+b", "x&y=z", "it's (1)", "$5,@home;", "wow!*", "plain")
"""Storage takes neither % nor letters beyond ASCII."""
EVENTS_OF_A_MOVE: Final = 1
_DONE_ALREADY: Final = {"404", "409"}
_TRIES: Final = 60
_PAUSE_S: Final = 0.25
# The gateway delivers what is not given up.
_KEEP_FROM_GATEWAY: Final = """
create or replace function gateway.chaos_takes_it() returns trigger language plpgsql
as $$ begin new.given_up := true; return new; end $$;
create or replace trigger chaos_takes_it before insert on gateway.webhook_outbox
for each row execute function gateway.chaos_takes_it();
"""
_NEWS: Final = """
select id, payload::text, payload -> 'record' ->> 'name', payload -> 'old_record' ->> 'name'
from gateway.webhook_outbox where id > %s order by id
"""
_OBJECTS: Final = "select name, version from storage.objects where bucket_id = %s order by name"


class SupabaseBucket:
    """Made when it is built."""

    def __init__(self, running: Running, name: str) -> None:
        self.name = name
        self._client = running.project.client
        self._dsn = running.stack.dsn("supabase_admin")
        self._session = psycopg.connect(self._dsn, autocommit=True)
        self._last_id = 0
        self._session.execute(_KEEP_FROM_GATEWAY.encode())
        self._client.storage.create_bucket(name)

    def apply(self, operation: Operation) -> Sequence[Message]:
        """Until it is done: Postgres may be away."""
        self._client_call(operation)
        news = self._query(_NEWS, self._last_id)
        self._last_id = max((row[0] for row in news), default=self._last_id)
        return [Message(body, tuple({name for name in names if name})) for _, body, *names in news]

    def objects(self) -> Iterator[BucketObject]:
        """All that are in the bucket."""
        yield from self._all(self.name)

    def previews(self) -> Iterator[BucketObject]:
        """All that are in the bucket of its previews."""
        yield from self._all(self.name + PREVIEWS_SUFFIX)

    def _all(self, bucket: str) -> Iterator[BucketObject]:
        for name, version in self._query(_OBJECTS, bucket):
            yield BucketObject(name, version, self._client.storage.from_(bucket).download(name))

    def _client_call(self, operation: Operation) -> None:
        """A try that got no answer may have done it: then the next one finds nothing to do."""
        for is_again in [False] + [True] * _TRIES:
            try:
                self._call(operation)
            except StorageApiError as exc:
                if is_again and str(exc.status) in _DONE_ALREADY:
                    return
            except httpx.HTTPError:
                pass
            else:
                return
            time.sleep(_PAUSE_S)
        raise TimeoutError(f"the stack does not take it: {operation.act} {operation.name}")

    def _call(self, operation: Operation) -> None:
        storage = self._client.storage.from_(self.name)
        match operation.act:
            case Act.PUT:
                options: FileOptions = {"content-type": "image/jpeg", "upsert": "true"}
                storage.upload(operation.name, operation.data, options)
            case Act.COPY:
                storage.copy(operation.source, operation.name)
            case Act.MOVE:
                storage.move(operation.source, operation.name)
            case Act.REMOVE:
                storage.remove([operation.name])

    def _query(self, query: str, argument: object) -> list[tuple[Any, ...]]:
        for _ in range(_TRIES):
            try:
                if self._session.closed:
                    self._session = psycopg.connect(self._dsn, autocommit=True)
                return self._session.execute(query.encode(), (argument,)).fetchall()
            except psycopg.OperationalError:
                self._session.close()
                time.sleep(_PAUSE_S)
        raise TimeoutError("Postgres does not come back")
