"""Lambda's entry, for EventBridge Scheduler."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.audit_index.running import Report, run
from shared.settings import load_settings
from shared.telemetry import traced


@traced
def handler(event: dict[str, Any], context: LambdaContext) -> Report:  # noqa: ARG001 -- whatever it says, it means: now
    """Audit until the time is over; the next run goes on from there."""
    return run(load_settings().times(context.get_remaining_time_in_millis() / 1000))
