"""Models side by side: registered, filled, switched and dropped while searches go on."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Semaphore
from typing import Any

import psycopg
import pytest

from infra.local.home import ROOT
from tests.integration.sql.conftest import (
    DIMENSIONS,
    MIGRATIONS,
    Database,
    Row,
    Session,
    beside,
    call,
    error,
    index,
    item,
    names,
    result,
    search,
    vector,
)

_PICTURES = [item(f"{number:02}.jpg") for number in range(20)]
_NAMES = [picture["name"] for picture in _PICTURES]
_IN_M = ("m", *_NAMES[:10])
_IN_N = ("n", *_NAMES[:-11:-1])
"""What the two models of `_fill` answer to one and the same query."""

_SEARCHERS = 4
[_MODELS_FILE] = MIGRATIONS.glob("*_models.sql")
_GUIDES = 512


def _create(session: Session, name: str, dimensions: int = DIMENSIONS) -> None:
    call(session, "create_model_v1", model_name=name, model_dimensions=dimensions)


def _activate(session: Session, name: str, **arguments: object) -> None:
    call(session, "activate_model_v1", model_name=name, **arguments)


def _drop(session: Session, name: str) -> None:
    call(session, "drop_model_v1", model_name=name)


def _states(session: Session) -> dict[str, str]:
    """Of the models."""
    return {model["name"]: model["state"] for model in call(session, "list_models_v1")}


def _image_states(session: Session, *of: str) -> list[tuple[str, str | None]]:
    rows = call(session, "image_states_v1", bucket_name="photos", object_names=[*of])
    found = {row["name"]: (row["state"], row["reason"]) for row in rows}
    return [found[name] for name in of]


def _rows(session: Session, query: str) -> list[tuple[Any, ...]]:
    return session.execute(query.encode()).fetchall()


def _give(session: Session, image: Row, model: str, embedding: str = vector(1)) -> None:
    """A vector to an image that is on record."""
    call(session, "store_vectors_v1", vectors=[result(image, embedding)], model_name=model)


def _fail(session: Session, image: Row, model: str, reason: str) -> None:
    call(session, "store_vectors_v1", vectors=[{**image, "reason": reason}], model_name=model)


def _fill(service: Session) -> None:
    """Twenty pictures under models m and n, which rank them in opposite orders."""
    _create(service, "n")
    call(service, "record_images_v1", images=_PICTURES)
    forth = [vector(1, number / 10) for number in range(20)]
    for model, embeddings in [("m", forth), ("n", forth[::-1])]:
        stored = [result(*pair) for pair in zip(_PICTURES, embeddings, strict=True)]
        call(service, "store_vectors_v1", vectors=stored, model_name=model)


def _answer(session: Session, query: str = vector(1), **arguments: object) -> tuple[str, ...]:
    """The model of a search and the names that it found."""
    found = search(session, query, **arguments)
    return (found["model"], *names(found))


def _impatient(session: Session) -> Session:
    """Whatever blocks it shows as an error."""
    session.execute("set lock_timeout = '2s'")
    return session


@pytest.mark.parametrize("dimensions", [384, 512, 640, 768, 1024])
def test_a_model_gets_a_partition_and_an_index_of_its_own(
    dimensions: int, database: Database, service: Session
) -> None:
    [built] = re.findall(r"with \(m = (\d+), ef_construction = (\d+)\)", _MODELS_FILE.read_text())

    _create(service, "n", dimensions)
    index(service, item("a.jpg"), vector(1, dimensions=dimensions), "n")

    owner = database.owner()
    bound = "select pg_get_expr(relpartbound, oid) from pg_class where relname = 'vectors_2'"
    indexes = "select indexdef from pg_indexes where tablename = 'vectors_2' and indexdef like '%hnsw%'"
    [(definition,)] = _rows(owner, indexes)
    assert _rows(owner, bound) == [("FOR VALUES IN (2)",)]
    assert f"halfvec({dimensions})) halfvec_ip_ops" in definition
    assert tuple(re.findall(r"='(\d+)'", definition)) == built
    assert _answer(service, vector(1, dimensions=dimensions), model_name="n") == ("n", "a.jpg")


def test_a_vector_of_another_length_is_refused(service: Session) -> None:
    _create(service, "n", 512)

    failure = error(lambda: search(service, vector(1), model_name="n"))

    assert failure.sqlstate == "22023"
    assert "384" in str(failure)
    assert "512" in str(failure)


def test_asking_for_the_same_model_again_changes_nothing(service: Session) -> None:
    call(service, "create_model_v1", model_name="n", model_dimensions=512, model_languages=["en"])
    index(service, item("a.jpg"), vector(1, dimensions=512), "n")
    before = call(service, "list_models_v1")

    call(service, "create_model_v1", model_name="n", model_dimensions=512, model_similarity_floor=0.9)

    assert call(service, "list_models_v1") == before


def test_sessions_that_ask_for_a_model_at_once_get_the_same(database: Database, service: Session) -> None:
    barrier = Barrier(6)

    def create(session: Session) -> None:
        barrier.wait()
        _create(session, "n")

    with ThreadPoolExecutor(6) as pool:
        all(pool.map(create, [database.session() for _ in range(6)]))

    assert _states(service) == {"m": "active", "n": "building"}


def test_a_name_stands_for_one_length(service: Session) -> None:
    failure = error(lambda: _create(service, "m", 512))

    assert failure.sqlstate == "22023"
    assert "m has 384 dimensions, not 512" in str(failure)


def test_the_first_model_is_active_at_once_and_the_next_is_not(service: Session) -> None:
    _create(service, "n")

    assert _states(service) == {"m": "active", "n": "building"}


def test_a_search_takes_the_active_model_unless_it_names_one(service: Session) -> None:
    _fill(service)

    answers = [_answer(service), _answer(service, model_name="n"), _answer(service, model_name="m")]

    assert answers == [_IN_M, _IN_N, _IN_M]


def test_a_model_below_the_gate_is_refused_with_what_it_lacks(service: Session) -> None:
    _create(service, "n")
    pictures = [item(name) for name in ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]]
    _ = [index(service, picture, vector(1)) for picture in pictures]
    _give(service, pictures[0], "n")
    _fail(service, pictures[1], "n", "too dark")

    failure = error(lambda: _activate(service, "n"))

    assert failure.sqlstate == "55000"
    numbers = re.findall(r"\d[\d.]*", failure.diag.message_primary or "")
    assert numbers == ["33.33", "99.9", "2", "1"]
    assert (failure.diag.message_detail or "").splitlines() == [
        "missing: photos/c.jpg",
        "missing: photos/d.jpg",
        "failed: photos/b.jpg (too dark)",
    ]
    assert "claim_images_v1" in (failure.diag.message_hint or "")
    assert _states(service) == {"m": "active", "n": "building"}


def test_the_gate_is_shown_as_it_was_given(service: Session) -> None:
    _create(service, "n")
    index(service, item("a.jpg"), vector(1))

    failure = error(lambda: _activate(service, "n", min_coverage=0.55))

    numbers = re.findall(r"\d[\d.]*", failure.diag.message_primary or "")
    assert numbers == ["0", "55", "1", "0"]


def _half_covered(service: Session) -> None:
    """One of two pictures has a vector under n."""
    _create(service, "n")
    index(service, item("a.jpg"), vector(1))
    index(service, item("b.jpg"), vector(1))
    _give(service, item("a.jpg"), "n")


def test_a_model_at_the_gate_passes(service: Session) -> None:
    _half_covered(service)

    _activate(service, "n", min_coverage=0.5)

    assert _states(service) == {"m": "retired", "n": "active"}


def test_a_model_just_below_the_gate_does_not(service: Session) -> None:
    _half_covered(service)

    failure = error(lambda: _activate(service, "n", min_coverage=0.501))

    assert failure.sqlstate == "55000"


def test_pictures_that_failed_for_good_do_not_count_against_a_model(service: Session) -> None:
    _half_covered(service)
    _fail(service, item("b.jpg"), "n", "too dark")

    _activate(service, "n", min_coverage=1)

    assert _states(service)["n"] == "active"


def test_pictures_that_nobody_finds_do_not_count_against_a_model(service: Session) -> None:
    _half_covered(service)
    blocked = index(service, item("c.jpg"), vector(1))
    call(service, "block_images_v1", image_ids=[blocked], reason="reported")
    call(service, "remove_images_v1", objects=[item("b.jpg", "2")])

    _activate(service, "n", min_coverage=1)

    assert _states(service)["n"] == "active"


def test_an_empty_index_is_covered_by_any_model(service: Session) -> None:
    _create(service, "n")

    _activate(service, "n", min_coverage=1)

    assert _states(service)["n"] == "active"


@pytest.mark.parametrize("gate", [-0.1, 1.1, None])
def test_a_gate_out_of_range_is_refused(gate: float | None, service: Session) -> None:
    _create(service, "n")

    failure = error(lambda: _activate(service, "n", min_coverage=gate))

    assert failure.sqlstate == "22023"


@pytest.mark.parametrize(("end", "after"), [("commit", _IN_N), ("rollback", _IN_M)])
def test_nobody_sees_half_an_activation(
    end: str, after: tuple[str, ...], database: Database, service: Session
) -> None:
    _fill(service)
    other = _impatient(database.session())

    service.execute("begin")
    _activate(service, "n")
    meanwhile = _answer(other)
    service.execute(end.encode())

    assert (meanwhile, _answer(other)) == (_IN_M, after)


def test_the_model_before_comes_back_at_once_whatever_it_covers(service: Session) -> None:
    _fill(service)
    _activate(service, "n")
    index(service, item("new.jpg"), vector(0, 1), "n")

    _activate(service, "m", min_coverage=1)

    assert _states(service) == {"m": "active", "n": "retired"}
    assert _answer(service) == _IN_M
    assert _image_states(service, "new.jpg") == [("pending", None)]


def test_a_model_of_longer_ago_must_pass_the_gate(service: Session) -> None:
    _fill(service)
    _create(service, "o")
    _activate(service, "n")
    _activate(service, "o", min_coverage=0)
    index(service, item("new.jpg"), vector(1), "o")

    failure = error(lambda: _activate(service, "m"))
    _activate(service, "n")

    assert failure.sqlstate == "55000"
    assert _states(service) == {"m": "retired", "n": "active", "o": "retired"}


def test_the_states_of_pictures_are_those_of_the_active_model(service: Session) -> None:
    _half_covered(service)
    index(service, item("c.jpg"), vector(1))
    _fail(service, item("b.jpg"), "n", "too dark")
    pictures = ["a.jpg", "b.jpg", "c.jpg"]

    building = _image_states(service, *pictures)
    _activate(service, "n", min_coverage=0)
    active = _image_states(service, *pictures)
    _activate(service, "m")
    retired = _image_states(service, *pictures)

    assert building == retired == [("indexed", None)] * 3
    assert active == [("indexed", None), ("failed", "too dark"), ("pending", None)]


def test_the_active_model_cannot_be_dropped(service: Session) -> None:
    _fill(service)

    failure = error(lambda: _drop(service, "m"))

    assert failure.sqlstate == "55000"
    assert _answer(service) == _IN_M


def test_dropping_gives_the_space_back_and_forgets_all_of_the_model(
    database: Database, service: Session
) -> None:
    _fill(service)
    for model in ["m", "n"]:
        call(service, "record_images_v1", images=[item(f"open in {model}.jpg")], model_name=model)
        call(service, "remember_query_v1", query_text="dog", query_embedding=vector(1), model_name=model)
    _activate(service, "n", min_coverage=0)

    _drop(service, "m")

    owner = database.owner()
    left = [
        _rows(owner, f"select distinct model_id from pixseek.{table}")
        for table in ["vectors", "work", "leases", "queries"]
    ]
    assert _states(service) == {"m": "dropped", "n": "active"}
    assert _rows(owner, "select pg_relation_size('pixseek.vectors_1')") == [(0,)]
    assert left == [[(2,)]] * 4
    assert _answer(service) == _IN_N


def test_a_dropped_model_is_unknown(service: Session) -> None:
    _fill(service)
    _drop(service, "n")

    failure = error(lambda: search(service, vector(1), model_name="n"))

    assert failure.sqlstate == "42704"


def test_a_dropped_name_can_be_registered_again(service: Session) -> None:
    _fill(service)
    _drop(service, "n")

    _create(service, "n")
    empty = _answer(service, model_name="n")
    _give(service, _PICTURES[7], "n")

    assert _states(service) == {"m": "active", "n": "building"}
    assert empty == ("n",)
    assert _answer(service, model_name="n") == ("n", "07.jpg")


def test_a_cursor_of_a_dropped_model_is_refused(service: Session) -> None:
    _fill(service)
    cursor = search(service, vector(1), model_name="n", match_count=5)["next_cursor"]
    _drop(service, "n")

    failure = error(lambda: search(service, vector(1), page_cursor=cursor))

    assert failure.sqlstate == "22023"
    assert "cursor" in str(failure)


def _statements_to_remove_a_shell(number: int) -> list[str]:
    """As the documentation has them: detach, then drop."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    found = re.findall(r"`((?:alter|drop) table pixseek\.[^`]+)`", text)
    return [" ".join(statement.replace("<n>", str(number)).split()) for statement in found]


def test_the_shell_of_a_dropped_model_can_go_and_its_name_come_back(
    database: Database, service: Session
) -> None:
    _fill(service)
    _drop(service, "n")
    owner = database.owner()

    [detach, drop] = _statements_to_remove_a_shell(2)
    owner.execute(detach.encode())
    owner.execute(drop.encode())
    gone = _rows(owner, "select to_regclass('pixseek.vectors_2')")
    _create(service, "n")
    _give(service, _PICTURES[7], "n")
    _activate(service, "n", min_coverage=0)

    assert gone == [(None,)]
    assert _answer(service) == ("n", "07.jpg")


def test_the_shell_of_a_dropped_model_goes_while_a_search_holds_its_lock(
    database: Database, service: Session
) -> None:
    _fill(service)
    _drop(service, "n")
    owner = _impatient(database.owner())
    [detach, drop] = _statements_to_remove_a_shell(2)
    owner.execute(detach.encode())
    searching = database.session()
    searching.execute("begin")
    search(searching, vector(1))

    owner.execute(drop.encode())

    assert _rows(owner, "select to_regclass('pixseek.vectors_2')") == [(None,)]


def _guides(service: Session) -> None:
    """Two models of the guide's length, which find another picture each; the second one is active."""
    for model, sides in [("first", (1, 0)), ("second", (0, 1))]:
        _create(service, model, _GUIDES)
        index(service, item("a.jpg"), vector(*sides, dimensions=_GUIDES), model)
        index(service, item("b.jpg"), vector(*sides[::-1], dimensions=_GUIDES), model)
        _activate(service, model)


def _match(session: Session) -> list[str]:
    query = vector(1, dimensions=_GUIDES)
    rows = call(session, "match_images", query_embedding=query, match_threshold=0.5, match_count=5)
    return [row["image"] for row in rows]


def test_the_guides_function_stays_with_the_first_active_model_of_its_length(service: Session) -> None:
    _guides(service)

    found = _match(service)

    assert _states(service) == {"m": "retired", "first": "retired", "second": "active"}
    assert found == ["a.jpg"]


def test_the_guides_function_refuses_when_its_model_is_dropped(service: Session) -> None:
    _guides(service)
    _drop(service, "first")

    failure = error(lambda: _match(service))

    assert failure.sqlstate == "55000"
    assert "configure_guide_v1" in (failure.diag.message_hint or "")


def test_the_guides_function_answers_again_in_the_model_that_it_is_given(service: Session) -> None:
    _guides(service)
    _drop(service, "first")

    call(service, "configure_guide_v1", model_name="second")

    assert _match(service) == ["b.jpg"]


def test_the_guides_function_takes_no_model_of_another_length(service: Session) -> None:
    _guides(service)

    failure = error(lambda: call(service, "configure_guide_v1", model_name="m"))

    assert failure.sqlstate == "22023"
    assert _match(service) == ["a.jpg"]


def _search_until(done: Event, turns: Semaphore, session: Session) -> set[tuple[str, ...]]:
    seen = set()
    while not done.is_set():
        seen.add(_answer(session))
        turns.release()
    return seen


def _answers_during(switches: list[str], service: Session, searchers: list[Session]) -> set[tuple[str, ...]]:
    """All that is answered while the active model changes; some searches come between any two changes."""
    done, turns = Event(), Semaphore(0)
    with ThreadPoolExecutor(len(searchers)) as pool:
        seen = [pool.submit(_search_until, done, turns, session) for session in searchers]
        try:
            for model in switches:
                _activate(service, model)
                _ = [turns.acquire(timeout=1) for _ in range(2 * len(searchers))]
        finally:
            done.set()
    return set().union(*(answers.result() for answers in seen))


def test_no_search_fails_or_mixes_models_while_the_active_one_changes(
    database: Database, service: Session
) -> None:
    _fill(service)
    searchers = [_impatient(database.session()) for _ in range(_SEARCHERS)]

    answers = _answers_during(["n", "m"] * 15, service, searchers)

    assert answers == {_IN_M, _IN_N}


def test_a_model_is_registered_while_a_search_holds_its_lock(database: Database, service: Session) -> None:
    _fill(service)
    searching = database.session()
    searching.execute("begin")
    search(searching, vector(1))

    _create(_impatient(service), "o", 512)

    assert _states(service)["o"] == "building"


def test_a_search_does_not_wait_for_a_model_that_is_being_registered(
    database: Database, service: Session
) -> None:
    _fill(service)
    registering = database.session()
    registering.execute("begin")
    _create(registering, "o", 512)

    answer = _answer(_impatient(service))

    registering.execute("commit")
    assert answer == _IN_M


_SEARCHES: dict[str, Callable[[Session], object]] = {
    "vector": lambda session: search(session, vector(1)),
    "filter": lambda session: search(session, vector(1), filters={"bucket": "photos"}),
    "collapse": lambda session: search(session, vector(1), collapse=True),
    "text": lambda session: search(session, query_text="dog"),
    "image": lambda session: search(session, query_image_id=1),
}


@pytest.mark.parametrize("kind", _SEARCHES)
def test_a_model_is_dropped_while_a_search_in_another_holds_its_lock(
    kind: str, database: Database, service: Session
) -> None:
    _fill(service)
    call(service, "remember_query_v1", query_text="dog", query_embedding=vector(1))
    searching = database.session()
    searching.execute("begin")
    # Postgres may change its plan, and what it locks, after the fifth.
    _ = [_SEARCHES[kind](searching) for _ in range(8)]

    _drop(service, "n")

    assert _states(service)["n"] == "dropped"


def test_dropping_a_model_that_is_searched_gives_up_undone_and_works_later(
    database: Database, service: Session
) -> None:
    _fill(service)
    _activate(service, "n")
    searching = database.session()
    searching.execute("begin")
    _answer(searching, model_name="m")
    before = call(service, "list_models_v1")

    failure = error(lambda: _drop(service, "m"))

    assert isinstance(failure, psycopg.errors.LockNotAvailable)
    assert call(service, "list_models_v1") == before
    assert _answer(searching, model_name="m") == _IN_M
    searching.execute("commit")
    _drop(service, "m")
    assert _states(service)["m"] == "dropped"


def test_a_vector_that_comes_while_its_model_is_dropped_is_not_kept(
    database: Database, service: Session
) -> None:
    _fill(service)
    holding, storing = database.owner(), database.session()
    holding.execute("begin; select from pixseek.images where name = '07.jpg' for update")

    with (
        beside(database, storing, lambda: _give(storing, _PICTURES[7], "n")),
        beside(database, service, lambda: _drop(service, "n")) as dropped,
    ):
        holding.execute("commit")

    assert dropped.exception() is None
    assert _rows(holding, "select count(*) from pixseek.vectors_2") == [(0,)]


def test_uploads_and_an_activation_never_deadlock(database: Database, service: Session) -> None:
    _create(service, "n")
    _ = [index(service, item(name), vector(1)) for name in ["b.jpg", "a.jpg"]]
    holding, switching, uploading = database.owner(), database.session(), database.session()
    holding.execute("begin; select from pixseek.images where name = 'b.jpg' for update")
    newer = [item(name, "2", content=f"new {name}") for name in ["a.jpg", "b.jpg"]]

    with (
        beside(database, switching, lambda: _activate(switching, "n", min_coverage=0)) as activated,
        beside(database, uploading, lambda: call(uploading, "record_images_v1", images=newer)) as recorded,
    ):
        holding.execute("commit")

    assert [future.exception() for future in (activated, recorded)] == [None, None]
