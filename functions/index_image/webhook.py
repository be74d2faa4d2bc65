"""The Supabase webhook, as HTTP, whichever cloud it comes through."""

from functions.index_image.following import error_of, follow_together
from shared import problems
from shared.errors import PixseekError
from shared.events.supabase import SECRET_HEADER as SECRET_HEADER
from shared.events.supabase import check_secret, decode_supabase_webhook
from shared.settings import load_settings
from shared.telemetry import log_failure

Answer = tuple[dict[str, str], int, dict[str, str]]
"""A body, a status and headers."""


def answer_webhook(secret: str | None, payload: bytes, left_s: float | None = None) -> Answer:
    """Follow a database webhook of `storage.objects`, given with its secret and the time that is left.

    What can be retried is answered with 503; what is wrong for good with 4xx, once.
    """
    try:
        settings = load_settings()
        times = settings.times(left_s)
        check_secret(secret, settings.webhook_secrets())
        error = error_of(follow_together(decode_supabase_webhook(payload), times))
    except PixseekError as exc:
        log_failure("event_refused", exc)
        error = exc
    return answer(error)


def answer(error: PixseekError | None) -> Answer:
    """What the sender of an event is told: that it is done with, or what kept it from that."""
    if error is None:
        return {"status": "ok"}, 200, {}
    return {"error": type(error).__name__}, problems.status_of(error), problems.retry_after(error)
