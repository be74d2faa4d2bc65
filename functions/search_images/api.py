"""What the search API does: each method answers one route with one use-case."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from http import HTTPStatus
from time import perf_counter
from typing import Annotated, Final, NamedTuple, TypeVar

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from functions.search_images.access import admission_of, caller_of
from functions.search_images.documents import openapi
from functions.search_images.readiness import Readiness
from functions.search_images.resolver import Resolver
from shared import hits, removing, replies, searching, showing, uploading
from shared.admitting import Refused
from shared.beside import outcome, start
from shared.callers import Caller
from shared.errors import Forbidden, InputError, NotReady
from shared.events.objects import is_followed
from shared.models import ObjectRef
from shared.ports import Admission
from shared.queries import ImageId, NamedImage, Scope, SearchBody, SearchQuery, UploadBody
from shared.replies import HealthReply, ImageReply, SearchReply, UploadReply
from shared.settings import Settings
from shared.telemetry import log_failure, log_outcome
from shared.wiring import Adapters

_Answered = TypeVar("_Answered", SearchReply, ImageReply, UploadReply, HealthReply)
Id = Annotated[ImageId, Path(description="As a search gives it.")]
_JSON: Final = "application/json"
_PRIVATE: Final = {"Cache-Control": "private, no-store"}


class _Asked(NamedTuple):
    """A request that may be answered."""

    caller: Caller
    admission: Admission
    deadline: float


class Api:
    """One deployment's."""

    def __init__(self, app: Resolver, settings: Settings, adapters: Callable[[], Adapters]) -> None:
        """`adapters` are built when the first request needs them."""
        self._app = app
        self._settings = settings
        self._adapters = adapters
        self._readiness = Readiness()
        self._refused = Refused()

    def search(self, query: Annotated[SearchQuery, Query()]) -> Response[SearchReply]:
        """Pictures that show what a sentence says, best first, among those that the caller may see."""
        return self._search(query.query())

    def search_by(self, body: Annotated[SearchBody, Body()]) -> Response[SearchReply]:
        """The same for any mix of texts, pictures and stored images by their weights; below 0 leads away."""
        return self._search(body.asked())

    def similar(self, image_id: Id, scope: Annotated[Scope, Query()]) -> Response[SearchReply]:
        """Pictures that look like a stored one, which is left out."""
        return self._search(scope.of(hits.Part(image_id=image_id)))

    def image(self, image_id: Id) -> Response[ImageReply]:
        """One picture: what is on record, and links to it."""
        return self._show(image_id)

    def image_by_name(self, named: Annotated[NamedImage, Query()]) -> Response[ImageReply]:
        """The same by its name in its bucket: after an upload, ask until its state is indexed."""
        return self._show(ObjectRef(named.bucket, named.name))

    def delete(self, image_id: Id) -> Response[None]:
        """Delete a picture of one's own, from the bucket and the index."""
        asked = self._admit()
        self._signed_in(asked.caller)
        adapters = self._adapters()
        remove = partial(
            removing.remove,
            image_id,
            caller_token=asked.caller.token,
            search=adapters.database,
            index=adapters.database,
            rules=adapters.database,
            store=adapters.store,
            admission=asked.admission,
            deadline=asked.deadline,
        )
        outcome(start(remove), deadline=asked.deadline, of="the end of the removal")
        log_outcome("image_deleted", image_id=image_id)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=_PRIVATE)

    def begin_upload(self, body: Annotated[UploadBody, Body()]) -> Response[UploadReply]:
        """Where to put a picture, straight into the bucket; its event does the rest."""
        asked = self._admit()
        user_id = self._signed_in(asked.caller)
        if not is_followed(ObjectRef(body.bucket, "picture"), self._settings.buckets):
            raise InputError(f"pictures of {body.bucket!a} are not indexed here (BUCKETS)")
        adapters = self._adapters()
        begin = partial(
            uploading.begin_upload,
            body.bucket,
            body.content_type,
            body.extension,
            user_id=user_id,
            caller_token=asked.caller.token,
            rules=adapters.database,
            store=adapters.store,
            admission=asked.admission,
        )
        ref, link = outcome(start(begin), deadline=asked.deadline, of="the right to upload")
        log_outcome("upload_begun", bucket=ref.bucket)
        return self._answer(replies.upload_reply(ref, link), HTTPStatus.CREATED)

    def health(self) -> Response[HealthReply]:
        """The function runs."""
        return self._answer(HealthReply())

    def ready(self) -> Response[HealthReply]:
        """Searches can be answered: the database, the embedder, and its model in the index."""
        wrong = self._readiness.wrong(self._adapters(), self._deadline())
        if wrong:
            raise NotReady(wrong)
        return self._answer(HealthReply())

    def openapi(self) -> Response[str]:
        """This API as an OpenAPI document."""
        return Response(status_code=HTTPStatus.OK, content_type=_JSON, body=self._document)

    @cached_property
    def _document(self) -> str:
        return openapi(self._app)

    def _search(self, query: hits.Query) -> Response[SearchReply]:
        started = perf_counter()
        asked = self._admit()
        if not self._settings.picture_queries and any(part.picture is not None for part in query.parts):
            raise InputError("pictures cannot be searched for here (PICTURE_QUERIES): send text or image_id")
        adapters = self._adapters()
        found = searching.search(
            query,
            caller_token=asked.caller.token,
            embedders=adapters.embedders,
            index=adapters.database,
            memory=adapters.database,
            store=adapters.store,
            admission=asked.admission,
            deadline=asked.deadline,
        )
        if found.memory_error:
            log_failure("query_not_remembered", found.memory_error)
        took_ms = 1000 * (perf_counter() - started)
        stages = {
            "embed": found.embed_ms,
            "search": found.search_ms,
            "links": found.links_ms,
            "total": took_ms,
        }
        log_outcome("search_answered", results=len(found.page.hits), took_ms=round(took_ms, 1))
        reply = replies.search_reply(
            found.page, found.links, model=found.model, warnings=found.warnings, took_ms=took_ms
        )
        timing = ", ".join(f"{stage};dur={ms:.1f}" for stage, ms in stages.items())
        return self._answer(reply, headers={"Server-Timing": timing})

    def _show(self, image: int | ObjectRef) -> Response[ImageReply]:
        asked = self._admit()
        adapters = self._adapters()
        state, links = showing.show(
            image,
            caller_token=asked.caller.token,
            index=adapters.database,
            store=adapters.store,
            admission=asked.admission,
            deadline=asked.deadline,
        )
        return self._answer(replies.image_reply(state, links))

    def _admit(self) -> _Asked:
        """Who asks, known before anything is spent, and being counted."""
        event, adapters, deadline = self._app.current_event, self._adapters(), self._deadline()
        caller = caller_of(event, self._settings, adapters)
        admission = admission_of(event, caller, self._settings, adapters, deadline, self._refused)
        return _Asked(caller, admission, deadline)

    def _signed_in(self, caller: Caller) -> str:
        """The user who calls. Raises `Forbidden`."""
        if caller.user_id is None:
            raise Forbidden("uploads and deletes are for signed-in users (AUTH=user)")
        return caller.user_id

    def _deadline(self) -> float:
        left_ms = getattr(self._app.lambda_context, "get_remaining_time_in_millis", None)
        return self._settings.times(left_ms() / 1000 if left_ms else None).deadline

    def _answer(
        self,
        reply: _Answered,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> Response[_Answered]:
        return Response(
            status_code=status, content_type=_JSON, headers={**_PRIVATE, **(headers or {})}, body=reply
        )
