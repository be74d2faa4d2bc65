"""How often the offline embedder puts the right photograph first: `make eval`."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import track

from benchmarks.report import Target, publish
from infra import photographs
from shared import images
from shared.embedding.offline import OfflineEmbedder

QUERIES: Final = Path(__file__).with_name("eval_queries.json")
_BARS: Final = {"en": 0.50, "zh": 0.40}


class _Asked(TypedDict):
    language: str
    query: str
    subject: str
    rank: int


class _Summary(TypedDict):
    language: str
    queries: int
    hit1: float
    mrr: float


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SubjectQueries(_Form):
    """What a stranger would ask to find a subject."""

    subject: str
    en: tuple[str, ...] = Field(min_length=1)
    zh: tuple[str, ...] = Field(min_length=1)


class QuerySet(_Form):
    """The queries, one or more a subject and language, and the subjects that are not asked for."""

    about: str
    aliases: Mapping[str, tuple[str, ...]]
    """Subject → other names of the same."""
    queries: tuple[SubjectQueries, ...]
    not_asked: Mapping[str, str]
    """Subject → why no stranger could name it."""

    def subject_of(self, photograph: str) -> str:
        """What a photograph shows: its file's name without its number."""
        name = re.sub(r"[_-]?\d+$", "", Path(photograph).stem)
        return next((subject for subject, others in self.aliases.items() if name in others), name)

    def asked(self) -> Iterator[tuple[str, str, str]]:
        """Language, subject, query."""
        for entry in self.queries:
            yield from (("en", entry.subject, text) for text in entry.en)
            yield from (("zh", entry.subject, text) for text in entry.zh)


def load_queries() -> QuerySet:
    """The query set of this repository."""
    return QuerySet.model_validate_json(QUERIES.read_bytes())


def main() -> int:
    """Measure, print, write build/bench/eval.json. 1 when a target is missed."""
    embedder = OfflineEmbedder()
    queries = load_queries()
    pool = [*photographs.packaged(), *photographs.debian()]
    subjects = np.array([queries.subject_of(photograph.name) for photograph in pool])
    pictures = np.array(
        [
            embedder.embed_pictures([images.decode(photograph.path.read_bytes())])[0]
            for photograph in track(pool, "embedding photographs")
        ]
    )
    asked: list[_Asked] = [
        {"language": language, "query": text, "subject": subject, "rank": rank}
        for (language, subject, text), rank in zip(
            queries.asked(), _ranks(queries, embedder, pictures, subjects), strict=True
        )
    ]
    rows = [_summary(asked, language) for language in _BARS]
    targets = [
        Target(f"eval.photos.hit1.{row['language']}", row["hit1"], _BARS[row["language"]], "min")
        for row in rows
    ]
    return publish("eval", rows, targets, details=asked)


def _ranks(
    queries: QuerySet, embedder: OfflineEmbedder, pictures: NDArray[np.float64], subjects: NDArray[np.str_]
) -> Iterator[int]:
    """At which place, from 1, the first picture of the subject comes; a query without one is an error."""
    for _, subject, text in queries.asked():
        order = np.argsort(-pictures @ np.array(embedder.embed_texts([text])[0]))
        yield int(np.flatnonzero(subjects[order] == subject)[0]) + 1


def _summary(asked: Sequence[_Asked], language: str) -> _Summary:
    ranks = np.array([query["rank"] for query in asked if query["language"] == language])
    return {
        "language": language,
        "queries": len(ranks),
        "hit1": float(np.mean(ranks == 1)),
        "mrr": float(np.mean(1 / ranks)),
    }


if __name__ == "__main__":
    sys.exit(main())
