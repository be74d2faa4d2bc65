"""Bodies and pictures made to break the search function: each is refused with a reason."""

import base64
import json
import socket
from contextlib import closing
from typing import Final

import httpx
import pytest

from infra.cli.connection import Project
from tests.integration.search_world import connected, raw_answer
from tests.picture_files import (
    NO_PICTURES,
    bmp_header,
    encoded,
    gif_header,
    halves,
    noise,
    png_header,
    resized_jpeg,
    tiff_header,
    webp_header,
)

pytestmark = pytest.mark.long

_JSON: Final = {"Content-Type": "application/json"}


def _problem(answer: httpx.Response) -> str:
    """What kind, of an answer that is one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["detail"]
    kind: str = answer.json()["type"]
    return kind.removeprefix("urn:pixseek:problem:")


class TestABody:
    @pytest.mark.parametrize("path", ["/search", "/uploads", "/health", "/nowhere"])
    def test_of_ten_megabytes_is_too_large(self, path: str, http: httpx.Client) -> None:
        answer = http.post(path, content=bytes(10_000_000), headers=_JSON)

        assert answer.status_code == 413
        assert _problem(answer) == "too-large"

    def test_without_a_length_that_never_seems_to_end_is_too_large(self, http: httpx.Client) -> None:
        answer = http.post("/search", content=iter([bytes(100_000)] * 60), headers=_JSON)

        assert answer.status_code == 413

    def test_of_nearly_four_megabytes_is_read(self, http: httpx.Client) -> None:
        padded = b'{"query": [{"text": "a cat"}]}'.ljust(3_999_000)

        answer = http.post("/search", content=padded, headers=_JSON)

        assert answer.status_code == 200

    def test_that_comes_slowly_keeps_nobody_waiting(self, http: httpx.Client, project: Project) -> None:
        body = b'{"query": [{"text": "a cat"}]}'
        head = (
            "POST /search HTTP/1.1\r\nHost: search\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Authorization: {http.headers['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with closing(connected(project)) as slow:
            slow.sendall(head.encode() + body[:10])

            meanwhile = http.get("/search", params={"q": "a cat"})
            slow.sendall(body[10:])
            status, _ = raw_answer(slow)

        assert (meanwhile.status_code, status) == (200, 200)

    def test_that_breaks_off_is_no_crash(self, http: httpx.Client, project: Project) -> None:
        head = b"POST /search HTTP/1.1\r\nHost: search\r\nContent-Length: 99\r\n\r\n"
        with closing(connected(project)) as broken:
            broken.sendall(head + b"{")
            broken.shutdown(socket.SHUT_WR)
            received = broken.recv(65_536)

        assert not received or 400 <= int(received.split(b" ", 2)[1]) < 500
        assert http.get("/health").status_code == 200

    @pytest.mark.parametrize(
        "body",
        [
            b"[]",
            b"null",
            b'"a cat"',
            b"7",
            b"",
            b"{",
            b"\xff\xfe\xfd",
            b'\xef\xbb\xbf{"query": [{"text": "a"}]}',
            '{"query": [{"text": "a"}]}'.encode("utf-16"),
            b"[" * 100_000,
            b'{"query":' * 20_000,
            b'[{"query": [{"text": "a"}]}]',
            b'{"query": [{"text": "a"}], "limit": ' + b"9" * 10_000 + b"}",
            b'{"query": [{"text": "a"}], "limit": 1e999}',
            b'{"query": [{"text": "a"}], "limit": -0}',
            b'{"query": [{"text": "a"}], "limit": 1.5}',
            b'{"query": [{"text": "a"}], "min_similarity": NaN}',
            b'{"query": [{"text": "a"}], "min_similarity": -Infinity}',
            b'{"query": [{"text": "a", "weight": 1e999}]}',
            b'{"query": [{"text": "a", "weight": -0.0}]}',
            b'{"query": [{"text": "a", "weight": NaN}]}',
            b'{"query": [{"text": "a", "weight": 1}, {"text": "a", "weight": -1}]}',
            b'{"query": [{"image_id": 9223372036854775808}]}',
            b'{"query": [{"image_id": 0}]}',
            b'{"query": [{"image_id": -1}]}',
            b'{"query": [{"text": "a\\u0000"}]}',
            b'{"query": [{"text": "\\ud800"}]}',
            b'{"query": [{"text": "a", "\\ud800": 1}]}',
            b'{"query": [{"text": "a"}], "bucket": "\\udfff"}',
            b'{"query": [{"text": "a"}], "cursor": "\\ud800"}',
            b'{"query": [{"text": "a"}], "since": "\\ud800"}',
            b'{"query": [{"text": "a"}], "since": 1e300}',
            b'{"query": [{"picture": "\\ud800"}]}',
            b'{"query": [{"picture": "data:image/png;base64,"}]}',
            b'{"query": [{"picture": "data:text/html,<p>"}]}',
            b'{"query": [{"text": {"$ne": null}}]}',
            b'{"query": {"text": "a"}}',
            b'{"query": [[{"text": "a"}]]}',
            b'{"query": [], "limit": 1}',
            b'{"query": [null]}',
            b'{"__proto__": {}, "query": [{"text": "a"}]}',
            json.dumps({"query": [{"text": "a"}] * 17}).encode(),
            json.dumps({"query": [{"text": "a" * 10_000}]}).encode(),
        ],
        ids=lambda body: repr(body[:60]),
    )
    def test_that_is_no_search_is_refused_with_the_reason(self, body: bytes, http: httpx.Client) -> None:
        answer = http.post("/search", content=body, headers=_JSON)

        assert answer.status_code == 400
        assert _problem(answer) == "invalid-request"

    @pytest.mark.parametrize(
        "body",
        [
            b'{"query": [{"text": "a cat"}], "limit": 1, "limit": 2}',
            b'{"query": [{"text": "a cat", "weight": 5e-324}], "min_similarity": -0.0}',
            b'{"query": [{"text": "a cat"}], "since": "0001-01-01T00:00:00+14:00"}',
            b'{"query": [{"text": "a cat"}], "until": "9999-12-31T23:59:59-14:00"}',
            '{"query": [{"text": "\u202e\U0001f408\ufeff\u0301' + '\u0301" }]}',
            '{"query": [{"text": "\'; drop table pixseek.images; --"}], "prefix": "%_\\\\"}',
        ],
        ids=["duplicate keys", "tiny numbers", "the first day", "the last day", "odd letters", "SQL"],
    )
    def test_that_is_odd_and_makes_sense_is_answered(self, body: bytes | str, http: httpx.Client) -> None:
        answer = http.post("/search", content=body, headers=_JSON)

        assert answer.status_code == 200


class TestAPicture:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (NO_PICTURES["svg"][0], "an SVG drawing"),
            (NO_PICTURES["zip"][0], "a ZIP archive"),
            (NO_PICTURES["pdf"][0], "a PDF document"),
            (NO_PICTURES["mp4"][0], "a video"),
            (NO_PICTURES["html"][0], "an HTML page"),
            (b"\0", ""),
            (encoded(noise())[:700], "broken picture"),
            (encoded(halves(), "JPEG")[:200], "broken picture"),
            (png_header(4000, 3001), "too many pixels: 4000 x 3001, at most 12 million"),
            (resized_jpeg(4001, 3000), "too many pixels: 4001 x 3000, at most 12 million"),
            (png_header(60_000, 60_000), "too many pixels"),
            (gif_header(60_000, 60_000), "too many pixels"),
            (bmp_header(60_000, 60_000), "too many pixels"),
            (webp_header(16_000, 16_000), "too many pixels"),
            (tiff_header(60_000, 60_000, 1), "too many pixels"),
        ],
        ids=lambda value: value if isinstance(value, str) else None,
    )
    def test_that_cannot_be_read_is_refused_with_the_reason(
        self, data: bytes, reason: str, http: httpx.Client
    ) -> None:
        body = {"query": [{"picture": base64.b64encode(data).decode()}]}

        answers = [http.post("/search", json=body), http.post("/search", files={"picture": ("a.png", data)})]

        assert [answer.status_code for answer in answers] == [422, 422]
        assert {_problem(answer) for answer in answers} == {"unreadable-picture"}
        assert reason in answers[0].json()["detail"]
        assert answers[0].json()["detail"] == answers[1].json()["detail"]

    def test_of_nothing_is_refused(self, http: httpx.Client) -> None:
        answer = http.post("/search", files={"picture": ("a.png", b"")})

        assert answer.status_code == 400

    def test_among_more_than_a_form_may_have_is_refused(self, http: httpx.Client) -> None:
        answer = http.post("/search", files=[("picture", ("a.png", b"x"))] * 100)

        assert answer.status_code == 400

    @pytest.mark.parametrize(
        ("content_type", "content"),
        [
            ("multipart/form-data", b"--b\r\n\r\n--b--"),
            ("multipart/form-data; boundary=", b"--\r\n"),
            ("multipart/form-data; boundary=" + "b" * 5000, b"--b\r\n"),
            ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
            ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 10_000 + b"\r\nx\r\n--b--"),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="search"\r\n\r\n[',
            ),
        ],
        ids=["no boundary", "an empty boundary", "a long boundary", "no name", "many headers", "no end"],
    )
    def test_in_a_broken_form_is_refused(self, content_type: str, content: bytes, http: httpx.Client) -> None:
        answer = http.post("/search", content=content, headers={"Content-Type": content_type})

        assert answer.status_code == 400
        assert _problem(answer) == "invalid-request"
