"""The adapter's part for the recall of searches: the vector index beside exact search."""

from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared.audits import Compared, Question, Recall
from shared.database.answers import NOTHING
from shared.database.search import SearchDatabase


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _QuestionRow(_Row):
    kind: str
    id: int


class _ComparedRow(_Row):
    expected: int
    found: int
    answered: int


_QUESTIONS = TypeAdapter(list[_QuestionRow])
_COMPARED = TypeAdapter(list[_ComparedRow])


class Recalls:
    """A `RecallIndex` over one Supabase project."""

    def __init__(self, database: SearchDatabase) -> None:
        self._database = database

    def sample(self, size: int) -> list[Question]:
        """Up to so many questions at random."""
        rows = self._database.write("recall_sample_v1", {"sample_size": size}, _QUESTIONS)
        return [Question(row.kind, row.id) for row in rows]

    def compare(self, question: Question, *, count: int) -> Compared | None:
        """The nearest of the index beside the exact ones."""
        arguments = {"kind": question.kind, "id": question.id, "k": count}
        rows = self._database.write("recall_of_v1", arguments, _COMPARED)
        return next((Compared(row.expected, row.found, row.answered) for row in rows), None)

    def keep_recall(self, recall: Recall) -> None:
        """Remember it for the active model."""
        arguments = {
            "questions": recall.questions,
            "recall": recall.recall,
            "short_share": recall.short_share,
            "floor": recall.floor,
        }
        self._database.write("keep_recall_v1", arguments, NOTHING)
