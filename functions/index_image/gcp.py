"""Google's entries, which the embedded stack serves too: storage events in, the index follows."""

from time import perf_counter

import flask
import functions_framework

from shared import indexing, replies
from shared.errors import PixseekError
from shared.events import SECRET_HEADER, check_secret, decode_supabase_webhook
from shared.settings import load_settings
from shared.telemetry import log_failure, log_outcome
from shared.wiring import load_adapters


@functions_framework.http
def index_supabase_webhook(request: flask.Request) -> tuple[dict[str, str], int]:
    """Follow a database webhook of `storage.objects`.

    What can be retried is answered with 503; what is wrong for good with 4xx, once.
    """
    try:
        check_secret(request.headers.get(SECRET_HEADER), load_settings().webhook_secret.get_secret_value())
        events = decode_supabase_webhook(request.get_data())
        adapters = load_adapters()
        for event in events:
            started = perf_counter()
            outcome = indexing.apply(
                event, store=adapters.store, embedder=adapters.embedder, index=adapters.database
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
    except PixseekError as exc:
        log_failure("event_refused", exc)
        return {"error": type(exc).__name__}, replies.status_of(exc)
    return {"status": "ok"}, 200
