"""Lambda's entry, behind an HTTP API of API Gateway or a function URL: payload format 2.0."""

from typing import TYPE_CHECKING, Any

from shared.starting import uncollected

with uncollected():
    from functions.search_images.app import resolve
    from shared.telemetry import traced

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@traced
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer one request of the search API."""
    return resolve(event, context)
