"""A project that followed the guide is adopted, and its clients go on working."""

from collections.abc import Iterator

import psycopg
import pytest

from infra.local.migrations import migrate
from infra.local.postgres import Postgres
from infra.local.processes import StackError
from tests.integration.sql.conftest import MIGRATIONS, Database, Session, call, error, item, own_database

_GUIDE = """
drop extension vector;
create extension vector schema public;
set role postgres;
create table images (id bigserial primary key, image text, embedding vector(512));
create function match_images(query_embedding vector(512), match_threshold float, match_count int)
returns table (id bigint, image text, similarity float) language sql stable as $$
  select images.id, images.image, 1 - (images.embedding <=> query_embedding) as similarity
  from images where 1 - (images.embedding <=> query_embedding) > match_threshold
  order by similarity desc limit match_count;
$$;
create index on images using ivfflat (embedding vector_cosine_ops) with (lists = 100);
insert into images (image, embedding)
select n || '.jpg', (select array_agg(sin(n * d) * 9) from generate_series(1, 512) d)::vector
from generate_series(1, 1000) n;
delete from images where id = 7;
"""
_MATCH = """
select id, image, round(similarity::numeric, 2) from match_images(
  (select array_agg(sin(42 * d)) from generate_series(1, 512) d)::vector, 0.05, 3)
"""
_UNIT = "[1" + ",0" * 511 + "]"


@pytest.fixture
def project(server: Postgres) -> Iterator[Database]:
    """A project that followed the guide."""
    with own_database(server, template="postgres") as database:
        superuser = database.superuser()
        superuser.execute("grant all on schema public to postgres")
        superuser.execute(_GUIDE.encode())
        yield database


@pytest.fixture
def owner(project: Database) -> Session:
    return project.owner()


def _rows(session: Session, query: str) -> list[tuple[object, ...]]:
    return session.execute(query.encode()).fetchall()


def test_the_table_is_adopted_with_its_ids_and_vectors(project: Database, owner: Session) -> None:
    before = _rows(owner, _MATCH)
    vectors = _rows(owner, "select id, image, l2_normalize(embedding)::halfvec::text from images order by id")

    migrate(project.dsn(), MIGRATIONS)

    assert _rows(owner, _MATCH) == before
    adopted = "select id, image, embedding::halfvec::text from images order by id"
    assert _rows(owner, adopted) == vectors
    assert len(vectors) == 999
    assert _rows(owner, "select name, state, is_guides from list_models_v1()") == [
        ("openai/clip-vit-base-patch16", "active", True)
    ]


def test_the_next_insert_gets_an_id_of_its_own(project: Database, owner: Session) -> None:
    migrate(project.dsn(), MIGRATIONS)

    [(new_id,)] = _rows(
        owner, f"insert into images (image, embedding) values ('new.jpg', '{_UNIT}') returning id"
    )

    assert isinstance(new_id, int)
    assert new_id > 1000


def test_anybody_still_finds_what_anybody_could(project: Database, owner: Session) -> None:
    before = _rows(owner, _MATCH)
    migrate(project.dsn(), MIGRATIONS)

    owner.execute("set role anon")

    query = _MATCH.replace("(select array_agg", "(select pg_catalog.array_agg")
    assert _rows(owner, query) == before


def test_the_file_may_run_twice(project: Database, owner: Session) -> None:
    migrate(project.dsn(), MIGRATIONS)
    before = _rows(owner, "select id, image, embedding::text from images order by id")

    [last] = MIGRATIONS.glob("*_guide.sql")
    with psycopg.connect(project.dsn()) as again:
        again.execute(last.read_bytes())

    assert _rows(owner, "select id, image, embedding::text from images order by id") == before


def test_an_error_leaves_the_guides_project_as_it_was(project: Database, owner: Session) -> None:
    owner.execute("create view dependent as select * from match_images('[1]', 0, 1)")
    before = _rows(owner, _MATCH)

    with pytest.raises(StackError, match=r"_guide\.sql"):
        migrate(project.dsn(), MIGRATIONS)

    assert _rows(owner, _MATCH) == before
    assert _rows(owner, "select count(*) from images") == [(999,)]
    assert _rows(owner, "select count(*) from pixseek.images") == [(0,)]


def test_another_table_of_that_name_is_left_alone(project: Database, owner: Session) -> None:
    owner.execute("alter table images rename column embedding to picture")

    with pytest.raises(StackError, match="is not the guide's"):
        migrate(project.dsn(), MIGRATIONS)

    assert _rows(owner, "select count(*) from images") == [(999,)]


@pytest.mark.parametrize(("protection", "is_public"), [("disable", True), ("enable", False)])
def test_what_row_level_security_hid_is_not_made_public(
    protection: str, is_public: bool, project: Database, owner: Session
) -> None:
    owner.execute(f"alter table images {protection} row level security".encode())

    migrate(project.dsn(), MIGRATIONS)

    assert _rows(owner, "select name, is_public from list_buckets_v1()") == [("images", is_public)]


def test_a_table_that_comes_late_is_not_mixed_with_other_pictures(project: Database, owner: Session) -> None:
    owner.execute("alter table images set schema extensions")
    migrate(project.dsn(), MIGRATIONS)
    call(owner, "create_model_v1", model_name="m", model_dimensions=384)
    call(owner, "record_images_v1", images=[item("a.jpg")])
    owner.execute("drop view images; alter table extensions.images set schema public")
    [last] = MIGRATIONS.glob("*_guide.sql")

    failure = error(lambda: owner.execute(b"begin;" + last.read_bytes()))

    assert (failure.sqlstate, bool(failure.diag.message_hint)) == ("55000", True)
