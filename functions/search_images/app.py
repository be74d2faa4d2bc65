"""The search API: one HTTP core for every cloud."""

from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Query

from shared import replies, searching
from shared.errors import AccessDenied, PixseekError
from shared.models import Lane
from shared.queries import SearchQuery
from shared.replies import Problem, SearchReply
from shared.settings import load_settings
from shared.telemetry import log_failure, log_outcome
from shared.wiring import load_adapters

app = APIGatewayHttpResolver(enable_validation=True)


@app.get("/search")
def search(query: Annotated[SearchQuery, Query()]) -> Response[SearchReply]:
    """Pictures that show what the sentence says, best first, among those that the caller may see."""
    started = perf_counter()
    deadline = load_settings().times().deadline
    token = _bearer_token()
    adapters = load_adapters(Lane.SEARCH)
    found = searching.search(
        query.q,
        limit=query.limit,
        caller_token=token,
        embedder=adapters.embedder,
        index=adapters.database,
        memory=adapters.database,
        store=adapters.store,
        deadline=deadline,
    )
    if found.memory_error:
        log_failure("query_not_remembered", found.memory_error)
    took_ms = 1000 * (perf_counter() - started)
    stages = {"embed": found.embed_ms, "search": found.search_ms, "links": found.links_ms}
    log_outcome("search_answered", results=len(found.hits), took_ms=round(took_ms, 1))
    return Response(
        status_code=HTTPStatus.OK,
        content_type="application/json",
        headers={
            "Server-Timing": ", ".join(f"{stage};dur={ms:.1f}" for stage, ms in stages.items()),
            "Cache-Control": "private, no-store",
        },
        body=replies.search_reply(
            found.hits, found.links, model=found.model, warnings=found.warnings, took_ms=took_ms
        ),
    )


@app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator] # by Powertools
def _refuse_query(error: RequestValidationError) -> Response[str]:
    wrong = [
        f"{detail['loc'][-1]}: {detail['msg'].removeprefix('Value error, ')}" for detail in error.errors()
    ]
    return _problem(HTTPStatus.BAD_REQUEST, "; ".join(wrong))


@app.exception_handler(PixseekError)  # type: ignore[untyped-decorator] # by Powertools
def _refuse(error: PixseekError) -> Response[str]:
    log_failure("search_failed", error, request_id=_request_id())
    problem = replies.problem_of(error, request_id=_request_id())
    return _answer(problem, replies.retry_after(error))


@app.not_found
def _refuse_path(_: Exception) -> Response[str]:
    return _problem(HTTPStatus.NOT_FOUND, "Nothing is here. Search with GET /search?q=a dog on a beach")


def _problem(status: HTTPStatus, detail: str) -> Response[str]:
    return _answer(replies.problem(status, detail, request_id=_request_id()), {})


def _answer(problem: Problem, headers: Mapping[str, str]) -> Response[str]:
    return Response(
        status_code=problem.status,
        content_type="application/problem+json",
        headers=dict(headers),
        body=problem.model_dump_json(),
    )


def _bearer_token() -> str:
    scheme, _, token = app.current_event.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AccessDenied("send your key: Authorization: Bearer <key>")
    return token


def _request_id() -> str:
    return str(app.current_event.request_context.request_id)
