"""Google's entries, which the embedded stack serves too: storage events in, the index follows."""

from time import perf_counter

import flask
import functions_framework

from shared import indexing, replies
from shared.errors import PixseekError
from shared.events import SECRET_HEADER, check_secret, decode_supabase_webhook
from shared.models import Lane, ObjectEvent
from shared.settings import load_settings
from shared.telemetry import log_failure, log_outcome
from shared.wiring import load_adapters

Answer = tuple[dict[str, str], int, dict[str, str]]


@functions_framework.http
def index_supabase_webhook(request: flask.Request) -> Answer:
    """Follow a database webhook of `storage.objects`.

    What can be retried is answered with 503; what is wrong for good with 4xx, once.
    """
    try:
        settings = load_settings()
        deadline = settings.deadline()
        check_secret(request.headers.get(SECRET_HEADER), settings.webhook_secret.get_secret_value())
        events = decode_supabase_webhook(request.get_data())
    except PixseekError as exc:
        log_failure("event_refused", exc)
        return _refusal(exc)
    for event in events:
        try:
            _follow(event, deadline)
        except PixseekError as exc:
            log_failure("image_not_indexed", exc, bucket=event.ref.bucket, image=event.ref.name)
            return _refusal(exc)
    return {"status": "ok"}, 200, {}


def _follow(event: ObjectEvent, deadline: float) -> None:
    started = perf_counter()
    adapters = load_adapters(Lane.INDEXING)
    outcome = indexing.apply(
        event,
        store=adapters.store,
        embedder=adapters.embedder,
        index=adapters.database,
        deadline=deadline,
    )
    log_outcome(
        "image_indexed",
        bucket=event.ref.bucket,
        image=event.ref.name,
        standing=outcome.standing,
        reason=outcome.reason,
        embedded=outcome.embedded,
        took_ms=round(1000 * (perf_counter() - started), 1),
    )


def _refusal(error: PixseekError) -> Answer:
    return {"error": type(error).__name__}, replies.status_of(error), replies.retry_after(error)
