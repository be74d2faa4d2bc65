"""The search API in this process, asked as API Gateway asks Lambda."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import httpx

from functions.search_images.app import make_app
from infra.local.home import Connection
from shared.models import Lane
from shared.settings import parse_settings
from shared.wiring import Adapters, build_adapters


@dataclass(frozen=True, slots=True)
class Answer:
    """What API Gateway would send back."""

    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:  # noqa: ANN401 -- whatever it is
        return json.loads(self.body)


class SearchApi:
    """One deployment: settings beside those of a stack, and adapters unless others are given."""

    def __init__(
        self, connection: Connection, adapters: Callable[[], Adapters] | None = None, **settings: str
    ) -> None:
        variables = {
            **connection.function_settings,
            "SUPABASE_URL": connection.supabase_url,
            "SUPABASE_ANON_KEY": connection.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
            **{name.upper(): value for name, value in settings.items()},
        }
        self.settings = parse_settings(variables)
        built = cache(lambda: build_adapters(self.settings, Lane.SEARCH))
        self.app = make_app(self.settings, adapters or built)

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        source_ip: str = "203.0.113.7",
        **request: Any,  # noqa: ANN401 -- as httpx takes it
    ) -> Answer:
        """Send what httpx would send: `params`, `json`, `content`, `files`, `headers`."""
        built = httpx.Request(method, f"https://api.example{path}", **request)
        if token is not None:
            built.headers["Authorization"] = f"Bearer {token}"
        reply = self.app.resolve(event_of(built, source_ip), None)  # type: ignore[arg-type] # no Lambda
        return Answer(reply["statusCode"], reply["headers"], reply["body"] or "")


def event_of(request: httpx.Request, source_ip: str = "203.0.113.7") -> dict[str, Any]:
    """An HTTP API v2 event. API Gateway sends bodies in base64 unless they are of a type of text."""
    parameters: dict[str, str] = {}
    for name, value in request.url.params.multi_items():
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    body = request.read()
    is_text = request.headers.get("content-type", "").startswith(("application/json", "text/"))
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.url.path,
        "rawQueryString": request.url.query.decode("ascii"),
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {
            "http": {"method": request.method, "path": request.url.path, "sourceIp": source_ip},
            "requestId": uuid4().hex,
            "stage": "$default",
        },
        "isBase64Encoded": bool(body) and not is_text,
    }
    if parameters:
        event["queryStringParameters"] = parameters
    if body:
        event["body"] = body.decode() if is_text else base64.b64encode(body).decode("ascii")
    return event
