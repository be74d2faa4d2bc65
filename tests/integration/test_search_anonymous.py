"""Who is not signed in: refused on every route in user mode; in public mode they look, and change nothing."""

from typing import Any, Final

import pytest

from infra.cli.connection import Project
from shared.ports import Embedder
from tests.integration.search_world import World, api_with
from tests.search_api import SearchApi

_ROUTES: Final = [
    {"method": "GET", "path": "/search?q=a"},
    {"method": "POST", "path": "/search", "json": {"query": [{"text": "a"}]}},
    {"method": "GET", "path": "/images/1"},
    {"method": "GET", "path": "/images/1/similar"},
    {"method": "GET", "path": "/images/by-name?bucket=photos&name=a.png"},
    {"method": "DELETE", "path": "/images/1"},
    {"method": "POST", "path": "/uploads", "json": {"bucket": "photos", "content_type": "image/png"}},
]


@pytest.mark.parametrize("request_", _ROUTES, ids=lambda request: f"{request['method']} {request['path']}")
def test_who_is_not_signed_in_is_refused_on_every_route(
    request_: dict[str, Any], search_api: SearchApi, project: Project
) -> None:
    tokens = [None, "", "of.some.body", "é", project.connection.anon_key]

    answers = [search_api.ask(**request_, token=token) for token in tokens]

    assert [answer.status for answer in answers] == [401] * len(tokens)
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


@pytest.mark.parametrize(
    "request_", _ROUTES[-2:], ids=lambda request: f"{request['method']} {request['path']}"
)
def test_in_public_mode_nobody_uploads_or_deletes_with_whatever_token(
    request_: dict[str, Any], project: Project, embedder: Embedder, world: World
) -> None:
    public = api_with(embedder, project.connection, auth="public")

    answers = [public.ask(**request_, token=token) for token in (None, world.user().token)]

    assert [answer.status for answer in answers] == [403, 403]
    assert {answer.json()["type"] for answer in answers} == {"urn:pixseek:problem:forbidden"}
