"""Requests that the search API does not serve, and what it says of them."""

import pytest

from tests.unit.search_deployment import Deployment, problem_in


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


@pytest.mark.parametrize(
    ("path", "params"), [("/nothing", {}), ("/search/", {}), ("/nothing", {"q": "dog"}), ("/", {})]
)
def test_a_path_where_nothing_is_says_what_there_is(
    deployment: Deployment, path: str, params: dict[str, str]
) -> None:
    answer = deployment.ask("GET", path, params=params)

    problem = problem_in(answer, 404, "unknown-path")
    assert "/openapi.json" in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/search", "GET, POST"),
        ("HEAD", "/search?q=dog", "GET, POST"),
        ("OPTIONS", "/search", "GET, POST"),
        ("GET", "/uploads", "POST"),
        ("POST", "/images/7", "DELETE, GET"),
        ("DELETE", "/images/7/similar", "GET"),
        ("PATCH", "/health", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_those_that_it_does(
    deployment: Deployment, method: str, path: str, allowed: str
) -> None:
    answer = deployment.ask(method, path)

    problem_in(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png"])
@pytest.mark.parametrize("path", ["/search", "/uploads"])
def test_a_body_of_a_type_that_is_not_read_is_refused(
    deployment: Deployment, content_type: str, path: str
) -> None:
    headers = {"Content-Type": content_type}

    answer = deployment.ask("POST", path, content=b"a dog", headers=headers)

    problem = problem_in(answer, 415, "unsupported-media-type")
    assert "multipart/form-data" in problem["detail"]


def test_a_type_in_capitals_is_read(deployment: Deployment) -> None:
    headers = {"Content-Type": "APPLICATION/JSON"}

    answer = deployment.ask("POST", "/search", content=b'{"query": [{"text": "dog"}]}', headers=headers)

    assert answer.status == 200


def test_a_body_that_is_too_large_is_refused_before_anybody_is_asked(deployment: Deployment) -> None:
    answer = deployment.ask("POST", "/search", content=bytes(4_100_000))

    problem_in(answer, 413, "too-large")
    assert deployment.database.log == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'[{"query": [{"text": "dog"}]}]',
        b"3",
        b"null",
        b"[" * 100_000,
        b"9" * 5000,
        b"\xff",
    ],
    ids=lambda content: content[:30].decode("latin-1"),
)
def test_a_body_that_is_no_query_is_refused(deployment: Deployment, content: bytes) -> None:
    answer = deployment.ask("POST", "/search", content=content)

    problem_in(answer, 400, "invalid-request")
    assert deployment.database.log == []


def test_what_is_wrong_with_a_body_is_told_of_each_field(deployment: Deployment) -> None:
    body = {"query": [{"text": "dog"}, {"text": "", "weight": 200}], "limit": 0, "q": "dog"}

    answer = deployment.ask("POST", "/search", json=body)

    problem = problem_in(answer, 400, "invalid-request")
    assert [fault["field"] for fault in problem["errors"]] == [
        "limit",
        "query.1.text",
        "query.1.weight",
        "q",
    ]
    assert "query.1.text: say what the picture shows" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("/search", {}, "q"),
        ("/search", {"q": "dog", "limit": "0"}, "limit"),
        ("/images/by-name", {"bucket": "photos"}, "name"),
        ("/images/7/similar", {"until": "noon"}, "until"),
        ("/images/seven", {}, "image_id"),
        ("/images/0", {}, "image_id"),
        ("/images/9223372036854775808/similar", {}, "image_id"),
    ],
)
def test_a_parameter_that_is_wrong_is_told_by_its_name(
    deployment: Deployment, path: str, params: dict[str, str], field: str
) -> None:
    answer = deployment.ask("GET", path, params=params)

    problem = problem_in(answer, 400, "invalid-request")
    assert [fault["field"] for fault in problem["errors"]] == [field]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/search?q=dog&Limit=3", "unknown parameter: 'Limit'; it takes bucket, cursor, limit, "),
        ("/images/7?limit=3", "unknown parameter: 'limit'; it takes none"),
        ("/health?probe=1", "unknown parameter: 'probe'; it takes none"),
        (
            "/images/by-name?bucket=a&name=b&nam%C3%A9=c",
            "unknown parameter: 'nam\\xe9'; it takes bucket, name",
        ),
    ],
)
def test_an_unknown_parameter_is_named(deployment: Deployment, path: str, told: str) -> None:
    answer = deployment.ask("GET", path)

    problem = problem_in(answer, 400, "invalid-request")
    assert problem["detail"].startswith(told)


def test_a_raw_picture_is_not_read_for_text(deployment: Deployment) -> None:
    headers = {"Content-Type": "image/png"}

    answer = deployment.ask("POST", "/search", content=b"\x89PNG\xff", headers=headers)

    problem_in(answer, 415, "unsupported-media-type")
