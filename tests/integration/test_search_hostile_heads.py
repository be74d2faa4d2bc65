"""Addresses, methods and headers made to break the search function; the next request is answered."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeAlias

import httpx
import pytest

from infra.cli.connection import Project
from tests.integration.search_world import connected, raw_answer

Say: TypeAlias = Callable[..., tuple[int, bytes]]


@pytest.fixture
def say(http: httpx.Client, project: Project) -> Say:
    """Send a request as it is, and read its status and all of the answer."""

    def exchange(target: str, *headers: str, method: str = "GET") -> tuple[int, bytes]:
        head = [
            f"{method} {target} HTTP/1.1",
            "Host: search",
            "Connection: close",
            f"Authorization: {http.headers['Authorization']}",
            *headers,
        ]
        with closing(connected(project)) as sending:
            sending.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
            return raw_answer(sending)

    return exchange


class TestAnAddress:
    @pytest.mark.parametrize(
        ("target", "status"),
        [
            ("/images/..%2f..", 404),
            ("/images/../images/..", 404),
            ("/images/%2e%2e/%2e%2e/etc/passwd", 404),
            ("/images/1%00", 404),
            ("/images/%ff", 404),
            ("/images/1%0d%0aX:%20y", 404),
            ("/images/1'--", 400),
            ("/images/-1", 400),
            ("/images/1e3", 400),
            ("/images/9223372036854775808", 400),
            ("/images/9223372036854775807", 404),
            ("/images/" + "1" * 5000, 400),
            ("/" + "a" * 100_000, 404),
            ("/search?q=" + "a" * 10_000, 400),
            ("/search?q=a%00", 400),
            ("/search?q=a&cursor=%00", 400),
            ("/search?q=a&cursor=%F0%9F%90%88", 400),
            ("/search?q=a&prefix=%00", 400),
            ("/search?q=a&limit=1e999", 400),
            ("/search?q=a&limit=-0", 400),
            ("/search?q=a&limit=9223372036854775808", 400),
            ("/search?q=a&min_similarity=NaN", 400),
            ("/search?q=a&min_similarity=1e999", 400),
            ("/search?q=a&since=1e400", 400),
            ("/search?" + "q=a&" * 3000, 200),
            ("/search?" + "&".join(f"x{n}=1" for n in range(3000)), 400),
            ("/images/by-name?bucket=photos&name=%00", 400),
            ("/images/by-name?bucket=..&name=..%2F..", 404),
        ],
        ids=lambda value: value[:50] if isinstance(value, str) else None,
    )
    def test_that_leads_nowhere_is_refused(self, target: str, status: int, say: Say) -> None:
        answered, received = say(target)

        assert answered == status
        assert b"Traceback" not in received
        assert b"X: y" not in received

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "PROPFIND", "FOO", "HEAD"])
    def test_does_not_answer_to_other_methods(self, method: str, say: Say) -> None:
        answered, received = say("/search?q=a", method=method)

        assert answered == 405
        assert b"allow: get, post" in received.lower()


class TestHeaders:
    @pytest.mark.parametrize(
        "headers",
        [
            [f"X-{number}: y" for number in range(500)],
            ["X-Long: " + "y" * 100_000],
            ["No colon"],
            ["X-Null: \0"],
            ["Content-Length: -1"],
            ["Content-Length: 1", "Content-Length: 2"],
            ["Transfer-Encoding: chunked", "Content-Length: 3"],
            ["Transfer-Encoding: nonsense"],
        ],
        ids=lambda headers: headers[0][:30],
    )
    def test_that_are_too_many_or_broken_are_refused(self, headers: list[str], say: Say) -> None:
        answered, received = say("/search?q=a", *headers, method="POST")

        assert 400 <= answered < 500 or answered == 501
        assert b"Traceback" not in received

    @pytest.mark.parametrize(
        "token", ["a" * 7000, "\xe9\xff", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", "null"]
    )
    def test_with_a_token_of_nobody_are_refused(self, token: str, http: httpx.Client) -> None:
        answer = http.get("/search", params={"q": "a"}, headers=_bearer(token))

        assert answer.status_code == 401
        assert token not in answer.text

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Forwarded-For": ",".join(["1.2.3.4"] * 500)},
            {"X-Forwarded-For": "\xff\xfe"},
            {"Accept": "text/html;q=9,,,"},
            {"Cookie": "a=" + "b" * 5000},
            {"Content-Type": "\xff"},
            {"Range": "bytes=0-1"},
        ],
        ids=lambda headers: next(iter(headers)),
    )
    def test_that_mean_nothing_here_change_nothing(self, headers: dict[str, Any], http: httpx.Client) -> None:
        answer = http.get(
            "/search", params={"q": "a cat"}, headers=httpx.Headers(headers, encoding="latin-1")
        )

        assert answer.status_code == 200


def _bearer(token: str) -> httpx.Headers:
    return httpx.Headers({"Authorization": f"Bearer {token}"}, encoding="latin-1")
