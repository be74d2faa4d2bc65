"""Storage events, decoded once: every payload becomes `ObjectEvent`s here and nowhere else."""

from shared.events.gcs import decode_cloud_event, decode_cloud_event_request
from shared.events.objects import is_followed
from shared.events.s3 import decode_s3_notification
from shared.events.supabase import SECRET_HEADER, check_secret, decode_supabase_webhook

__all__ = [
    "SECRET_HEADER",
    "check_secret",
    "decode_cloud_event",
    "decode_cloud_event_request",
    "decode_s3_notification",
    "decode_supabase_webhook",
    "is_followed",
]
