"""Whether the search function answers, and to whom it should."""

from collections.abc import Iterator
from typing import Final

import httpx
from pydantic import ValidationError

from infra.doctor.answers import SERVICE_KEY, json_of
from infra.doctor.deployment import Deployment
from infra.doctor.findings import Finding, not_looked_at, ok, warning, wrong
from shared.problems import Problem
from shared.replies import SearchReply

_TITLE: Final = "pixseek"
_SLOW_S: Final = 60.0
_LOGS: Final = "look at the function's log: the request id leads to the cause"
_QUERY: Final = {"q": "a picture", "limit": "1"}


def look(deployment: Deployment) -> Iterator[Finding]:
    """The key is shown to nobody but what answers as a search function of pixseek does."""
    if not deployment.variables.get("SEARCH_URL"):
        yield _without_address(deployment)
        return
    url = deployment.address("SEARCH_URL")
    try:
        health = deployment.http.get(f"{url}/health", timeout=_SLOW_S)
    except httpx.HTTPError as exc:
        mend = "look at SEARCH_URL, and whether the function is deployed (make deploy-aws tells the address)"
        yield wrong("search.health", f"{url} does not answer ({type(exc).__name__})", mend)
        return
    if (fault := _health_fault(url, health)) is not None:
        yield fault
        return
    yield ok("search.health", f"{url} answers")
    version = _version(deployment, url)
    yield version
    if version.mend is None:
        yield from _at_work(deployment, url)


def _without_address(deployment: Deployment) -> Finding:
    what = "SEARCH_URL is not set: whether searches are answered cannot be told"
    if deployment.stage is None:
        return warning("search.url", what, "SEARCH_URL=https://<search function>, then look again")
    mend = f"put the ApiUrl that make deploy-aws has printed into .env.{deployment.stage}"
    return wrong("search.url", what, mend)


def _health_fault(url: str, answer: httpx.Response) -> Finding | None:
    if answer.is_success and json_of(answer) == {"status": "ok"}:
        return None
    problem = _problem(answer)
    if problem is not None and problem.type.endswith(":misconfigured"):
        what = "the function's own settings are missing or wrong"
        return wrong("search.settings", f"{what} (request {problem.request_id})", _LOGS)
    what = f"{url}/health answers {answer.status_code}, and not as a pixseek search does"
    return wrong("search.health", what, "set SEARCH_URL to the function's address, without a path")


def _version(deployment: Deployment, url: str) -> Finding:
    document = json_of(deployment.http.get(f"{url}/openapi.json", timeout=_SLOW_S))
    info = document.get("info") if isinstance(document, dict) else None
    if isinstance(info, dict) and info.get("title") == _TITLE:
        return ok("search.version", f"its API is of version {info.get('version')}")
    what = f"{url}/openapi.json is no description of a pixseek search"
    mend = "set SEARCH_URL to the search function's address, and deploy it again"
    return wrong("search.version", what, mend)


def _at_work(deployment: Deployment, url: str) -> Iterator[Finding]:
    """An empty index has no model to search with yet."""
    if deployment.is_empty:
        yield not_looked_at("search.ready", "the index is empty")
    else:
        yield _ready(deployment.http.get(f"{url}/ready", timeout=_SLOW_S))
    yield from _searches(deployment, url)


def _ready(answer: httpx.Response) -> Finding:
    if answer.is_success:
        return ok("search.ready", "the database, the embedder and its model are at work")
    problem = _problem(answer)
    told = problem.detail if problem else f"it answers {answer.status_code}"
    mend = f"database: its keys and project; embedder: its key and address; model: EMBEDDER. Else {_LOGS}"
    return wrong("search.ready", f"/ready says: {told}", mend)


def _searches(deployment: Deployment, url: str) -> Iterator[Finding]:
    """Whoever may not search is refused before the model is called."""
    is_public = deployment.settings.auth == "public"
    answers = deployment.calls_model and not deployment.is_empty
    if answers or not is_public:
        stranger = deployment.http.get(f"{url}/search", params=_QUERY, timeout=_SLOW_S)
        yield _anonymous(stranger, is_public=is_public)
    if not answers:
        why = "the index is empty" if deployment.is_empty else "a search may call the model (--no-model)"
        yield not_looked_at("search.answer", why)
        return
    headers = {"Authorization": f"Bearer {deployment.secret(SERVICE_KEY)}"}
    yield _answer(deployment.http.get(f"{url}/search", params=_QUERY, headers=headers, timeout=_SLOW_S))


def _anonymous(answer: httpx.Response, *, is_public: bool) -> Finding:
    is_refused = answer.status_code == httpx.codes.UNAUTHORIZED
    if is_refused and is_public:
        what = "AUTH is public here, and the function refuses who has no token"
        return wrong("search.anonymous", what, "deploy again, so that both are alike")
    if answer.is_success and not is_public:
        what = "AUTH is user here, and the function answers who has no token"
        return wrong("search.anonymous", what, "deploy again with AUTH=user")
    if not is_refused and not answer.is_success:
        return wrong(
            "search.anonymous", f"a search without a token is answered with {answer.status_code}", _LOGS
        )
    return ok("search.anonymous", "who has no token is " + ("answered" if is_public else "refused"))


def _answer(answer: httpx.Response) -> Finding:
    """The operator's, who may always search."""
    try:
        reply = SearchReply.model_validate_json(answer.content) if answer.is_success else None
    except ValidationError:
        return wrong("search.answer", "a search is answered in an unknown form", "deploy the function again")
    if reply is not None:
        return ok("search.answer", f"a search is answered, by {reply.model}, in {reply.took_ms:.0f} ms")
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        what = "the function does not know SUPABASE_SERVICE_ROLE_KEY"
        return wrong("search.answer", what, "it is deployed with another key or project: deploy it again")
    problem = _problem(answer)
    told = f"{problem.detail} (request {problem.request_id})" if problem else ""
    return wrong("search.answer", f"a search is answered with {answer.status_code}. {told}".strip(), _LOGS)


def _problem(answer: httpx.Response) -> Problem | None:
    try:
        return Problem.model_validate_json(answer.content)
    except ValidationError:
        return None
