"""The table of what happened, and the details of what is wrong."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from benchmarks.chaos_parts.check import Wrong
from benchmarks.chaos_parts.flavours import Run
from benchmarks.chaos_parts.judging import Judgement
from benchmarks.chaos_parts.mates import own_errors
from benchmarks.chaos_parts.plan import Act
from benchmarks.chaos_parts.running import Running

_MOST_DETAILS: Final = 500

Row = dict[str, object]


def rows(running: Running, runs: Sequence[Run], judgements: Sequence[Judgement]) -> list[Row]:
    """A column a flavour."""
    columns = [_column(running, run, judgement) for run, judgement in zip(runs, judgements, strict=True)]
    names = list(dict.fromkeys(name for column in columns for name in column))
    table: list[Row] = [
        {
            "what": name,
            **{run.flavour.storage: column.get(name, 0) for run, column in zip(runs, columns, strict=True)},
        }
        for name in names
    ]
    together = {
        "embedder faults, all": running.answers()[1],
        "deadlocks, all": running.database_errors()["deadlock detected"],
    }
    first, *others = [run.flavour.storage for run in runs]
    return table + [{"what": name, first: count, **dict.fromkeys(others)} for name, count in together.items()]


def details(running: Running, wrong: Sequence[Wrong]) -> list[Row]:
    """What is wrong, one by one, and what the logs of the workers and of Postgres complain of."""
    table: list[Row] = [{"figure": figure, "what": what} for figure, what in wrong[:_MOST_DETAILS]]
    for source, told in (
        ("workers' logs", own_errors(running.home.logs)[1]),
        ("Postgres's log", running.database_errors()),
    ):
        table += [{"figure": source, "what": what, "times": times} for what, times in told.most_common()]
    return table


def _column(running: Running, run: Run, judgement: Judgement) -> Row:
    acts = Counter(operation.act for operation in run.plan.operations)
    swept = judgement.swept
    figures = Counter(figure for figure, _ in judgement.wrong)
    faults, requests = running.storage_faults(run.flavour.storage)
    return {
        "events": run.told,
        **{f"  {act}s": acts[act] for act in Act},
        "poisoned files": sum(content.words is not None for content in run.plan.contents),
        "deliveries": run.deliveries,
        "never delivered": len(run.never),
        "made again": run.again,
        **dict(sorted(run.journal.counts.items())),
        "storage requests": requests,
        "storage faults": faults,
        "healthy files written": judgement.written,
        "embeddings made": judgement.embedded,
        "embeddings lost by kills": judgement.excused,
        "embeddings saved": judgement.written - judgement.embedded,
        "mates of poisoned ones": len(run.journal.mates),
        "differences mended": len(swept.differences) - len(swept.left),
        "  that no lost event explains": figures["differences that no lost event explains"],
        "differences after the sweep": len(swept.left),
        "orphan previews deleted": swept.orphan_previews,
        "previews lost": figures["lost previews"],
        "seconds": round(run.took_s, 1),
        "seconds of the sweep": round(swept.took_s, 1),
    }
