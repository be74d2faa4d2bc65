"""One picture, shown, deleted, or about to be uploaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from shared.errors import AccessDenied, Forbidden, InputError, PixseekError, RateLimited, UnknownImage
from shared.hits import ImageState, Links
from shared.models import Change, ObjectEvent, ObjectRef, Recorded, Standing
from shared.ports import ImageIndex, ObjectStore
from shared.removing import remove
from shared.showing import show
from shared.uploading import begin_upload
from tests.unit.search_ports import AskedAdmission, AskedIndex, AskedStore, entry, state

_PRIVATE = entry(7, "anna/a.jpg", is_public=False, preview="a.webp")


@dataclass
class Bucket:
    """Keeps what it was told to delete."""

    log: list[str] = field(default_factory=list)
    deleted: list[tuple[list[ObjectRef], str | None]] = field(default_factory=list)
    knows_callers: bool = True

    def delete(self, refs: Sequence[ObjectRef], *, caller_token: str | None = None) -> None:
        self.log.append("delete")
        self.deleted.append((list(refs), caller_token))


@dataclass
class Record:
    """Answers a removal as it is told."""

    log: list[str]
    answer: Recorded
    events: list[ObjectEvent] = field(default_factory=list)

    def remove(self, events: Sequence[ObjectEvent]) -> list[Recorded]:
        self.log.append("remove")
        self.events += events
        return [self.answer]


@dataclass
class Rules:
    """Of `photos`."""

    rule: str | None

    def owner_rule(self, bucket: str) -> str | None:
        return self.rule if bucket == "photos" else None


class Removal:
    """All that one needs, with one log."""

    def __init__(
        self, shown: ImageState, answer: Recorded | None = None, refusal: PixseekError | None = None
    ) -> None:
        self.log: list[str] = []
        self.search = AskedIndex(self.log, shown={7: shown})
        self.record = Record(self.log, answer or Recorded(Standing.DELETED))
        self.bucket = Bucket(self.log)
        self.rules = Rules("metadata")
        self.admission = AskedAdmission(self.log, refusal)

    def run(self) -> None:
        remove(
            7,
            caller_token="t",
            search=self.search,
            index=cast(ImageIndex, self.record),
            rules=self.rules,
            store=cast(ObjectStore, self.bucket),
            admission=self.admission,
            deadline=1e9,
        )


def _upload(
    store: AskedStore,
    rule: str | None = None,
    admission: AskedAdmission | None = None,
    new_id: Callable[[], object] = lambda: "id-1",
) -> ObjectRef:
    ref, _ = begin_upload(
        "photos",
        "image/jpeg",
        "jpg",
        user_id="anna",
        caller_token="t",
        rules=Rules(rule),
        store=store,
        admission=admission or AskedAdmission(),
        new_id=new_id,
    )
    return ref


@pytest.mark.parametrize("image", [7, ObjectRef("photos", "anna/a.jpg")], ids=["by id", "by name"])
def test_a_picture_is_shown_with_its_links(image: int | ObjectRef) -> None:
    log: list[str] = []
    index, store = AskedIndex(log, shown={7: state(_PRIVATE)}), AskedStore(log)

    shown, links = show(
        image, caller_token="t", index=index, store=store, admission=AskedAdmission(log), deadline=1e9
    )

    assert shown == state(_PRIVATE)
    assert links == Links("https://photos/anna/a.jpg", "https://photos-previews/a.webp")
    assert (index.tokens, index.deadlines) == (["t"], [1e9])
    assert store.asked["t"] == ["anna/a.jpg"]
    assert log[1:] == ["admission", "links", "links"]


def test_a_picture_nobody_knows_is_asked_no_links_for() -> None:
    store = AskedStore()

    with pytest.raises(UnknownImage):
        show(8, caller_token="t", index=AskedIndex(), store=store, admission=AskedAdmission())

    assert store.log == []


def test_who_guesses_ids_too_often_is_not_even_told_that_there_is_none() -> None:
    admission = AskedAdmission(refusal=RateLimited(1))

    with pytest.raises(RateLimited):
        show(8, caller_token="t", index=AskedIndex(), store=AskedStore(), admission=admission)


def test_who_deletes_at_random_too_often_is_not_even_told_that_there_is_none() -> None:
    removal = Removal(state(_PRIVATE), refusal=RateLimited(1))
    removal.search.shown = {}

    with pytest.raises(RateLimited):
        removal.run()


def test_a_picture_is_not_shown_to_who_asks_too_often() -> None:
    index, store = AskedIndex(shown={7: state(_PRIVATE)}), AskedStore()
    admission = AskedAdmission(refusal=RateLimited(1))

    with pytest.raises(RateLimited):
        show(7, caller_token="t", index=index, store=store, admission=admission)

    assert store.log == []


def test_a_picture_of_ones_own_goes_from_the_bucket_with_ones_own_rights_then_from_the_index() -> None:
    removal = Removal(state(_PRIVATE))

    removal.run()

    assert removal.log == ["image", "admission", "delete", "remove"]
    assert removal.bucket.deleted == [([_PRIVATE.ref], "t")]
    assert removal.record.events == [ObjectEvent(_PRIVATE.ref, Change.REMOVED, "key-1", is_of_sweep=True)]
    assert (removal.search.tokens, removal.search.deadlines) == (["t"], [1e9])


def test_where_the_store_knows_no_callers_only_what_bears_its_owners_name_goes() -> None:
    """Another's object may have taken the place since, and be no news of the index yet."""
    removal, named = Removal(state(_PRIVATE)), Removal(state(_PRIVATE))
    removal.bucket.knows_callers = named.bucket.knows_callers = False
    named.rules = Rules("first_segment")

    with pytest.raises(Forbidden, match="begin with their owner's"):
        removal.run()
    named.run()

    assert removal.bucket.deleted == []
    assert named.bucket.deleted == [([_PRIVATE.ref], "t")]


def test_the_old_preview_goes_with_our_own_rights() -> None:
    preview = ObjectRef("photos-previews", "a.webp")
    removal = Removal(state(_PRIVATE), Recorded(Standing.DELETED, old_preview=preview))

    removal.run()

    assert removal.bucket.deleted == [([_PRIVATE.ref], "t"), ([preview], None)]


def test_a_picture_of_another_is_not_deleted() -> None:
    removal = Removal(state(_PRIVATE, is_own=False))

    with pytest.raises(Forbidden, match="not yours"):
        removal.run()

    assert (removal.bucket.deleted, removal.record.events) == ([], [])


def test_who_asks_too_often_deletes_nothing() -> None:
    removal = Removal(state(_PRIVATE), refusal=RateLimited(1))

    with pytest.raises(RateLimited):
        removal.run()

    assert (removal.bucket.deleted, removal.record.events) == ([], [])


def test_a_picture_that_the_bucket_keeps_keeps_its_preview_and_the_caller_is_told() -> None:
    preview = ObjectRef("photos-previews", "a.webp")
    removal = Removal(state(_PRIVATE), Recorded(Standing.CHANGED, old_preview=preview))

    with pytest.raises(Forbidden, match="the bucket keeps this picture"):
        removal.run()

    assert removal.bucket.deleted == [([_PRIVATE.ref], "t")]


def test_an_upload_is_named_after_its_owner_and_no_two_alike() -> None:
    store = AskedStore()

    first = _upload(store)

    assert first == ObjectRef("photos", "anna/id-1.jpg")
    assert store.uploads == [(first, "image/jpeg", "t")]


def test_uploads_get_names_of_their_own() -> None:
    arguments = {"user_id": "anna", "caller_token": "t", "rules": Rules(None), "admission": AskedAdmission()}

    refs = {
        begin_upload("photos", "image/png", "png", store=AskedStore(), **arguments)[0]  # type: ignore[arg-type] # of several types
        for _ in range(3)
    }

    assert len(refs) == 3


@pytest.mark.parametrize("rule", [None, "stored", "metadata"])
def test_a_store_that_knows_no_callers_takes_uploads_only_where_names_begin_with_owners(
    rule: str | None,
) -> None:
    store = AskedStore(knows_callers=False)

    with pytest.raises(Forbidden, match=r"owner_rule first_segment"):
        _upload(store, rule)

    assert store.uploads == []


def test_a_store_that_knows_no_callers_takes_uploads_where_names_begin_with_owners() -> None:
    assert _upload(AskedStore(knows_callers=False), "first_segment").name == "anna/id-1.jpg"


def test_policies_of_the_store_that_refuse_an_upload_forbid_it() -> None:
    store = AskedStore(faults={"t": AccessDenied("policy")})

    with pytest.raises(Forbidden, match="the policies of 'photos' do not let you upload") as caught:
        _upload(store)

    assert isinstance(caught.value.__cause__, AccessDenied)


def test_a_store_without_upload_links_says_so_itself() -> None:
    store = AskedStore(faults={"t": InputError("no uploads to folders")})

    with pytest.raises(InputError, match="no uploads to folders"):
        _upload(store)


def test_who_asks_too_often_uploads_nothing() -> None:
    store = AskedStore()

    with pytest.raises(RateLimited):
        _upload(store, admission=AskedAdmission(refusal=RateLimited(1)))

    assert store.log == []
