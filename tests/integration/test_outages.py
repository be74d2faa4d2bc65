"""What we depend on fails in ways that look like something else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from supabase import Client

from infra.cli.connection import Project
from shared import indexing
from shared.database import Database
from shared.embedding.offline import MODEL, OfflineEmbedder
from shared.errors import AccessDenied, PixseekError, Unavailable
from shared.hits import Part, Query
from shared.models import Change, Lane, ObjectEvent, ObjectRef
from shared.storage.supabase import SupabaseStorage
from tests.http_servers import Handler, serving
from tests.integration.conftest import picture_bytes


@contextmanager
def _answering(status: int, body: object) -> Iterator[str]:
    """A server that gives every request the same answer."""

    class Answering(Handler):
        def do_POST(self) -> None:
            self.content()
            self.answer(status, json.dumps(body).encode())

    with serving(Answering) as url:
        yield url


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"message": "Invalid API key"}, AccessDenied),
        (429, {"message": "API rate limit exceeded"}, Unavailable),
        (502, {"message": "An invalid response was received from the upstream server"}, Unavailable),
        (503, {"message": "name resolution failed"}, Unavailable),
        (540, {"message": "Project paused"}, Unavailable),
        (500, {"code": "57014", "message": "timeout", "details": None, "hint": None}, Unavailable),
    ],
)
def test_an_outage_is_told_from_a_wrong_key(status: int, body: object, error: type[PixseekError]) -> None:
    with _answering(status, body) as url:
        database = Database(url, service_key="service", anon_key="anon", timeout_s=5, lane=Lane.SEARCH)

        with pytest.raises(error):
            database.nearest(Query([Part(text="a")], 1), model=MODEL.name, caller_token="token")


def test_a_bucket_that_refuses_us_does_not_empty_the_index(
    project: Project, database: Database, client: Client, bucket: str, sql: psycopg.Connection
) -> None:
    """With a key that it does not know, Storage says that there is no such bucket."""
    connection = project.connection
    store = SupabaseStorage(
        connection.supabase_url,
        service_key="of.another.project",
        anon_key=connection.anon_key,
        heads=database.stored_objects,
        list_page=database.list_objects,
        link_expires_s=60,
        timeout_s=10,
    )
    client.storage.from_(bucket).upload("kept.png", picture_bytes((1, 1, 1)))
    event = ObjectEvent(ObjectRef(bucket, "kept.png"), Change.WRITTEN, "20260101T000000.000000Z")

    [outcome] = indexing.apply([event], store=store, embedder=OfflineEmbedder(), index=database)

    assert isinstance(outcome.error, Unavailable)
    assert "does not hand it out" in str(outcome.error)
    states = sql.execute("select state from pixseek.images where bucket = %s", (bucket,)).fetchall()
    assert ("deleted",) not in states


def test_a_row_that_storage_did_not_write_counts_as_no_object(
    database: Database, bucket: str, sql: psycopg.Connection
) -> None:
    sql.execute("insert into storage.objects (bucket_id, name) values (%s, 'byhand.png')", (bucket,))

    assert database.stored_objects([ObjectRef(bucket, "byhand.png")]) == [None]
