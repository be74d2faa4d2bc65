"""Bodies of requests to the search API, before anything of them is believed."""

import base64
import json
from typing import Any

import pytest

from functions.search_images.bodies import MAX_BYTES, as_json, parse_json
from shared.errors import InputError, TooLarge

_SEARCH = b'Content-Disposition: form-data; name="search"'
_PICTURE = b'Content-Disposition: form-data; name="picture"; filename="a.png"'
_FORM = "multipart/form-data; boundary=edge"


def _event(body: str | bytes | None, content_type: str | None = "application/json") -> dict[str, Any]:
    """Bytes come in base64."""
    event: dict[str, Any] = {"headers": {} if content_type is None else {"content-type": content_type}}
    if isinstance(body, bytes):
        return {**event, "body": base64.b64encode(body).decode("ascii"), "isBase64Encoded": True}
    return event if body is None else {**event, "body": body, "isBase64Encoded": False}


def _part(headers: bytes, data: bytes) -> bytes:
    return b"--edge\r\n" + headers + b"\r\n\r\n" + data + b"\r\n"


def _form(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(_part(*part) for part in parts) + b"--edge--\r\n"


def _search(body: str | bytes, content_type: str = _FORM) -> dict[str, Any]:
    """What becomes of a form."""
    event = as_json(_event(body, content_type))
    assert event["headers"]["content-type"] == "application/json"
    assert not event["isBase64Encoded"]
    search: dict[str, Any] = json.loads(event["body"])
    return search


class TestSize:
    @pytest.mark.parametrize("body", ["a" * (MAX_BYTES + 3), "é" * (MAX_BYTES // 2 + 2)], ids=["a", "é"])
    def test_of_a_plain_body_is_limited_in_bytes(self, body: str) -> None:
        with pytest.raises(TooLarge, match="at most 4 MB"):
            as_json(_event(body))

    @pytest.mark.parametrize("content_type", ["application/json", _FORM, "image/png"])
    def test_of_a_body_in_base64_is_limited_in_bytes(self, content_type: str) -> None:
        with pytest.raises(TooLarge, match="at most 4 MB"):
            as_json(_event(bytes(MAX_BYTES + 3), content_type))

    def test_may_be_the_most(self) -> None:
        assert len(as_json(_event("a" * MAX_BYTES))["body"]) == MAX_BYTES
        assert len(as_json(_event(b"a" * MAX_BYTES))["body"]) == MAX_BYTES

    def test_of_half_a_surrogate_pair_can_be_told(self) -> None:
        assert as_json(_event("\ud83d"))["body"] == "\ud83d"


class TestJson:
    @pytest.mark.parametrize(
        "content_type", ["application/json", "", None, "Application/JSON; charset=UTF-8"]
    )
    @pytest.mark.parametrize("body", ['{"a": "é"}', '{"a": "é"}'.encode()], ids=["text", "base64"])
    def test_is_text_whatever_its_type_is_written_like(
        self, content_type: str | None, body: str | bytes
    ) -> None:
        event = as_json(_event(body, content_type))

        assert (event["body"], event["isBase64Encoded"]) == ('{"a": "é"}', False)
        assert event["headers"]["content-type"] == "application/json"

    def test_may_be_missing(self) -> None:
        assert as_json(_event(None, None))["body"] == ""

    def test_keeps_the_rest_of_the_event(self) -> None:
        event = as_json({"headers": {"authorization": "Bearer t"}, "body": "{}", "rawPath": "/search"})

        assert event["rawPath"] == "/search"
        assert event["headers"]["authorization"] == "Bearer t"

    def test_in_other_than_utf_8_is_refused(self) -> None:
        with pytest.raises(InputError, match="the body is not UTF-8"):
            as_json(_event('{"query": [{"text": "café"}]}'.encode("latin-1")))

    @pytest.mark.parametrize("content_type", ["application/json", _FORM])
    def test_that_is_not_the_base64_it_should_be_is_refused(self, content_type: str) -> None:
        with pytest.raises(InputError, match="not base64"):
            as_json({**_event("A", content_type), "isBase64Encoded": True})

    @pytest.mark.parametrize("content_type", ["image/png", "application/x-www-form-urlencoded", "text/plain"])
    def test_is_not_made_of_what_is_not_read(self, content_type: str) -> None:
        event = _event(b"\x89PNG", content_type)

        assert as_json(event) == event

    @pytest.mark.parametrize("text", ["{", "", "[" * 100_000, "9" * 5000, '{"a": 1'])
    def test_that_is_none_or_too_much_is_told_so(self, text: str) -> None:
        with pytest.raises(json.JSONDecodeError):
            parse_json(text)

    def test_as_a_list_is_never_taken_for_its_first_item(self) -> None:
        assert not isinstance(parse_json('[{"query": []}]'), list | dict)


class TestForm:
    def test_has_files_as_parts_of_the_query_after_those_of_its_search(self) -> None:
        search = json.dumps({"query": [{"text": "café"}], "limit": 3}).encode()

        found = _search(_form((_PICTURE, b"\xff\x00one"), (_SEARCH, search), (_PICTURE, b"two")))

        assert found == {
            "query": [
                {"text": "café"},
                {"picture": base64.b64encode(b"\xff\x00one").decode()},
                {"picture": base64.b64encode(b"two").decode()},
            ],
            "limit": 3,
        }

    def test_may_have_no_search(self) -> None:
        assert _search(_form((_PICTURE, b"one"))) == {"query": [{"picture": "b25l"}]}

    def test_may_have_no_picture(self) -> None:
        assert _search(_form((_SEARCH, b'{"limit": 3}'))) == {"limit": 3, "query": []}

    @pytest.mark.parametrize(
        "content_type",
        [
            "MULTIPART/FORM-DATA; boundary=edge",
            "Multipart/Form-Data; Boundary=edge",
            'multipart/form-data;charset=x; boundary="edge"',
            " multipart/form-data ; boundary=edge",
        ],
    )
    def test_is_known_by_its_type_however_that_is_written(self, content_type: str) -> None:
        assert _search(_form((_PICTURE, b"one")), content_type) == {"query": [{"picture": "b25l"}]}

    def test_that_comes_as_text_keeps_its_bytes(self) -> None:
        text = _form((_PICTURE, bytes(range(256)))).decode("latin-1")

        [part] = _search(text)["query"]

        assert base64.b64decode(part["picture"]) == bytes(range(256))

    def test_may_hold_a_picture_as_large_as_a_body_may_be(self) -> None:
        [part] = _search(_form((_PICTURE, bytes(MAX_BYTES - 200))))["query"]

        assert len(base64.b64decode(part["picture"])) == MAX_BYTES - 200

    @pytest.mark.parametrize(
        ("headers", "name"),
        [
            (b'Content-Disposition: form-data; name="pictures"; filename="a.png"', "'pictures'"),
            (b'Content-Disposition: form-data; name="picture"', "'picture'"),
            (b'Content-Disposition: form-data; name="search"; filename="a.json"', "'search'"),
            (b'Content-Disposition: form-data; name="limit"', "'limit'"),
            ('Content-Disposition: form-data; name="größe"'.encode(), r"'gr\\xf6\\xdfe'"),
            (b'Content-Disposition: form-data; name=""', "''"),
        ],
    )
    def test_of_other_names_is_refused_by_the_name(self, headers: bytes, name: str) -> None:
        with pytest.raises(InputError, match=f"a form has files `picture` and a field `search`, no {name}$"):
            as_json(_event(_form((headers, b"1")), _FORM))

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"dog", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"a": "caf\xe9"}']
    )
    def test_whose_search_is_not_json_is_refused(self, data: bytes) -> None:
        with pytest.raises(InputError, match="the field `search` of the form is not JSON"):
            as_json(_event(_form((_SEARCH, data)), _FORM))

    @pytest.mark.parametrize(
        "data", [b"[]", b"3", b'"dog"', b"null", b'{"query": {}}', b'{"query": null}', b'{"query": "dog"}']
    )
    def test_whose_search_is_something_else_is_refused(self, data: bytes) -> None:
        with pytest.raises(InputError, match="the field `search` of the form is no search"):
            as_json(_event(_form((_SEARCH, data)), _FORM))

    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=other",
            "multipart/form-data; boundary=" + "e" * 300,
            "multipart/form-data; boundary=größe",
        ],
    )
    def test_without_its_boundary_is_refused(self, content_type: str) -> None:
        with pytest.raises(InputError, match="the form cannot be read"):
            as_json(_event(_form((_PICTURE, b"one")), content_type))

    @pytest.mark.parametrize(
        "data",
        [
            b"no form at all",
            b"--edge\r\n\r\none\r\n--edge--",
            b"--edge\r\nContent-Type: image/png\r\n\r\none\r\n--edge--",
            b"--edge\r\nContent-Disposition\r\n\r\none\r\n--edge--",
            _form((_PICTURE + b"\r\nContent-Transfer-Encoding: base64", b"AAA")),
        ],
        ids=["no form", "no headers", "no name", "broken header", "broken base64"],
    )
    def test_that_is_broken_is_refused(self, data: bytes) -> None:
        with pytest.raises(InputError, match="the form cannot be read"):
            as_json(_event(data, _FORM))

    @pytest.mark.parametrize("left_out", [3, 4, 12, 15, 60, 200])
    def test_that_is_cut_is_never_taken_for_a_whole_one(self, left_out: int) -> None:
        """Its last picture would be passed over in silence."""
        form = _form((_SEARCH, b'{"query": [{"text": "dog"}]}'), (_PICTURE, bytes(100)))

        with pytest.raises(InputError, match="the form is not whole"):
            as_json(_event(form[:-left_out], _FORM))

    def test_that_is_empty_is_not_whole(self) -> None:
        with pytest.raises(InputError, match="the form is not whole"):
            as_json(_event("", _FORM))

    @pytest.mark.parametrize("headers", [_PICTURE, _SEARCH], ids=["files", "fields"])
    def test_of_too_many_parts_is_refused(self, headers: bytes) -> None:
        with pytest.raises(InputError, match="too many parts in the form: at most 20"):
            as_json(_event(_form(*[(headers, b"{}")] * 21), _FORM))

    def test_may_have_the_most_parts(self) -> None:
        assert len(_search(_form(*[(_PICTURE, b"x")] * 20))["query"]) == 20

    @pytest.mark.parametrize(
        "headers", [b"\r\nX-Long: " + b"y" * 100_000, b"\r\nX-Many: y" * 50], ids=["long", "many"]
    )
    def test_with_huge_headers_is_refused(self, headers: bytes) -> None:
        with pytest.raises(InputError, match="the form cannot be read"):
            as_json(_event(_form((_PICTURE + headers, b"one")), _FORM))
