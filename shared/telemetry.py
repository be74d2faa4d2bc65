"""Logs: one JSON line an outcome or a figure. Facts only: never bytes, vectors, secrets or query text."""

from functools import cache
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

_SERVICE: Final = "pixseek"

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


def log_metric(name: str, value: float, unit: Literal["Count", "None"], **dimensions: str) -> None:
    """Export a figure, as a line in CloudWatch's embedded metric format.

    What reads no such lines, as Google's log-based metrics, takes the figure from the outcome's own line.
    """
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    with single_metric(name=name, unit=MetricUnit(unit), value=value, namespace=_SERVICE) as metric:
        for dimension, text in dimensions.items():
            metric.add_dimension(name=dimension, value=text)


@cache
def _logger() -> "Logger":
    from aws_lambda_powertools import Logger

    return Logger(service=_SERVICE)
