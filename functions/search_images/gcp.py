"""Google's entry, which the embedded stack serves too: a Flask request becomes an HTTP API v2 event."""

import base64
import io
import uuid
from typing import Any, Final

import flask
import functions_framework
from werkzeug.exceptions import RequestEntityTooLarge

from functions.search_images.app import resolve
from functions.search_images.bodies import MAX_BYTES

_AT_ONCE: Final = 65_536
_MOST_READ: Final = MAX_BYTES + 100
_MOST_SKIPPED: Final = 32_000_000
"""What Google's functions let through."""


@functions_framework.http
def search_images(request: flask.Request) -> flask.Response:
    """Answer one request of the search API."""
    reply = resolve(_http_api_event(request), None)
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
        "body": base64.b64encode(_body(request)).decode("ascii"),
        "isBase64Encoded": True,
    }


def _body(request: flask.Request) -> bytes:
    """No more than shows that it is too large."""
    request.max_content_length = _MOST_READ
    try:
        body = request.get_data()  # of one without a length so much, and no word that there is more
    except RequestEntityTooLarge:
        body = bytes(_MOST_READ)
    if len(body) == _MOST_READ:
        _skip_rest(request)
    return body


def _skip_rest(request: flask.Request) -> None:
    """Who still sends does not listen. The framework reads a body once more after the answer."""
    rest = request.environ["wsgi.input"]
    for _ in range(_MOST_SKIPPED // _AT_ONCE):
        if not rest.read(_AT_ONCE):
            break
    request.stream = io.BytesIO()
