"""One cold start after another, the functions in turn, so that what disturbs the machine disturbs all."""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.coldstart_parts.figures import Measured, Start
from benchmarks.coldstart_parts.running import REGION
from benchmarks.coldstart_parts.subjects import Subject, WrongAnswerError
from infra.local.lambdas import LambdaFunction

_WARM_CALLS: Final = 3
_TIMEOUT_S: Final = 60.0


def measure(subjects: Mapping[str, Subject], rounds: int) -> dict[str, Measured]:
    """Raises `WrongAnswerError` for a function that does not do its work."""
    measured = {name: Measured(subject.zip, subject.plain) for name, subject in subjects.items()}
    for _ in range(rounds):
        for name, subject in subjects.items():
            measured[name].starts.append(_start(name, subject))
    return measured


def _start(name: str, subject: Subject) -> Start:
    with LambdaFunction(
        subject.zip.path, subject.handler, subject.environment, timeout_s=_TIMEOUT_S, region=REGION
    ) as function:
        event: dict[str, Any] = {}
        times_ms = []
        for _ in range(1 + _WARM_CALLS):
            event = subject.event()
            times_ms.append(_called(name, subject, function, event))
        again_ms = _called(name, subject, function, event)
        first_ms, *warm_ms = times_ms
        return Start(function.init_ms, first_ms, tuple(warm_ms), again_ms, function.peak_rss_mb)


def _called(name: str, subject: Subject, function: LambdaFunction, event: object) -> float:
    invocation = function.invoke(event)
    if invocation.error or not subject.has_worked(invocation.payload):
        said = invocation.error or invocation.payload
        raise WrongAnswerError(f"{name}: {said}\n{function.log}")
    return invocation.took_ms
