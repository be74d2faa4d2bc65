"""What API Gateway does between a caller and a function: an HTTP API's routes, and its payload format 2.0."""

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from infra.local.lambdas import Invocation

_PLAIN = re.compile(r"application/json|text/|application/x-www-form-urlencoded")


@dataclass(frozen=True)
class Answer:
    """Of the API, to its caller."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of(cls, call: Invocation) -> "Answer":
        """A function that fails is answered for with 500 and nothing more."""
        if call.error is not None:
            return cls(500, {}, b'{"message":"Internal Server Error"}')
        body = call.payload.get("body") or ""
        content = base64.b64decode(body) if call.payload.get("isBase64Encoded") else body.encode()
        headers = {name.lower(): value for name, value in call.payload.get("headers", {}).items()}
        return cls(call.payload["statusCode"], headers, content)


NOT_FOUND = Answer(404, {}, b'{"message":"Not Found"}')


@dataclass(frozen=True)
class Request:
    """Of a caller."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    def event(self, route_key: str) -> dict[str, Any]:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
        headers = {"host": "api.example", **{name.lower(): value for name, value in self.headers.items()}}
        is_text = bool(_PLAIN.match(headers.get("content-type", "text/")))
        body = self.content.decode() if is_text else base64.b64encode(self.content).decode()
        query = urlencode(self.query)
        return {
            "version": "2.0",
            "routeKey": route_key,
            "rawPath": self.path,
            "rawQueryString": query,
            "headers": headers,
            **({"queryStringParameters": dict(parse_qsl(query, keep_blank_values=True))} if query else {}),
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api",
                "domainName": "api.example",
                "domainPrefix": "api",
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "tests",
                },
                "requestId": str(uuid4()),
                "routeKey": route_key,
                "stage": "$default",
                "time": "01/Jan/2026:00:00:00 +0000",
                "timeEpoch": int(time.time() * 1000),
            },
            **({"body": body} if self.content else {}),
            "isBase64Encoded": bool(self.content) and not is_text,
        }


def best_route(routes: Mapping[str, str], request: Request) -> str | None:
    """The route key that fits, the most exact first; None when none does."""
    wanted = (request.method, "ANY")
    fitting = [key for key in routes if key == "$default" or _fits(key, request.path, wanted)]
    return min(fitting, key=_vagueness, default=None)


def _fits(route_key: str, path: str, methods: tuple[str, str]) -> bool:
    method, _, pattern = route_key.partition(" ")
    expression = re.sub(r"\\\{[^}]+?\\\+\\\}", ".+", re.escape(pattern))
    return (
        method in methods and re.fullmatch(re.sub(r"\\\{[^}]+?\\\}", "[^/]+", expression), path) is not None
    )


def _vagueness(route_key: str) -> tuple[bool, bool, int, bool]:
    return route_key == "$default", "+}" in route_key, route_key.count("{"), route_key.startswith("ANY ")
