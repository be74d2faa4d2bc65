"""Which bytes were embedded more than once, other than because a worker was killed."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from benchmarks.chaos_parts.clip_api import Answer
from benchmarks.chaos_parts.journal import Cut
from benchmarks.chaos_parts.proxy import Stored


def embedded_again(
    answers: Iterable[Answer],
    stored: Iterable[Stored],
    cuts: Sequence[Cut],
    *,
    hashes: Mapping[str, str],
    names: Mapping[str, Collection[str]],
) -> list[str]:
    """An entry for each answer that was one too many.

    `hashes`: of the file that a picture was sent of, by the picture's digest. `names`: under which a file has
    lain. An answer is lost if it came to a worker that was killed while it followed one of these names, and
    the database had no vector yet.
    """
    by_hash: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_hash[hashes.get(answer.digest, answer.digest)].append(answer)
    stored_s: defaultdict[str, list[float]] = defaultdict(list)
    for vector in stored:
        stored_s[vector.content_hash].append(vector.at_s)

    too_many = []
    for content_hash, made in by_hash.items():
        made.sort(key=lambda answer: answer.at_s)
        lain, taken_s = names.get(content_hash, ()), stored_s[content_hash]
        lost = sum(_is_lost(answer, cuts, lain, taken_s) for answer in made[:-1])
        asked = ", ".join(answer.worker for answer in made)
        too_many += [f"{content_hash}: for {asked}; {lost} of them lost"] * (len(made) - 1 - lost)
    return too_many


def _is_lost(answer: Answer, cuts: Sequence[Cut], names: Collection[str], stored_s: Sequence[float]) -> bool:
    return any(
        cut.worker == answer.worker
        and cut.began_s <= answer.at_s <= cut.ended_s
        and not cut.names.isdisjoint(names)
        and not any(answer.at_s <= at_s <= cut.ended_s for at_s in stored_s)
        for cut in cuts
    )
