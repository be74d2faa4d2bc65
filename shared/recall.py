"""Whether searches still find what is nearest: the vector index beside exact search."""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from shared.audit_ports import RecallIndex
from shared.audits import Compared, Question, Recall
from shared.errors import Unavailable

FLOOR: Final = 0.93
"""Of what is nearest to a query a sound index found .97, and one that looks at a quarter of the candidates
.88: measured on 20,000 vectors that are harder than real ones."""
_FEWEST: Final = 5
_LOOKED_AT_EVERY: Final = 50
_ERRORS_TO_BE_CLEAR: Final = 3.0

_Answers = Sequence[Compared]


def check_recall(
    index: RecallIndex,
    *,
    sample_size: int = 400,
    k: int = 10,
    floor: float = FLOOR,
    max_short_share: float = 0.05,
    begin_by: float = math.inf,
) -> Recall:
    """Ask some questions both ways, and remember how much of the exact answers the index has found.

    Questions are remembered queries and stored pictures, at random; each kind is judged by itself, as queries
    are harder, and asked until it is clear on which side of the floor it is. It is alarming when a kind is
    below by more than the standard error of its sample, so that a poor sample of a sound index raises no
    alarm; and when more than `max_short_share` of the questions had fewer answers than there are pictures.
    Fewer than 5 questions say nothing. None is begun after `begin_by` (`time.monotonic`), nor after one that
    the database does not answer; what was answered is judged. Raises `Unavailable` when nothing was.
    """
    answers = _asked(index, index.sample(sample_size), k, floor, begin_by)
    recall = judge(answers, floor=floor, max_short_share=max_short_share)
    if recall.questions:
        index.keep_recall(recall)
    return recall


def _asked(
    index: RecallIndex, questions: Sequence[Question], k: int, floor: float, begin_by: float
) -> Mapping[str, _Answers]:
    """Answers, by the kind of their questions. One that gets none ends the asking: others would wait too."""
    answers: defaultdict[str, list[Compared]] = defaultdict(list)
    clear: set[str] = set()
    for question in questions:
        if time.monotonic() > begin_by:
            break
        if question.kind in clear:
            continue
        try:
            answer = index.compare(question, count=k)
        except Unavailable:
            if not any(answers.values()):
                raise
            break
        of_kind = answers[question.kind]
        if answer is not None and answer.expected > 0:
            of_kind.append(answer)
        if len(of_kind) % _LOOKED_AT_EVERY == 0 and _is_clear(of_kind, floor):
            clear.add(question.kind)
    return answers


def judge(answers: Mapping[str, _Answers], *, floor: float, max_short_share: float) -> Recall:
    """What some answers say of the index, by the kind of their questions; that which is found worst tells."""
    every = [answer for of_kind in answers.values() for answer in of_kind]
    judged = {kind: of_kind for kind, of_kind in answers.items() if len(of_kind) >= _FEWEST}
    worst = min(judged.values() or [every], key=_share, default=every)
    short_share = sum(answer.answered < answer.expected for answer in every) / max(1, len(every))
    reason = None
    if len(every) < _FEWEST:
        reason = f"{len(every)} questions say nothing: at least {_FEWEST} are needed"
    elif any(_is_below(of_kind, floor) for of_kind in judged.values() or [every]):
        reason = f"searches find {_share(worst):.1%} of what is nearest, and the floor is {floor:.1%}"
    elif short_share > max_short_share:
        reason = f"{short_share:.1%} of the searches have fewer answers than there are pictures"
    is_alarming = reason is not None and len(every) >= _FEWEST
    return Recall(len(every), _share(worst), short_share, floor, is_alarming, reason)


def _is_clear(answers: _Answers, floor: float) -> bool:
    """More of this kind would change nothing."""
    return bool(answers) and abs(_share(answers) - floor) > _ERRORS_TO_BE_CLEAR * _error(answers)


def _is_below(answers: _Answers, floor: float) -> bool:
    """The fewer there are, the less is their own estimate of the error believed."""
    errors = max(1.0, _ERRORS_TO_BE_CLEAR - len(answers) / 100)
    return _share(answers) + errors * _error(answers) < floor


def _share(answers: _Answers) -> float:
    expected = sum(answer.expected for answer in answers)
    return sum(answer.found for answer in answers) / expected if expected else 1.0


def _error(answers: _Answers) -> float:
    """The standard error: questions differ in how hard they are, and at least as much as chance has it."""
    share = _share(answers)
    by_chance = share * (1 - share) / max(answer.expected for answer in answers)
    spread = sum((answer.found / answer.expected - share) ** 2 for answer in answers) / (len(answers) - 1)
    return math.sqrt(max(spread, by_chance) / len(answers))
