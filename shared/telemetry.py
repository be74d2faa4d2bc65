"""Logs: one JSON line an outcome. Facts only: never bytes, vectors, secrets or query text."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

Fact = str | int | float | bool | None


def log_outcome(event: str, **facts: Fact) -> None:
    """Log what was done, under a fixed event name."""
    _logger().info(event, extra=facts)


def log_failure(event: str, error: BaseException, **facts: Fact) -> None:
    """Log what went wrong and why, under a fixed event name."""
    cause = type(error.__cause__).__name__ if error.__cause__ else None
    _logger().warning(
        event, extra={"error": type(error).__name__, "detail": str(error), "cause": cause, **facts}
    )


@cache
def _logger() -> "Logger":
    from aws_lambda_powertools import Logger

    return Logger(service="pixseek")
