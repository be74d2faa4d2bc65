"""The OpenAPI document of the search API."""

import json
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.search_images.documents import openapi
from shared.errors import PixseekError
from shared.problems import problem_of
from shared.queries import MAX_ID, MAX_PARTS, MAX_RESULTS
from shared.replies import SearchReply
from tests.unit.search_deployment import Deployment

_ROUTES = {
    "DELETE /images/{image_id}": ("204", {"400", "401", "403", "404", "413", "429", "500", "503"}),
    "GET /health": ("200", {"413", "500"}),
    "GET /images/by-name": ("200", {"400", "401", "404", "413", "429", "500", "503"}),
    "GET /images/{image_id}": ("200", {"400", "401", "404", "413", "429", "500", "503"}),
    "GET /images/{image_id}/similar": ("200", {"400", "401", "404", "409", "413", "429", "500", "503"}),
    "GET /ready": ("200", {"413", "500", "503"}),
    "GET /search": ("200", {"400", "401", "413", "429", "500", "503"}),
    "POST /search": (
        "200",
        {"400", "401", "404", "409", "413", "415", "422", "429", "500", "503"},
    ),
    "POST /uploads": ("201", {"400", "401", "403", "413", "415", "429", "500", "503"}),
}
"""Of each operation its success, and its problems."""
_BRACES = str.maketrans("<>", "{}")


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture(scope="module")
def document(deployment: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi(deployment.api.app))
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def _parameters(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in operation["parameters"]}


def _checker(document: dict[str, Any], name: str) -> jsonschema_rs.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


def test_is_valid(document: dict[str, Any]) -> None:
    errors = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]

    assert errors == []
    assert document["openapi"].startswith("3.1")


def test_lists_every_route_of_the_app_but_its_own(
    deployment: Deployment, operations: dict[str, dict[str, Any]]
) -> None:
    app = deployment.api.app
    routes = {
        f"{route.method} {route.path.translate(_BRACES)}"
        for route in app._static_routes + app._dynamic_routes
    }

    assert operations.keys() == routes - {"GET /openapi.json"} == _ROUTES.keys()


@pytest.mark.parametrize("route", sorted(_ROUTES))
def test_tells_what_each_operation_may_answer(operations: dict[str, dict[str, Any]], route: str) -> None:
    success, problems = _ROUTES[route]
    responses = operations[route]["responses"]

    assert responses.keys() == {success, *problems}
    assert {frozenset(responses[status]["content"]) for status in problems} == {
        frozenset({"application/problem+json"})
    }


@pytest.mark.parametrize("route", sorted(_ROUTES))
def test_tells_when_to_come_again(operations: dict[str, dict[str, Any]], route: str) -> None:
    responses = operations[route]["responses"]

    with_header = {
        status for status, response in responses.items() if "Retry-After" in response.get("headers", {})
    }

    assert with_header == responses.keys() & {"429", "503"}


@pytest.mark.parametrize("route", sorted(_ROUTES))
def test_asks_for_a_token_but_where_nobody_is_asked(
    operations: dict[str, dict[str, Any]], route: str
) -> None:
    is_open = route in {"GET /health", "GET /ready"}

    assert operations[route]["security"] == ([] if is_open else [{"user": []}, {}])


def test_has_the_limits_of_parameters(operations: dict[str, dict[str, Any]]) -> None:
    search = _parameters(operations["GET /search"])
    similar = _parameters(operations["GET /images/{image_id}/similar"])

    assert search["q"]["required"]
    assert not search["limit"]["required"]
    assert search["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_RESULTS,
        "default": 20,
    }
    assert search["min_similarity"]["schema"] == {"type": "number", "minimum": -1, "maximum": 1}
    assert search["since"]["schema"] == {"type": "string", "format": "date-time"}
    assert similar["image_id"]["schema"] == {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    assert similar.keys() == search.keys() - {"q"} | {"image_id"}


def test_takes_a_search_as_json_or_as_a_form(operations: dict[str, dict[str, Any]]) -> None:
    content = operations["POST /search"]["requestBody"]["content"]

    assert content.keys() == {"application/json", "multipart/form-data"}
    assert content["multipart/form-data"]["schema"]["properties"].keys() == {"picture", "search"}


@pytest.mark.parametrize(
    ("body", "is_valid"),
    [
        ({"query": [{"text": "dog"}, {"picture": "AAAA", "weight": -1}, {"image_id": 7}], "limit": 3}, True),
        ({"query": []}, False),
        ({"query": [{"text": "dog"}] * (MAX_PARTS + 1)}, False),
        ({"query": [{"text": "dog", "wait": 1}]}, False),
        ({"query": [{"image_id": 0}]}, False),
        ({"query": [{"text": "dog", "weight": 101}]}, False),
        ({"query": [{"text": "dog"}], "limit": 0}, False),
        ({}, False),
    ],
)
def test_tells_bodies_that_are_served_from_others(
    document: dict[str, Any], body: dict[str, Any], is_valid: bool
) -> None:
    assert _checker(document, "SearchBody").is_valid(body) == is_valid


def test_describes_answers_and_problems_as_they_are(deployment: Deployment, document: dict[str, Any]) -> None:
    found = deployment.ask("GET", "/search", params={"q": "dog"}).json()
    problem = problem_of(PixseekError("x"), request_id="r1").model_dump()

    assert found.keys() == SearchReply.model_fields.keys()
    assert _checker(document, "SearchReply").is_valid(found)
    assert _checker(document, "Problem").is_valid(problem)
    assert not _checker(document, "Problem").is_valid({**problem, "status": "500"})


def test_promises_nothing_where_nothing_is_sent(operations: dict[str, dict[str, Any]]) -> None:
    assert operations["DELETE /images/{image_id}"]["responses"]["204"].keys() == {"description"}


def test_has_nothing_of_powertools_own_errors(document: dict[str, Any]) -> None:
    assert "ValidationError" not in json.dumps(document)
    assert "servers" not in document
