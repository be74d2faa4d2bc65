"""One flavour: its bucket, who follows it, and a run from the first operation until nothing is left."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.chaos_parts import s3_bucket, supabase_bucket
from benchmarks.chaos_parts.buckets import Bucket, Message
from benchmarks.chaos_parts.deliveries import Deliveries, Shuffled
from benchmarks.chaos_parts.journal import Journal
from benchmarks.chaos_parts.lambdas import Lambdas
from benchmarks.chaos_parts.outages import Outages, Workers
from benchmarks.chaos_parts.plan import Plan
from benchmarks.chaos_parts.planning import make_plan
from benchmarks.chaos_parts.running import Running
from benchmarks.chaos_parts.s3_bucket import S3Bucket
from benchmarks.chaos_parts.supabase_bucket import SupabaseBucket
from benchmarks.chaos_parts.webhooks import Webhooks

_MOST_WAITING: Final = 50
_DRAINS_S: Final = 60.0
_DRAINS_S_AN_EVENT: Final = 0.06
_LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Flavour:
    """Whose bucket it is, and which function follows it."""

    storage: str
    words: Sequence[str]
    """Parts of the names."""
    events_of_a_move: int
    make_bucket: Callable[[Running, str], Bucket]
    make_workers: Callable[[Deliveries, Journal, Running, str], Workers]

    @property
    def bucket_name(self) -> str:
        """Of its pictures."""
        return f"chaos-{self.storage}"


FLAVOURS: Final = (
    Flavour("s3", s3_bucket.WORDS, s3_bucket.EVENTS_OF_A_MOVE, S3Bucket, Lambdas),
    Flavour("supabase", supabase_bucket.WORDS, supabase_bucket.EVENTS_OF_A_MOVE, SupabaseBucket, Webhooks),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was, and what happened in it."""

    flavour: Flavour
    bucket: Bucket
    plan: Plan
    journal: Journal
    told: int
    """Events."""
    never: Sequence[Message]
    """Events that nobody was told of."""
    deliveries: int
    again: int
    """Deliveries that were made once more."""
    given_up: Sequence[str]
    """Objects whose deliveries were made too often, or were left at the end."""
    took_s: float


def run(flavour: Flavour, running: Running, events: int, seed: str, progress: Callable[[int], None]) -> Run:
    """`progress` is told how many deliveries are done with."""
    plan = make_plan(events, seed, words=flavour.words, events_of_a_move=flavour.events_of_a_move)
    bucket = flavour.make_bucket(running, flavour.bucket_name)
    deliveries, journal = Deliveries(), Journal()
    shuffled = Shuffled(Random(seed), far=events // 2)  # noqa: S311 -- an order, no secret
    workers = flavour.make_workers(deliveries, journal, running, seed)
    outages = Outages(workers, running, journal)
    started = time.monotonic()
    with ExitStack() as closing:
        closing.callback(workers.stop)
        closing.callback(outages.end)
        closing.callback(deliveries.close)
        workers.start()
        for number, operation in enumerate(plan.operations):
            outages.befall(plan.troubles.get(number, ()))
            while not deliveries.wait_until_fewer(_MOST_WAITING, within_s=_LOOK_EVERY_S):
                progress(deliveries.done_with)
            shuffled.tell(bucket.apply(operation))
            journal.happened(operation)
            deliveries.put(shuffled.due())
        deliveries.put(shuffled.due(is_end=True))
        until = time.monotonic() + _DRAINS_S + _DRAINS_S_AN_EVENT * events
        while time.monotonic() < until and not deliveries.wait_until_done(within_s=_LOOK_EVERY_S):
            progress(deliveries.done_with)
    left = [*deliveries.dead, *deliveries.left()]
    return Run(
        flavour,
        bucket,
        plan,
        journal,
        shuffled.told,
        shuffled.never,
        deliveries.done_with,
        deliveries.again,
        [" ".join(delivery.message.names) for delivery in left],
        time.monotonic() - started,
    )
