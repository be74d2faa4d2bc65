"""The search API: one HTTP core for every cloud."""

from collections.abc import Callable
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.search_images.api import Api
from functions.search_images.resolver import Resolver
from shared import problems
from shared.errors import SettingsError, Unavailable
from shared.models import Lane
from shared.settings import Settings, load_settings
from shared.telemetry import log_failure
from shared.wiring import Adapters, load_adapters


def resolve(event: dict[str, Any], context: LambdaContext | None) -> dict[str, Any]:
    """Answer an HTTP API v2 event, also where the deployment's settings are wrong or cannot be read."""
    try:
        app = load_app()
    except (SettingsError, Unavailable) as exc:
        request_id = event["requestContext"]["requestId"]
        log_failure("request_failed", exc, request_id=request_id)
        problem = problems.problem_of(exc, request_id=request_id)
        form = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
        headers = {**form, **problems.retry_after(exc)}
        return {"statusCode": problem.status, "headers": headers, "body": problem.model_dump_json()}
    return app.resolve(event, context)  # type: ignore[arg-type] # off Lambda there is no context


@cache
def load_app() -> Resolver:
    """The app of this process, on its first request. Raises `SettingsError`."""
    return make_app(load_settings(), partial(load_adapters, Lane.SEARCH))


def make_app(settings: Settings, adapters: Callable[[], Adapters]) -> Resolver:
    """All routes, over one deployment's settings and adapters, which are built when they are needed."""
    app = Resolver(settings)
    api = Api(app, settings, adapters)
    app.get("/search")(api.search)
    app.post("/search")(api.search_by)
    app.get("/images/by-name")(api.image_by_name)
    app.get("/images/<image_id>")(api.image)
    app.get("/images/<image_id>/similar")(api.similar)
    app.delete("/images/<image_id>", status_code=HTTPStatus.NO_CONTENT)(api.delete)
    app.post("/uploads", status_code=HTTPStatus.CREATED)(api.begin_upload)
    app.get("/health")(api.health)
    app.get("/ready")(api.ready)
    app.get("/openapi.json", include_in_schema=False)(api.openapi)
    app.prepare()
    return app
