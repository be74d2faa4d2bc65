"""The chaos benchmark: its plan is what it says, and its check can fail."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from benchmarks.chaos_parts import again, check, mates, s3_bucket
from benchmarks.chaos_parts.buckets import Message
from benchmarks.chaos_parts.check import End, Expected, Row, StoredVector
from benchmarks.chaos_parts.clip_api import Answer
from benchmarks.chaos_parts.deliveries import Deliveries, Shuffled
from benchmarks.chaos_parts.journal import Cut, Failure
from benchmarks.chaos_parts.plan import Act, Plan, Trouble
from benchmarks.chaos_parts.planning import make_plan
from benchmarks.chaos_parts.poison import KINDS, poisoned_file, words_of
from benchmarks.chaos_parts.proxy import Stored
from shared import images
from shared.errors import PictureError

CAT = Expected("cat.jpg", "v1", 10, "c" * 64, vector=(1.0, 0.0), preview_hash="p")
BROKEN = Expected("broken.jpg", "v2", 5, "b" * 64, words="broken picture")
CAT_ROW = Row(1, "cat.jpg", "indexed", "v1", 10, "c" * 64, preview="1/1.webp", has_preview=True)
BROKEN_ROW = Row(2, "broken.jpg", "failed", "v2", 5, "b" * 64, reason="broken picture: cut off")
GONE_ROW = Row(3, "gone.jpg", "deleted", None, None, None, preview="3/2.webp")
RIGHT = End(
    [CAT, BROKEN],
    [CAT_ROW, BROKEN_ROW, GONE_ROW],
    [StoredVector(1, (1.0, 0.0))],
    {"1/1.webp": "p"},
    are_versions_unique=True,
)


def _figures(end: End) -> list[str]:
    return sorted(figure for figure, _ in check.compare(end))


def _with_row(row: Row) -> End:
    """The right end, but for one row."""
    return replace(RIGHT, rows=[row, *(other for other in RIGHT.rows if other.image_id != row.image_id)])


class TestThePlan:
    @pytest.fixture
    def plan(self) -> Plan:
        return _plan("1")

    def test_is_the_same_for_the_same_seed(self, plan: Plan) -> None:
        assert _plan("1").operations == plan.operations
        assert _plan("1").troubles == plan.troubles

    def test_is_another_for_another_seed(self, plan: Plan) -> None:
        assert _plan("2").operations != plan.operations

    def test_does_everything_that_can_be_done(self, plan: Plan) -> None:
        assert {operation.act for operation in plan.operations} == set(Act)

    def test_tells_of_as_many_events_as_it_was_asked_for(self, plan: Plan) -> None:
        events = len(plan.operations) + sum(operation.act is Act.MOVE for operation in plan.operations)

        assert events in {400, 401}

    def test_is_about_a_fifth_as_many_objects(self, plan: Plan) -> None:
        assert len({operation.name for operation in plan.operations}) <= 80

    def test_poisons_with_every_kind(self, plan: Plan) -> None:
        poisoned = {
            operation.content.number
            for operation in plan.operations
            if operation.content is not None and operation.content.words is not None
        }

        assert len(poisoned) == len(KINDS)

    def test_kills_and_has_postgres_away_in_both_ways(self, plan: Plan) -> None:
        kinds = Counter(befalls.trouble for group in plan.troubles.values() for befalls in group)

        assert kinds == {
            Trouble.KILL: 3,
            Trouble.KILL_PAID: 2,
            Trouble.RESTART: 1,
            Trouble.CRASH: 1,
        }


def _plan(seed: str) -> Plan:
    return make_plan(400, seed, words=s3_bucket.WORDS, events_of_a_move=2)


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_a_poisoned_file_is_refused_with_its_words(number: int) -> None:
    data = poisoned_file(number)

    with pytest.raises(PictureError, match=words_of(number)):
        images.decode(data)


class TestDeliveries:
    def test_come_twice_each_far_out_of_order(self) -> None:
        shuffled = Shuffled(Random(1), far=50)  # noqa: S311 -- an order
        told = [Message(str(number), ("a.jpg",)) for number in range(200)]

        shuffled.tell(told)
        delivered = Counter(message.body for message in shuffled.due(is_end=True))

        assert set(delivered.values()) == {2}
        assert len(delivered) == 200 - len(shuffled.never)
        assert shuffled.never

    def test_come_again_until_they_are_done_with(self) -> None:
        deliveries = Deliveries()
        deliveries.put([Message("once", ("a.jpg",))])

        [first] = deliveries.receive(10, hidden_s=0)
        [second] = deliveries.receive(10, hidden_s=60)
        deliveries.done(second)

        assert first is second
        assert deliveries.again == 1
        assert deliveries.wait_until_done(within_s=0)

    def test_are_given_up_after_very_many_receives(self) -> None:
        deliveries = Deliveries()
        deliveries.put([Message("dead", ("a.jpg",))])
        [delivery] = deliveries.receive(1, hidden_s=0)
        delivery.receives = 1000
        deliveries.put([Message("alive", ("b.jpg",))])

        [alive] = deliveries.receive(2)

        assert alive.message.body == "alive"
        assert deliveries.dead == [delivery]


class TestTheCheck:
    def test_finds_nothing_wrong_when_all_is_right(self) -> None:
        assert check.compare(RIGHT) == []

    @pytest.mark.parametrize(
        ("end", "figures"),
        [
            (replace(RIGHT, rows=[BROKEN_ROW, GONE_ROW], vectors=[], previews={}), ["lost"]),
            (replace(RIGHT, vectors=[]), ["lost"]),
            (_with_row(replace(CAT_ROW, state="pending")), ["lost", "orphan_previews"]),
            (_with_row(replace(CAT_ROW, state="failed", reason="no")), ["lost", "orphan_previews"]),
            (replace(RIGHT, vectors=[*RIGHT.vectors, *RIGHT.vectors]), ["twice"]),
            (
                replace(RIGHT, rows=[*RIGHT.rows, replace(CAT_ROW, image_id=4, version="v0")]),
                ["twice"],
            ),
            (_with_row(replace(CAT_ROW, content_hash="d" * 64)), ["stale"]),
            (_with_row(replace(CAT_ROW, version="v0")), ["stale"]),
            (_with_row(replace(CAT_ROW, size_bytes=11)), ["stale"]),
            (replace(RIGHT, vectors=[StoredVector(1, (0.9, 0.1))]), ["stale"]),
            (replace(RIGHT, previews={"1/1.webp": "another"}), ["stale"]),
            (_with_row(replace(GONE_ROW, state="indexed")), ["resurrected"]),
            (_with_row(replace(GONE_ROW, state="pending")), ["resurrected"]),
            (replace(RIGHT, vectors=[*RIGHT.vectors, StoredVector(3, (1.0, 0.0))]), ["resurrected"]),
            (
                replace(RIGHT, previews={**RIGHT.previews, "3/1.webp": "p"}),
                ["orphan_previews", "resurrected"],
            ),
            (replace(RIGHT, previews={**RIGHT.previews, "1/0.webp": "p"}), ["orphan_previews"]),
            (_with_row(replace(BROKEN_ROW, reason="something else")), ["unexplained"]),
            (_with_row(replace(BROKEN_ROW, state="indexed")), ["unexplained"]),
            (replace(RIGHT, rows=[CAT_ROW, GONE_ROW]), ["unexplained"]),
            (replace(RIGHT, previews={}), ["lost previews"]),
            (_with_row(replace(CAT_ROW, has_preview=False)), ["lost previews"]),
        ],
    )
    def test_counts_what_is_wrong_under_its_figure(self, end: End, figures: list[str]) -> None:
        assert _figures(end) == figures

    def test_counts_one_version_under_two_names_as_twice(self) -> None:
        moved = replace(CAT_ROW, image_id=4, name="moved.jpg")
        end = replace(
            RIGHT,
            objects=[*RIGHT.objects, replace(CAT, name="moved.jpg")],
            rows=[*RIGHT.rows, replace(moved, preview="4/1.webp")],
            vectors=[*RIGHT.vectors, StoredVector(4, (1.0, 0.0))],
            previews={**RIGHT.previews, "4/1.webp": "p"},
        )

        assert _figures(end) == ["twice"]


class TestEmbeddedAgain:
    HASHES = {"digest": "hash"}  # noqa: RUF012 -- nobody changes it
    NAMES = {"hash": {"cat.jpg"}}  # noqa: RUF012
    KILLED = Cut("w1", frozenset({"cat.jpg"}), 0.0, 2.0)

    def _count(self, answers: list[Answer], cuts: list[Cut], stored: list[Stored]) -> int:
        return len(again.embedded_again(answers, stored, cuts, hashes=self.HASHES, names=self.NAMES))

    def test_once_is_right(self) -> None:
        assert self._count([Answer("w1", "digest", 1.0)], [], []) == 0

    def test_twice_is_once_too_many(self) -> None:
        answers = [Answer("w1", "digest", 1.0), Answer("w2", "digest", 3.0)]

        assert self._count(answers, [], [Stored("hash", 4.0)]) == 1

    def test_a_kill_before_the_vector_was_stored_excuses_it(self) -> None:
        answers = [Answer("w1", "digest", 1.0), Answer("w2", "digest", 3.0)]

        assert self._count(answers, [self.KILLED], [Stored("hash", 4.0)]) == 0

    def test_a_kill_after_it_was_stored_does_not(self) -> None:
        answers = [Answer("w1", "digest", 1.0), Answer("w2", "digest", 3.0)]

        assert self._count(answers, [self.KILLED], [Stored("hash", 1.5)]) == 1

    @pytest.mark.parametrize(
        "cut",
        [
            replace(KILLED, worker="w3"),
            replace(KILLED, ended_s=0.5),
            replace(KILLED, names=frozenset({"dog.jpg"})),
        ],
        ids=["another worker's", "before the answer", "while it did something else"],
    )
    def test_another_kill_does_not(self, cut: Cut) -> None:
        answers = [Answer("w1", "digest", 1.0), Answer("w2", "digest", 3.0)]

        assert self._count(answers, [cut], []) == 1

    def test_one_kill_excuses_one(self) -> None:
        answers = [Answer(worker, "digest", at_s) for worker, at_s in (("w1", 1.0), ("w2", 3.0), ("w3", 5.0))]

        assert self._count(answers, [self.KILLED], []) == 1


class TestHeldBack:
    MATE = Failure("w1", ("cat.jpg",), 10.0, 11.0, is_beside_poison=True)

    def test_a_mate_that_is_not_searchable_is(self) -> None:
        assert len(mates.held_back({"cat.jpg"}, {"cat.jpg"}, [], {})) == 1

    def test_a_mate_that_had_to_come_again_without_a_reason_is(self) -> None:
        assert len(mates.held_back(set(), set(), [self.MATE], {})) == 1

    def test_a_mate_with_an_outage_of_its_own_is_not(self) -> None:
        assert mates.held_back(set(), set(), [self.MATE], {("w1", "cat.jpg"): [10.5]}) == []

    def test_an_outage_at_another_time_is_no_reason(self) -> None:
        assert len(mates.held_back(set(), set(), [self.MATE], {("w1", "cat.jpg"): [9.0]})) == 1

    def test_what_came_without_a_poisoned_one_is_not(self) -> None:
        alone = replace(self.MATE, is_beside_poison=False)

        assert mates.held_back(set(), set(), [alone], {}) == []
