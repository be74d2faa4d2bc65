"""Google's entry, which the embedded stack serves too: a Flask request becomes an HTTP API v2 event."""

import base64
import threading
import uuid
from typing import Any

import flask
import functions_framework

from functions.search_images.app import app

# The resolver keeps its request, with the caller's token, where all threads see it: it is made for Lambda,
# where a process has one request at a time.
_one_at_a_time = threading.Lock()


@functions_framework.http
def search_images(request: flask.Request) -> flask.Response:
    """Answer one request of the search API."""
    event = _http_api_event(request)
    with _one_at_a_time:
        reply = app.resolve(event, {})  # type: ignore[arg-type] # no Lambda, no context
    return flask.Response(reply["body"], status=reply["statusCode"], headers=reply["headers"])


def _http_api_event(request: flask.Request) -> dict[str, Any]:
    """Source: AWS, "Working with AWS Lambda proxy integrations for HTTP APIs", payload format 2.0."""
    return {
        "version": "2.0",
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode("latin-1"),
        "queryStringParameters": {name: ",".join(values) for name, values in request.args.lists()},
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {
            "http": {"method": request.method, "path": request.path, "sourceIp": request.remote_addr},
            "requestId": str(uuid.uuid4()),
            "stage": "$default",
        },
        "body": base64.b64encode(request.get_data()).decode("ascii"),
        "isBase64Encoded": True,
    }
