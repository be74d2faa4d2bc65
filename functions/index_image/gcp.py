"""Google's entries, which the embedded stack serves too: storage events in, the index follows."""

import flask
import functions_framework

from functions.index_image.following import error_of, follow_together
from functions.index_image.webhook import SECRET_HEADER, Answer, answer, answer_webhook
from shared.errors import InputError, PixseekError
from shared.events.gcs import decode_cloud_event_request
from shared.settings import load_settings
from shared.telemetry import log_failure


@functions_framework.http
def index_supabase_webhook(request: flask.Request) -> Answer:
    """Follow a database webhook of `storage.objects`."""
    return answer_webhook(request.headers.get(SECRET_HEADER), request.get_data())


@functions_framework.http
def index_storage_event(request: flask.Request) -> Answer:
    """Follow an event of Cloud Storage, as Eventarc or a Pub/Sub subscription posts it.

    Both retry whatever is not answered with success, so that what is wrong for good is acknowledged: the log
    keeps it.
    """
    try:
        times = load_settings().times()
        events = decode_cloud_event_request(dict(request.headers), request.get_data())
        error = error_of(follow_together(events, times))
    except InputError as exc:
        log_failure("event_refused", exc)
        error = None
    except PixseekError as exc:
        log_failure("events_not_followed", exc)
        error = exc
    return answer(error)
