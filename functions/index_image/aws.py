"""AWS's entries: events of S3 and EventBridge, by SQS or directly, and the Supabase webhook over HTTP."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2, SQSEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.index_image.following import error_of, follow
from functions.index_image.webhook import SECRET_HEADER, answer_webhook
from shared.errors import InputError
from shared.events.s3 import decode_s3_notification
from shared.models import ObjectEvent
from shared.settings import Times, load_settings
from shared.telemetry import log_failure, traced


@traced
def index_queued_events(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Follow a batch of SQS messages, and name those that are worth a retry; the others are done with.

    Without `FunctionResponseTypes: [ReportBatchItemFailures]` SQS takes the whole batch for done.
    """
    messages = [(record.message_id, _decoded(record.body)) for record in SQSEvent(event).records]
    outcomes = iter(follow([event for _, events in messages for event in events], _times(context)))
    answered = [(message_id, [next(outcomes) for _ in events]) for message_id, events in messages]
    return {
        "batchItemFailures": [
            {"itemIdentifier": message_id} for message_id, outcomes in answered if error_of(outcomes)
        ]
    }


@traced
def index_storage_events(event: dict[str, Any], context: LambdaContext) -> None:
    """Follow events that S3, SNS or EventBridge hands over itself. Raises what is worth a retry."""
    error = error_of(follow(_decoded(event), _times(context)))
    if error is not None:
        raise error


@traced
def index_supabase_webhook(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Follow a database webhook of `storage.objects`, from an HTTP API or a function URL."""
    request = APIGatewayProxyEventV2(event)
    payload = (request.body or "").encode()
    if request.is_base64_encoded:
        payload = base64.b64decode(payload)
    body, status, headers = answer_webhook(request.headers.get(SECRET_HEADER), payload, _left_s(context))
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **headers},
        "body": json.dumps(body),
    }


def _decoded(payload: str | dict[str, Any]) -> Sequence[ObjectEvent]:
    """None for what is no event: it would be none the next time either, and the log keeps it."""
    try:
        return decode_s3_notification(payload)
    except InputError as exc:
        log_failure("event_refused", exc)
        return ()


def _times(context: LambdaContext) -> Times:
    return load_settings().times(_left_s(context))


def _left_s(context: LambdaContext) -> float:
    return context.get_remaining_time_in_millis() / 1000
