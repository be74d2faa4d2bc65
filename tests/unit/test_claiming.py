"""A batch of pictures that the database hands out: what becomes of each, and what is given back."""

import hashlib
import time

import pytest

from shared.claiming import BATCH, LEASE_S, Done
from shared.errors import (
    InputError,
    ObjectRefused,
    OverBudget,
    PixseekError,
    SettingsError,
    Unavailable,
)
from shared.models import Change, ObjectEvent, ObjectRef, Standing
from tests.unit.reembedding_ports import Followed, Project, picture

_OUTAGE = Unavailable("does not answer")
_WRONG_KEY = SettingsError("wrong key")


def _event(name: str) -> ObjectEvent:
    return ObjectEvent(ObjectRef("photos", name), Change.WRITTEN, f"key of {name}", is_of_sweep=True)


class TestABatch:
    def test_is_read_embedded_and_stored(self) -> None:
        project = Project(3)

        done = project.worker().work()

        assert done == Done(indexed=3, failed=0, later=0, calls=3)
        assert project.index.vectors == {"000.png": [8.0] * 2, "001.png": [9.0] * 2, "002.png": [10.0] * 2}
        assert (project.followed, project.index.leased) == ([], set())

    def test_is_no_larger_than_it_may_be(self) -> None:
        project = Project(50)

        first, second = project.worker().work(), project.worker().work(7)

        assert (first, second) == (Done(BATCH, 0, 0, BATCH), Done(7, 0, 0, 7))
        assert project.index.claims == [BATCH, 7]

    def test_is_none_when_nothing_is_handed_out(self) -> None:
        assert Project().worker().work() is None

    def test_is_of_the_buckets_that_are_followed(self) -> None:
        project = Project(1)

        project.worker(buckets={"photos"}).work()

        assert project.index.buckets == [{"photos"}]


class TestOneThatCannotBeEmbedded:
    def test_is_on_record_with_its_reason_and_costs_no_call(self) -> None:
        project = Project(2)
        project.bucket.files["000.png"] = broken = b"no picture"
        project.index.hashes["000.png"] = hashlib.sha256(broken).hexdigest()

        done = project.worker().work()

        assert done == Done(indexed=1, failed=1, later=0, calls=1)
        assert "not a picture" in project.index.failed["000.png"]

    def test_as_the_model_refuses_it_fails_for_good(self) -> None:
        project = Project(1)
        project.embedder.refusal = InputError("cannot be seen")

        done = project.worker().work()

        assert done == Done(indexed=0, failed=1, later=0, calls=1)
        assert project.index.failed == {"000.png": "cannot be seen"}

    def test_for_an_outage_of_its_own_is_left_to_later(self) -> None:
        project = Project(3)
        project.bucket.faults["001.png"] = _OUTAGE

        done = project.worker().work()

        assert done == Done(indexed=2, failed=0, later=1, calls=2)
        assert project.index.leased == {"001.png"}
        assert project.followed == []


class TestThoseThatTheModelCannotAnswer:
    def test_while_it_answers_for_a_plain_picture_use_up_their_tries(self) -> None:
        project = Project(2)
        project.embedder.errors = [_OUTAGE]

        done = project.worker().work()

        assert done == Done(indexed=0, failed=0, later=2, calls=2)
        assert project.index.leased == set()
        assert project.index.tries == {"000.png": 1, "001.png": 1}

    def test_fail_when_their_tries_are_used_up(self) -> None:
        project = Project(1)
        project.index.tries["000.png"] = 4
        project.embedder.errors = [_OUTAGE]

        done = project.worker().work()

        assert done == Done(indexed=0, failed=1, later=0, calls=1)
        assert project.index.failed == {"000.png": "does not answer"}

    def test_beside_others_that_it_answers_for_use_up_theirs_alone(self) -> None:
        project = Project(3)
        project.embedder.unanswered = {9: _OUTAGE}

        done = project.worker().work()

        assert done == Done(indexed=2, failed=0, later=1, calls=3)
        assert project.index.leased == set()
        assert project.embedder.calls == 3


class TestAnObjectThatIsNotAsTheIndexKnowsIt:
    def test_as_it_changed_is_followed_and_counts_as_a_call_if_it_took_one(self) -> None:
        project = Project(2)
        project.bucket.files["000.png"] = picture(99)
        project.outcomes["000.png"] = Followed(Standing.INDEXED, embedded=True)

        done = project.worker().work()

        assert done == Done(indexed=2, failed=0, later=0, calls=2)
        assert project.followed == [_event("000.png")]
        assert project.embedder.calls == 1

    def test_as_it_was_never_read_is_followed(self) -> None:
        project = Project(2)
        project.index.hashes["001.png"] = None

        project.worker().work()

        assert project.followed == [_event("001.png")]

    def test_as_it_is_gone_is_followed_and_done_with(self) -> None:
        project = Project(2)
        del project.bucket.files["000.png"]
        project.outcomes["000.png"] = Followed(Standing.DELETED)

        done = project.worker().work()

        assert done == Done(indexed=2, failed=0, later=0, calls=1)
        assert project.followed == [_event("000.png")]

    def test_as_it_is_refused_is_followed_and_left_to_later(self) -> None:
        project = Project(2)
        project.bucket.faults["000.png"] = refused = ObjectRefused("not ours to read")
        project.outcomes["000.png"] = Followed(None, refused)

        done = project.worker().work()

        assert done == Done(indexed=1, failed=0, later=1, calls=1)
        assert project.followed == [_event("000.png")]

    def test_as_it_is_no_picture_any_more_is_followed_and_failed(self) -> None:
        project = Project(1)
        project.bucket.files["000.png"] = b"no picture"
        project.outcomes["000.png"] = Followed(Standing.FAILED)

        done = project.worker().work()

        assert done == Done(indexed=0, failed=1, later=0, calls=0)

    def test_does_not_keep_the_others_from_theirs(self) -> None:
        project = Project(3)
        del project.bucket.files["000.png"]
        project.bucket.faults["001.png"] = _OUTAGE
        project.outcomes["000.png"] = Followed(Standing.DELETED)

        done = project.worker().work()

        assert done == Done(indexed=2, failed=0, later=1, calls=1)
        assert list(project.index.vectors) == ["002.png"]


class TestWhatHindersAllAlike:
    @pytest.mark.parametrize("error", [_OUTAGE, OverBudget(), _WRONG_KEY], ids=lambda it: type(it).__name__)
    def test_at_the_model_is_raised_and_costs_no_try(self, error: PixseekError) -> None:
        project = Project(40)
        project.embedder.refusal = error

        with pytest.raises(PixseekError) as caught:
            project.worker().work()

        assert caught.value is error
        assert project.index.leased == set()
        assert project.index.tries.total() == 0
        assert (project.index.vectors, project.index.failed) == ({}, {})

    @pytest.mark.parametrize("error", [_OUTAGE, _WRONG_KEY], ids=lambda it: type(it).__name__)
    def test_at_the_store_is_raised_and_costs_no_try(self, error: PixseekError) -> None:
        project = Project(3)
        project.bucket.faults = dict.fromkeys(project.bucket.files, error)

        with pytest.raises(PixseekError) as caught:
            project.worker().work()

        assert caught.value is error
        assert (project.index.leased, project.index.tries.total()) == (set(), 0)
        assert project.embedder.calls == 0

    def test_costs_what_was_never_read_no_try_either(self) -> None:
        project = Project(2)
        project.index.hashes["001.png"] = None
        project.bucket.faults = dict.fromkeys(project.bucket.files, _OUTAGE)

        with pytest.raises(Unavailable):
            project.worker().work()

        assert (project.index.leased, project.index.tries.total()) == (set(), 0)

    def test_as_a_bucket_that_is_not_there_is_raised_and_removes_nothing(self) -> None:
        project = Project(5)
        project.bucket.files = {"000.png": project.bucket.files["000.png"]}

        with pytest.raises(SettingsError, match=r"4 of 5 pictures are gone from 'photos' and others"):
            project.worker().work()

        assert project.followed == []
        assert (project.index.leased, project.index.tries.total()) == (set(), 0)

    def test_has_no_permit_later_than_its_lease_lasts(self) -> None:
        project = Project(1)
        latest = time.monotonic() + LEASE_S

        project.worker().work()

        assert max(project.embedder.deadlines) < latest

    def test_as_vectors_of_another_length_is_raised_and_stores_nothing(self) -> None:
        project = Project(3)
        project.embedder.dimensions = 3

        with pytest.raises(SettingsError, match=r"vectors of 3 numbers, and tests/new model has 2"):
            project.worker().work()

        assert (project.index.vectors, project.index.failed) == ({}, {})
        assert (project.index.leased, project.index.tries.total()) == (set(), 0)

    def test_as_no_time_is_left_gives_them_back_unread(self) -> None:
        project = Project(3)

        with pytest.raises(Unavailable, match="no time is left"):
            project.worker(begin_by=time.monotonic() - 1).work()

        assert (project.index.leased, project.embedder.calls) == (set(), 0)

    @pytest.mark.parametrize("error", [_OUTAGE, OverBudget(), _WRONG_KEY], ids=lambda it: type(it).__name__)
    def test_costs_no_try_beside_a_picture_that_was_broken_anyhow(self, error: PixseekError) -> None:
        project = Project(3)
        project.bucket.files["000.png"] = broken = b"no picture"
        project.index.hashes["000.png"] = hashlib.sha256(broken).hexdigest()
        project.embedder.refusal = error

        with pytest.raises(PixseekError) as caught:
            project.worker().work()

        assert caught.value is error
        assert (project.index.leased, project.index.tries.total()) == (set(), 0)
        assert (project.index.vectors, project.index.failed) == ({}, {})
