"""Which pages a browser lets read the answers of the search API."""

import pytest

from tests.unit.search_deployment import Deployment

_ORIGIN = "https://app.example"


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


def test_only_an_allowed_origin_may_read_answers() -> None:
    deployment = Deployment(cors_origins=f"https://other.example, {_ORIGIN}")

    answer = deployment.ask("GET", "/search", params={"q": "dog"}, headers={"Origin": _ORIGIN})

    assert answer.headers["Access-Control-Allow-Origin"] == _ORIGIN
    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After,Server-Timing"


@pytest.mark.parametrize("path", ["/search?q=dog", "/search", "/nothing"], ids=["found", "problem", "404"])
@pytest.mark.parametrize("origin", ["https://evil.example", f"{_ORIGIN}.evil.example", "null"])
def test_another_origin_may_read_none(path: str, origin: str) -> None:
    deployment = Deployment(cors_origins=_ORIGIN)

    answer = deployment.ask("GET", path, headers={"Origin": origin})

    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/search", "/nothing", "/images/x"])
def test_an_allowed_origin_may_read_problems_too(path: str) -> None:
    deployment = Deployment(cors_origins=_ORIGIN)

    answer = deployment.ask("GET", path, headers={"Origin": _ORIGIN})

    assert answer.status >= 400
    assert answer.headers["Access-Control-Allow-Origin"] == _ORIGIN


def test_without_a_list_no_origin_may_read_answers(deployment: Deployment) -> None:
    answer = deployment.ask("GET", "/search", params={"q": "dog"}, headers={"Origin": _ORIGIN})

    assert [name for name in answer.headers if name.startswith("Access-Control")] == []


@pytest.mark.parametrize("path", ["/search?q=a%20dog", "/images/7", "/uploads"])
def test_a_browser_that_asks_first_is_let_in_and_nobody_is_counted(path: str) -> None:
    deployment = Deployment(cors_origins=_ORIGIN)
    headers = {"Origin": _ORIGIN, "Access-Control-Request-Method": "GET"}

    answer = deployment.ask("OPTIONS", path, headers=headers, token=None)

    assert (answer.status, answer.body) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == _ORIGIN
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(","))
    assert {"Authorization", "Content-Type"} <= set(answer.headers["Access-Control-Allow-Headers"].split(","))
    assert deployment.database.log == []


def test_a_browser_of_another_origin_that_asks_first_is_not_let_in() -> None:
    deployment = Deployment(cors_origins=_ORIGIN)

    answer = deployment.ask("OPTIONS", "/search", headers={"Origin": "https://evil.example"}, token=None)

    assert "Access-Control-Allow-Origin" not in answer.headers


def test_any_origin_may_be_allowed() -> None:
    answer = Deployment(cors_origins="*").ask("GET", "/health", headers={"Origin": _ORIGIN})

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
