"""`pixseek spending`: how fast and how often the model may be called."""

import math
from typing import Annotated

import typer
from rich.console import Console

from infra.cli.connection import Project, RefusedError
from infra.cli.status import print_spending

_LIFTED = "none"

Rate = Annotated[str | None, typer.Option(help="Calls a second, of all instances together; `none` lifts it.")]
Budget = Annotated[str | None, typer.Option(help="Calls a day (of UTC); `none` lifts it.")]


def spending(rate: Rate = None, search_budget: Budget = None, indexing_budget: Budget = None) -> None:
    """Show what was spent today, and set limits. They hold for models that cost money (EMBEDDER=roboflow).

    Searching and indexing have a budget each, and share the rate so that neither waits long for the other.
    Example: pixseek spending --rate 20 --indexing-budget 50000
    """
    project = Project.current()
    given = {
        "calls_per_s": rate,
        "search_calls_per_day": search_budget,
        "indexing_calls_per_day": indexing_budget,
    }
    limits = {name: _number(text) for name, text in given.items() if text is not None}
    if limits:
        project.act("limit_spending_v1", limits=limits)
    print_spending(Console(), project)


def _number(text: str) -> float | None:
    if text == _LIFTED:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RefusedError(f"{text} is no number of calls: give a number, or {_LIFTED}")
    return number
