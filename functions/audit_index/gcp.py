"""Google's entry, for Cloud Scheduler."""

import flask
import functions_framework

from functions.audit_index.running import Report, run
from shared import problems
from shared.errors import PixseekError
from shared.settings import load_settings
from shared.telemetry import log_failure

Answer = tuple[Report, int, dict[str, str]]


@functions_framework.http
def audit_index(request: flask.Request) -> Answer:  # noqa: ARG001 -- whatever it says, it means: now
    """Audit until the time is over; the next run goes on from there."""
    try:
        return run(load_settings().times()), 200, {}
    except PixseekError as exc:
        log_failure("audit_failed", exc)
        return {"error": type(exc).__name__}, problems.status_of(exc), problems.retry_after(exc)
