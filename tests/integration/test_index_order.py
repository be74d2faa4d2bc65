"""Events come twice, late and out of order; the ordering key decides. Through the real adapter."""

from collections.abc import Sequence
from uuid import uuid4

import pytest

from infra.cli.connection import Project
from shared.database import Database
from shared.embedding.offline import MODEL
from shared.errors import AccessDenied, InputError, SettingsError, Unavailable
from shared.hits import Part, Query
from shared.models import (
    Change,
    ImageRecord,
    Lane,
    ObjectEvent,
    ObjectRef,
    PictureFacts,
    Result,
    Standing,
    StoredObject,
)

_VECTOR = [1.0] + [0.0] * 511


@pytest.fixture(scope="module")
def database(project: Project) -> Database:
    """Of a bucket that the database cannot ask: what an event says of an object is all that is known."""
    return _connect(project)


@pytest.fixture
def ref() -> ObjectRef:
    return ObjectRef("order", f"{uuid4()}.png")


def _connect(project: Project, service_key: str | None = None) -> Database:
    connection = project.connection
    return Database(
        connection.supabase_url,
        service_key=connection.service_role_key if service_key is None else service_key,
        anon_key=connection.anon_key,
        timeout_s=10,
        lane=Lane.INDEXING,
        provider="s3",
    )


def _stored(ref: ObjectRef, key: str) -> StoredObject:
    return StoredObject(ref, version=f"v{key}", size_bytes=1)


def _image(ref: ObjectRef, key: str) -> ImageRecord:
    content_hash = f"{hash((ref.name, key)) & (2**256 - 1):064x}"
    facts = PictureFacts("image/png", 1, 1, "#c0ffee", None)
    return ImageRecord(_stored(ref, key), key, content_hash, facts)


def _removal(ref: ObjectRef, key: str) -> ObjectEvent:
    return ObjectEvent(ref, Change.REMOVED, key)


def _record(database: Database, image: ImageRecord) -> Standing:
    [recorded] = database.record([image], model=MODEL.name)
    return recorded.standing


def _store(database: Database, image: ImageRecord, vector: Sequence[float] = _VECTOR) -> Standing:
    [standing] = database.store([Result(image, vector)], model=MODEL.name)
    return standing


def _remove(database: Database, event: ObjectEvent) -> Standing:
    [removed] = database.remove([event])
    return removed.standing


def test_a_new_picture_waits_for_its_vector_and_is_indexed_by_it(database: Database, ref: ObjectRef) -> None:
    image = _image(ref, "1")

    standings = [
        _record(database, image),
        _record(database, image),
        _store(database, image),
        _record(database, image),
        _store(database, image),
    ]

    assert standings == ["pending", "waiting", "indexed", "indexed", "indexed"]


def test_an_older_write_changes_nothing(database: Database, ref: ObjectRef) -> None:
    _record(database, _image(ref, "2"))

    standing = _record(database, _image(ref, "1"))

    assert standing is Standing.OUTDATED


def test_an_older_failure_changes_nothing(database: Database, ref: ObjectRef) -> None:
    _record(database, _image(ref, "2"))

    standing = _record(database, ImageRecord(_stored(ref, "1"), "1", reason="too late"))

    assert standing is Standing.OUTDATED


@pytest.mark.parametrize("key", ["1", "2"])
def test_a_write_that_is_not_newer_than_the_removal_cannot_bring_a_picture_back(
    key: str, database: Database, ref: ObjectRef
) -> None:
    _remove(database, _removal(ref, "2"))

    standing = _record(database, _image(ref, key))

    assert standing is Standing.OUTDATED


def test_a_newer_write_brings_a_picture_back(database: Database, ref: ObjectRef) -> None:
    _remove(database, _removal(ref, "2"))

    standing = _record(database, _image(ref, "3"))

    assert standing is Standing.PENDING


def test_an_older_removal_changes_nothing(database: Database, ref: ObjectRef) -> None:
    _record(database, _image(ref, "2"))

    standing = _remove(database, _removal(ref, "1"))

    assert standing is Standing.OUTDATED


def test_a_removal_of_the_same_version_removes(database: Database, ref: ObjectRef) -> None:
    _record(database, _image(ref, "2"))

    standing = _remove(database, _removal(ref, "2"))

    assert standing is Standing.DELETED


def test_a_vector_of_bytes_that_were_overwritten_meanwhile_is_not_stored(
    database: Database, ref: ObjectRef
) -> None:
    old, new = _image(ref, "1"), _image(ref, "2")
    _record(database, old)
    _record(database, new)

    standing = _store(database, old)

    assert standing is Standing.OUTDATED


def test_a_vector_of_a_picture_that_was_deleted_meanwhile_is_not_stored(
    database: Database, ref: ObjectRef
) -> None:
    image = _image(ref, "1")
    _record(database, image)
    _remove(database, _removal(ref, "1"))

    standing = _store(database, image)

    assert standing is Standing.OUTDATED


def test_new_bytes_take_the_old_vector_away(database: Database, ref: ObjectRef) -> None:
    old, new = _image(ref, "1"), _image(ref, "2")
    _record(database, old)
    _store(database, old)

    standing = _record(database, new)

    assert standing is Standing.PENDING


@pytest.mark.parametrize("vector", [[0.0] * 512, [1.0], []], ids=["zero", "short", "empty"])
def test_a_vector_that_cannot_be_searched_is_refused(
    vector: Sequence[float], database: Database, ref: ObjectRef
) -> None:
    image = _image(ref, "1")
    _record(database, image)

    with pytest.raises(InputError):
        _store(database, image, vector)


def test_an_unknown_model_is_a_fault_of_the_deployment(database: Database, ref: ObjectRef) -> None:
    with pytest.raises(SettingsError, match="unknown model"):
        database.record([_image(ref, "1")], model="nobody/knows-it")


def test_a_wrong_service_key_is_a_fault_of_the_deployment(project: Project, ref: ObjectRef) -> None:
    database = _connect(project, service_key="wrong")

    with pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
        _remove(database, _removal(ref, "1"))


def test_a_wrong_token_of_a_caller_is_denied(database: Database) -> None:
    with pytest.raises(AccessDenied):
        database.nearest(Query([Part(vector=_VECTOR)], 1), model=MODEL.name, caller_token="wrong")


def test_a_database_that_is_down_is_worth_a_retry() -> None:
    database = Database("http://127.0.0.1:9", service_key="s", anon_key="a", timeout_s=1, lane=Lane.INDEXING)

    with pytest.raises(Unavailable):
        database.stored_objects([ObjectRef("b", "n")])
