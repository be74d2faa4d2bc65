"""Logs, a JSON line an outcome or a figure, and traces. Facts only: no bytes, vectors, secrets or queries."""

import importlib.util
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext

_SERVICE: Final = "pixseek"

_Answer = TypeVar("_Answer")
_Handler = Callable[[dict[str, Any], "LambdaContext"], _Answer]

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


def traced(handler: _Handler[_Answer]) -> _Handler[_Answer]:
    """Lambda's handler; each call is a segment of X-Ray where its SDK is in the bundle (TRACING=true)."""

    @cache
    def with_segment() -> _Handler[_Answer]:
        if importlib.util.find_spec("aws_xray_sdk") is None:
            return handler
        from aws_lambda_powertools import Tracer

        # Neither addresses, which hold names of pictures, nor what was found goes there.
        tracer = Tracer(service=_SERVICE, auto_patch=False)
        captured: _Handler[_Answer] = tracer.capture_lambda_handler(handler, capture_response=False)
        return captured

    @wraps(handler)
    def call(event: dict[str, Any], context: "LambdaContext") -> _Answer:
        return with_segment()(event, context)

    return call


@cache
def _logger() -> "Logger":
    from aws_lambda_powertools import Logger

    return Logger(service=_SERVICE)
