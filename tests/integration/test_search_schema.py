"""The search function beside its own OpenAPI document: nothing that is made from that breaks either."""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import DataObject, data
from schemathesis import GenerationMode
from schemathesis.config import GenerationConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.cli.connection import Project
from tests.integration.conftest import picture_bytes
from tests.integration.search_world import World

Case: TypeAlias = "schemathesis.Case[Any]"
Document: TypeAlias = schemathesis.BaseSchema

pytestmark = pytest.mark.long

_EXAMPLES: Final = 25
_CHECKS: Final[list[Any]] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
_MODES: Final = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
_OPERATIONS: Final = [
    ("GET", "/search"),
    ("POST", "/search"),
    ("GET", "/images/by-name"),
    ("GET", "/images/{image_id}"),
    ("GET", "/images/{image_id}/similar"),
    ("DELETE", "/images/{image_id}"),
    ("POST", "/uploads"),
    ("GET", "/health"),
    ("GET", "/ready"),
]
_WITH_INPUTS: Final = _OPERATIONS[:-2]


@pytest.fixture(scope="module")
def known(world: World) -> Iterator[int]:
    """A picture that everybody may see."""
    user = world.user()
    with world.bucket(is_public=True) as bucket:
        yield world.upload(user, bucket, {"open.png": picture_bytes((99, 99, 9))})["open.png"]


@pytest.fixture(scope="module")
def document(project: Project) -> Document:
    return schemathesis.openapi.from_url(f"{project.connection.search_url}/openapi.json")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as kept:
        yield kept


_hypothesis = settings(
    max_examples=_EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(("method", "path"), _OPERATIONS)
@_hypothesis
@given(drawn=data())
def test_what_the_document_allows_is_answered_as_it_says(
    method: str,
    path: str,
    drawn: DataObject,
    document: Document,
    known: int,
    world: World,
    session: requests.Session,
) -> None:
    case = drawn.draw(document[path][method].as_strategy(GenerationMode.POSITIVE))

    _validate(case, known, world, session)


@pytest.mark.parametrize(("method", "path"), _WITH_INPUTS)
@_hypothesis
@given(drawn=data())
def test_what_the_document_forbids_is_refused_as_it_says(
    method: str,
    path: str,
    drawn: DataObject,
    document: Document,
    known: int,
    world: World,
    session: requests.Session,
) -> None:
    case = drawn.draw(document[path][method].as_strategy(GenerationMode.NEGATIVE))

    _validate(case, known, world, session)


@pytest.mark.parametrize(("method", "path"), _OPERATIONS)
def test_what_lies_at_the_edges_of_the_document_is_answered_as_it_says(
    method: str, path: str, document: Document, known: int, world: World, session: requests.Session
) -> None:
    edges = document.iter_coverage_cases(
        document[path][method], generation_modes=_MODES, generation_config=GenerationConfig()
    )

    statuses = [_validate(case, known, world, session) for case in edges]

    assert statuses


def _validate(case: Case, known: int, world: World, session: requests.Session) -> int:
    """By somebody new: nobody asks too often. Of ids that are made up, many are that of a picture."""
    image_id = case.path_parameters.get("image_id")
    if isinstance(image_id, int) and image_id % 2:
        case.path_parameters["image_id"] = known
    token = world.user().token
    answer = case.call_and_validate(
        checks=_CHECKS, headers={"Authorization": f"Bearer {token}"}, session=session, timeout=30
    )
    return answer.status_code
