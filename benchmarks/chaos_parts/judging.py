"""What is wrong after a run: the sweep, then the index against the bucket and the answers of the model."""

import math
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.chaos_parts.again import embedded_again
from benchmarks.chaos_parts.check import Wrong, compare
from benchmarks.chaos_parts.ending import look, see
from benchmarks.chaos_parts.flavours import Run
from benchmarks.chaos_parts.mates import held_back, own_errors
from benchmarks.chaos_parts.running import Running
from benchmarks.chaos_parts.sweep import Swept, sweep


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one run."""

    swept: Swept
    wrong: list[Wrong]
    embedded: int
    """Answers of the model to its pictures."""
    excused: int
    """Of them, those that a kill has made necessary again."""
    written: int
    """Healthy files that were written, copied or moved."""


def judge(running: Running, run: Run) -> Judgement:
    """After both runs: nobody holds a lease any more."""
    adapters = running.adapters(run.flavour.storage)
    embedder = adapters.embedders.active(deadline=math.inf)
    swept = sweep(run.bucket.name, adapters)
    contents = {content.hash: content for content in run.plan.contents}
    seen = see(contents, embedder)
    end = look(run, contents, seen, running.stack.dsn("supabase_admin"))
    wrong = compare(end)
    wrong += [("lost", f"{names}: its delivery was given up") for names in run.given_up]
    wrong += [("differences after the sweep", name) for name in swept.left]
    untold = {name for message in run.never for name in message.names}
    wrong += [
        ("differences that no lost event explains", name) for name in swept.differences if name not in untold
    ]

    lost = {expected.name for expected in end.objects} - {
        row.name for row in end.rows if row.state == "indexed"
    }
    healthy = {expected.name for expected in end.objects if expected.words is None}
    own, _ = own_errors(running.home.logs)
    held = held_back(run.journal.mates, lost & healthy, run.journal.failures, own)
    wrong += [("held_back", what) for what in held]

    hashes = {of.digest: content_hash for content_hash, of in seen.items()}
    answers = [answer for answer in running.answers()[0] if answer.digest in hashes]
    names = _names(run)
    again = embedded_again(answers, running.stored(), run.journal.cuts, hashes=hashes, names=names)
    wrong += [("embedded_again", what) for what in again]
    written = sum(
        operation.content is not None and operation.content.words is None for operation in run.plan.operations
    )
    excused = len(answers) - len({answer.digest for answer in answers}) - len(again)
    return Judgement(swept, wrong, len(answers), excused, written)


def _names(run: Run) -> dict[str, set[str]]:
    """Under which each file has lain, by its hash."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for operation in run.plan.operations:
        if operation.content is not None:
            names[operation.content.hash].add(operation.name)
    return names
