"""The OpenAPI document: what Powertools knows of the routes, and what it does not: errors, and forms."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from shared.problems import Problem
from shared.queries import MAX_ID, NamedImage, Scope, SearchQuery

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
    from pydantic import BaseModel

_TITLE: Final = "pixseek"
_VERSION: Final = "1.0.0"
_ABOUT: Final = (
    "Find pictures by what they show. Errors are problems of RFC 9457, with a request id to quote."
)
_ALWAYS: Final = ("400", "401", "413", "429", "500", "503")
_MORE: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("post", "/search"): ("404", "409", "415", "422"),
    ("get", "/images/by-name"): ("404",),
    ("get", "/images/{image_id}"): ("404",),
    ("get", "/images/{image_id}/similar"): ("404", "409"),
    ("delete", "/images/{image_id}"): ("403", "404"),
    ("post", "/uploads"): ("403", "415"),
}
_PARAMETERS: "Final[Mapping[str, type[BaseModel]]]" = {
    "/search": SearchQuery,
    "/images/by-name": NamedImage,
    "/images/{image_id}/similar": Scope,
}
_OPEN: Final[Mapping[str, tuple[str, ...]]] = {"/health": ("413", "500"), "/ready": ("413", "500", "503")}
_STATUS: Final = {
    "400": "What was asked makes no sense, and why.",
    "401": "Nobody knows who asks.",
    "403": "The caller may not do this.",
    "404": "No such picture, or none that the caller may see.",
    "409": "The picture cannot be searched with yet.",
    "413": "The body is too large.",
    "415": "The body is of another type than is read.",
    "422": "The picture cannot be read, and why.",
    "429": "The caller asks too often; Retry-After says when to come again.",
    "500": "The deployment is wrong; its log has the cause under the request id.",
    "503": "Something does not answer, or the model's budget is spent; Retry-After says when to come again.",
}
_FORM: Final = {
    "schema": {
        "type": "object",
        "properties": {
            "picture": {
                "description": "Files, each a part of the query with weight 1.",
                "type": "array",
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
            },
            "search": {"description": "All else of the body, as JSON; query may be empty.", "type": "string"},
        },
        "additionalProperties": False,
    }
}


def openapi(app: "APIGatewayHttpResolver") -> str:
    """The document as JSON."""
    from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer

    token = HTTPBearer(scheme="bearer", bearerFormat="JWT", description="A user's access token of Supabase.")
    document: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title=_TITLE, version=_VERSION, description=_ABOUT, security_schemes={"user": token}
        )
    )
    document.pop("servers", None)
    schemas: dict[str, Any] = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    document["paths"]["/search"]["post"]["requestBody"]["content"]["multipart/form-data"] = _FORM
    return json.dumps(document)


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Errors as they come, parameters as they are checked, and that a token is wanted."""
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _schema(path, parameter)
    operation["responses"].pop("422", None)
    operation["responses"].get("204", {}).pop("content", None)
    is_open = path in _OPEN
    statuses = _OPEN[path] if is_open else (*_ALWAYS, *_MORE.get((method, path), ()))
    operation["responses"] |= {status: _problem(status) for status in sorted(statuses)}
    # Without one, too: in public mode nobody has to sign in.
    operation["security"] = [] if is_open else [{"user": []}, {}]


def _schema(path: str, parameter: Mapping[str, Any]) -> dict[str, Any]:
    """Powertools leaves most of it out."""
    if parameter["in"] == "path":
        return {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    schema: dict[str, Any] = _PARAMETERS[path].model_json_schema()["properties"][parameter["name"]]
    for key in ("title", "description"):
        schema.pop(key, None)
    # Left out rather than null.
    kinds = [kind for kind in schema.pop("anyOf", []) if kind["type"] != "null"]
    return {key: value for key, value in schema.items() if value is not None} | (kinds[0] if kinds else {})


def _problem(status: str) -> dict[str, object]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    response: dict[str, object] = {"description": _STATUS[status], "content": content}
    if status in {"429", "503"}:
        seconds = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        response["headers"] = {"Retry-After": seconds}
    return response
