"""Bodies of requests: not larger than they may be, and forms with pictures as JSON."""

import base64
import json
from typing import Any, Final

from shared.errors import InputError, TooLarge

MAX_BYTES: Final = 4_000_000
_MAX_PARTS: Final = 20
_MOST_NAMES: Final = 50
_FORM: Final = "multipart/form-data"
_JSON: Final = "application/json"
_SEARCH: Final = "search"
_PICTURE: Final = "picture"


def as_json(event: dict[str, Any]) -> dict[str, Any]:
    """An HTTP API v2 event whose body is JSON, unless it is of a type that is not read.

    In a form, each file `picture` becomes a part of the query; a field `search` may hold all else of the
    body as JSON. Raises `TooLarge`, `InputError`.
    """
    body = event.get("body") or ""
    size = len(body) * 3 // 4 if event.get("isBase64Encoded") else len(body.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES + 2:  # as padding may have it
        raise TooLarge(f"the body is too large: at most {MAX_BYTES // 1_000_000} MB")
    headers = event.get("headers") or {}
    content_type = headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == _FORM:
        data = _bytes(body) if event.get("isBase64Encoded") else body.encode("latin-1", "replace")
        body = _search_of(content_type, data)
    elif media_type in {"", _JSON}:
        body = _text(body) if event.get("isBase64Encoded") else body
    else:
        return event
    return {**event, "headers": {**headers, "content-type": _JSON}, "body": body, "isBase64Encoded": False}


def parse_json(text: str) -> Any:  # noqa: ANN401 -- whatever it holds
    """An object, or what is refused afterwards. Raises `json.JSONDecodeError`."""
    try:
        value = json.loads(text, object_pairs_hook=_few)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as exc:  # of a number too long, or lists too deep
        raise json.JSONDecodeError("too much", "", 0) from exc
    # Powertools would take the first of a list.
    return "a list" if isinstance(value, list) else value


def _few(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Each name that is not known makes an error of its own. Raises `ValueError`."""
    if len(pairs) > _MOST_NAMES:
        raise ValueError(f"{len(pairs)} names in one object")
    return dict(pairs)


def _bytes(body: str) -> bytes:
    try:
        return base64.b64decode(body)
    except ValueError as exc:
        raise InputError("the body is not base64, as its event says that it is") from exc


def _text(body: str) -> str:
    try:
        return _bytes(body).decode()
    except UnicodeDecodeError as exc:
        raise InputError("the body is not UTF-8") from exc


def _search_of(content_type: str, data: bytes) -> str:
    fields, files = _form(content_type, data)
    unknown = (set(fields) - {_SEARCH}) | ({name for name, _ in files} - {_PICTURE})
    if unknown:
        raise InputError(f"a form has files `picture` and a field `search`, no {min(unknown)!a}")
    try:
        search = parse_json(fields.get(_SEARCH, b"{}").decode())
    except ValueError as exc:  # of the encoding, too
        raise InputError("the field `search` of the form is not JSON") from exc
    if not isinstance(search, dict) or not isinstance(search.get("query", []), list):
        raise InputError('the field `search` of the form is no search, such as {"query": [], "limit": 10}')
    pictures = [{"picture": base64.b64encode(file).decode("ascii")} for _, file in files]
    return json.dumps({**search, "query": [*search.get("query", []), *pictures]})


def _form(content_type: str, data: bytes) -> tuple[dict[str, bytes], list[tuple[str, bytes]]]:
    """Its fields, and its files with their names."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import Field, File, FormParser, parse_options_header

    fields: list[tuple[str, bytes]] = []
    files: list[tuple[str, bytes]] = []

    def count() -> None:
        if len(fields) + len(files) > _MAX_PARTS:
            raise InputError(f"too many parts in the form: at most {_MAX_PARTS}")

    def add_field(field: Field) -> None:
        fields.append(((field.field_name or b"").decode("utf-8", "replace"), field.value or b""))
        count()

    def add_file(file: File) -> None:
        file.file_object.seek(0)
        files.append(((file.field_name or b"").decode("utf-8", "replace"), file.file_object.read()))
        count()

    ended: list[bool] = []
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    try:
        parser = FormParser(
            _FORM,
            add_field,
            add_file,
            on_end=lambda: ended.append(True),
            boundary=options.get(b"boundary"),
            config={"MAX_MEMORY_FILE_SIZE": MAX_BYTES},
        )
        parser.write(data)
    except FormParserError as exc:
        raise InputError("the form cannot be read: is it multipart/form-data, with a boundary?") from exc
    if not ended:  # python_multipart passes over a part without an end
        raise InputError("the form is not whole: its last boundary is missing")
    return dict(fields), files
