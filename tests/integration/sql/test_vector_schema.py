"""pgvector lies where the project put it: in `public` where the guide was followed, else in `extensions`."""

from collections.abc import Iterator

import psycopg
import pytest

from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from tests.integration.sql.conftest import (
    DIMENSIONS,
    MIGRATIONS,
    Database,
    call,
    index,
    item,
    names,
    own_database,
    search,
    vector,
)

_FILES = sorted(path.name for path in MIGRATIONS.glob("*.sql"))


@pytest.fixture
def empty(server: Postgres) -> Iterator[Database]:
    """A new project."""
    with own_database(server, template="postgres") as database:
        database.superuser().execute("grant all on schema public to postgres")
        yield database


@pytest.mark.parametrize("schema", ["public", "extensions"])
def test_everything_works_wherever_pgvector_lies(schema: str, empty: Database) -> None:
    empty.superuser().execute(f"alter extension vector set schema {schema}".encode())

    applied = migrate(empty.dsn(), MIGRATIONS)

    service = empty.session()
    call(service, "create_model_v1", model_name="guide's", model_dimensions=512)
    image = item("a.jpg", content="a")
    index(service, image, vector(1, dimensions=512))
    call(service, "record_images_v1", images=[item("b.jpg", content="a"), item("c.jpg")])
    filters = {"prefix": "b"}
    query = vector(1, dimensions=512)
    found = [
        search(service, query),
        search(service, query, filters=filters),
        search(service, query, collapse=True),
    ]
    guides = {"query_embedding": query, "match_threshold": 0.5, "match_count": 5}
    service.execute("insert into public.images (image, embedding) values ('g', %s)", (query,))
    assert applied == _FILES
    assert [names(answer) for answer in found] == [["a.jpg", "b.jpg"], ["b.jpg"], ["a.jpg"]]
    assert [row["image"] for row in call(service, "match_images", **guides)] == ["a.jpg", "b.jpg", "g"]


def test_the_files_apply_in_one_session_too(empty: Database) -> None:
    with psycopg.connect(empty.dsn()) as connection:
        for path in sorted(MIGRATIONS.glob("*.sql")):
            connection.execute(path.read_bytes())
            connection.commit()

    service = empty.session()
    call(service, "create_model_v1", model_name="m", model_dimensions=DIMENSIONS)
    index(service, item("a.jpg"), vector(1))
    assert names(search(service, vector(1))) == ["a.jpg"]
