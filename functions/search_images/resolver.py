"""Powertools' resolver, for a process that serves several requests at once, and our form of errors."""

import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from functions.search_images.bodies import as_json, parse_json
from shared import problems
from shared.errors import InputError, PixseekError
from shared.problems import Fault, Problem
from shared.settings import Settings
from shared.telemetry import log_failure, log_outcome

_NO_JSON: Final = "JSON decode error"
_MOST_FAULTS: Final = 20
_LONGEST_NAME: Final = 100


class Resolver(APIGatewayHttpResolver):
    """Keeps a request, with its caller's token, in the thread that answers it.

    Powertools keeps it where all threads see it: on Lambda a process has one request at a time.
    """

    def __init__(self, settings: Settings) -> None:
        self._local = threading.local()
        super().__init__(cors=_cors(settings), enable_validation=True, json_body_deserializer=parse_json)
        self.exception_handler(PixseekError)(self._refuse)
        self.exception_handler(RequestValidationError)(self._refuse_form)
        self.exception_handler(RequestUnsupportedContentType)(self._refuse_type)
        self.exception_handler(Exception)(self._give_up)
        self.not_found(self._refuse_path)

    @property
    def current_event(self) -> Any:  # type: ignore[override]  # noqa: ANN401 -- Powertools sets it for all threads
        """The request of this thread."""
        return self._local.event

    @property
    def context(self) -> dict[str, Any]:
        """What Powertools notes of it."""
        if not hasattr(self._local, "context"):
            self._local.context = {}
        context: dict[str, Any] = self._local.context
        return context

    @context.setter
    def context(self, context: dict[str, Any]) -> None:
        self._local.context = context

    @property
    def request_id(self) -> str:
        """As the platform names it, for the log and the caller."""
        return str(self.current_event.request_context.request_id)

    def prepare(self) -> None:
        """Once all routes are known: built on first use, they would be built by several threads at once."""
        for route in self._static_routes + self._dynamic_routes:
            route._build_middleware_stack(router_middlewares=[], app=self)

    def _to_proxy_event(self, event: dict[str, Any]) -> Any:  # noqa: ANN401 -- as Powertools types it
        self._local.event = super()._to_proxy_event(event)
        return self._local.event

    def _call_route(self, route: Route, route_arguments: dict[str, str]) -> Any:  # noqa: ANN401 -- private to Powertools
        try:
            self._to_proxy_event(as_json(self.current_event.raw_event))
            # Else it is a preflight, or nothing is there.
            if route in self._static_routes + self._dynamic_routes:
                _check_names(self.current_event, route)
                _check_type(self.current_event, route)
        except (PixseekError, RequestUnsupportedContentType) as exc:
            return self._call_exception_handler(exc, route)
        return super()._call_route(route, route_arguments)

    def _refuse(self, error: PixseekError) -> Response[str]:
        log_failure("request_failed", error, request_id=self.request_id)
        problem = problems.problem_of(error, request_id=self.request_id)
        return answer(problem, problems.retry_after(error))

    def _give_up(self, error: Exception) -> Response[str]:
        log_failure("request_crashed", error, request_id=self.request_id)
        return answer(problems.problem_of(error, request_id=self.request_id))

    def _refuse_form(self, error: RequestValidationError) -> Response[str]:
        faults = [_fault(detail["loc"], detail["msg"]) for detail in error.errors()[:_MOST_FAULTS]]
        told = "; ".join(f"{fault.field}: {fault.detail}" for fault in faults)
        return self._refuse_request(HTTPStatus.BAD_REQUEST, told, errors=faults)

    def _refuse_type(self, _: Exception) -> Response[str]:
        detail = "Send the body as application/json, or a picture as multipart/form-data."
        return self._refuse_request(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)

    def _refuse_path(self, _: NotFoundError) -> Response[str]:
        path = self.current_event.path
        routes = self._static_routes + self._dynamic_routes
        allowed = sorted({route.method for route in routes if route.rule.match(path)})
        if allowed:
            methods = ", ".join(allowed)
            detail = f"This path answers to {methods}."
            return self._refuse_request(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"Allow": methods})
        detail = "Nothing is here. Search with GET /search?q=a dog on a beach; /openapi.json lists the rest."
        return self._refuse_request(HTTPStatus.NOT_FOUND, detail)

    def _refuse_request(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Fault] = (),
    ) -> Response[str]:
        """What makes no sense, before anybody is asked."""
        log_outcome("request_refused", status=int(status), request_id=self.request_id)
        problem = problems.problem(status, detail, request_id=self.request_id, errors=errors)
        return answer(problem, headers)


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[str]:
    """A problem as a response."""
    unauthenticated = {"WWW-Authenticate": "Bearer"} if problem.status == HTTPStatus.UNAUTHORIZED else {}
    return Response(
        status_code=problem.status,
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store", **unauthenticated, **(headers or {})},
        body=problem.model_dump_json(),
    )


def _check_names(event: APIGatewayProxyEventV2, route: Route) -> None:
    """A misspelt parameter would be passed over in silence, by Powertools too. Raises `InputError`."""
    models = [field.type_ for field in route.dependant.query_params]
    known = {name for model in models for name in model.model_fields}
    unknown = sorted(set(event.query_string_parameters or {}) - known)
    if unknown:
        names = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        raise InputError(f"unknown parameter: {unknown[0][:_LONGEST_NAME]!a}; {names}")


def _check_type(event: APIGatewayProxyEventV2, route: Route) -> None:
    """Powertools would read forms, too, as curl sends them. Raises `RequestUnsupportedContentType`."""
    content_type = event.headers["content-type"]
    if route.dependant.body_params and content_type != "application/json":
        raise RequestUnsupportedContentType(content_type, errors=[])


def _fault(place: tuple[int | str, ...], message: str) -> Fault:
    if message == _NO_JSON:
        return Fault(field="body", detail="not JSON")
    # Of parameters the second is the model that holds them.
    field = ".".join(str(part) for part in place[2 if place[0] == "query" else 1 :] or place)
    return Fault(field=field[:_LONGEST_NAME], detail=message.removeprefix("Value error, "))


def _cors(settings: Settings) -> CORSConfig | None:
    """None answers no other origin."""
    if not settings.cors_origins:
        return None
    first, *others = settings.cors_origins
    return CORSConfig(
        allow_origin=first,
        extra_origins=others,
        expose_headers=["Retry-After", "Server-Timing"],
        max_age=600,
    )
