"""Lambda's entry, for EventBridge Scheduler: one instance calls as many more as there is work for."""

import json
from functools import partial
from typing import Any, Final

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.reembed_images.running import Report, run
from shared.errors import Unavailable
from shared.settings import load_settings
from shared.telemetry import traced

_CALLED: Final = "is_called_by_another"


@traced
def handler(event: dict[str, Any], context: LambdaContext) -> Report:
    """Work on what is missing until the time is over. Whatever the event is, it means: now."""
    times = load_settings().times(context.get_remaining_time_in_millis() / 1000)
    is_first = not (isinstance(event, dict) and event.get(_CALLED))
    return run(times, call_more=partial(_call, context.invoked_function_arn) if is_first else None)


def _call(function_arn: str, count: int) -> None:
    """Raises `Unavailable` when Lambda refuses: the role needs lambda:InvokeFunction on this function."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("lambda")
        payload = json.dumps({_CALLED: True}).encode()
        for _ in range(count):
            client.invoke(FunctionName=function_arn, InvocationType="Event", Payload=payload)
    except (BotoCoreError, ClientError) as exc:
        raise Unavailable("more instances could not be called (lambda:InvokeFunction)") from exc
