"""The functions that are measured: each with what it is told, what it is asked, and what it must answer."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from benchmarks.coldstart_parts import events
from benchmarks.coldstart_parts.figures import INDEX, INDEX_S3, PLAIN_INDEX, PLAIN_SEARCH, SEARCH, TEXT_ONLY
from benchmarks.coldstart_parts.running import S3_BUCKET, SECRETS, Running, parameter_name
from benchmarks.coldstart_parts.zips import Zip, Zips

_SEARCH: Final = "functions/search_images/aws.handler"
_WEBHOOK: Final = "functions/index_image/aws.index_supabase_webhook"
_QUEUE: Final = "functions/index_image/aws.index_queued_events"
_HOUR_S: Final = 3600
_USER: Final = "00000000-0000-4000-8000-000000000014"


class WrongAnswerError(Exception):
    """A function did not do its work: its times would mean nothing."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A function as it is deployed, and a call of it."""

    zip: Zip
    handler: str
    environment: Mapping[str, str]
    event: Callable[[], dict[str, Any]]
    """A new one each time: neither the text nor the picture is known."""
    has_worked: Callable[[Any], bool]
    plain: str | None = None


def subjects(up: Running, zips: Zips) -> dict[str, Subject]:
    """By name, in the order in which they take turns."""
    return {
        "empty handler": Subject(zips.empty, "empty.handler", {}, dict, lambda answer: answer == {}),
        **_plain(up, zips),
        **_indexing(up, zips),  # before the searches, so that these find something
        **_searching(up, zips),
        **_scheduled(up, zips),
    }


def _plain(up: Running, zips: Zips) -> dict[str, Subject]:
    told = up.plain_settings
    return {
        PLAIN_INDEX: Subject(
            zips.plain_index,
            "plain_index.handler",
            told,
            up.notification_of_new_picture,
            lambda answer: answer == {"indexed": 1},
        ),
        PLAIN_SEARCH: Subject(
            zips.plain_search,
            "plain_search.handler",
            told,
            lambda: events.search_request(up.text()),
            _has_found,
        ),
    }


def _searching(up: Running, zips: Zips) -> dict[str, Subject]:
    public = {**up.settings, "AUTH": "public"}
    in_production = {name: value for name, value in public.items() if name not in SECRETS} | {
        "AUTH": "user",
        "SSM_PARAMETERS": ",".join(parameter_name(secret) for secret in SECRETS),
        "AWS_ENDPOINT_URL_SSM": up.aws_url,
    }
    token = _user_token(up)

    def anybody() -> dict[str, Any]:
        return events.search_request(up.text())

    def user() -> dict[str, Any]:
        return events.search_request(up.text(), token)

    without_pictures = {**public, "PICTURE_QUERIES": "false"}
    text_only = zips.search_text_only
    return {
        SEARCH: Subject(zips.search, _SEARCH, public, anybody, _has_found, PLAIN_SEARCH),
        TEXT_ONLY: Subject(text_only, _SEARCH, without_pictures, anybody, _has_found, PLAIN_SEARCH),
        "search, of a user, secrets in SSM": Subject(
            zips.search, _SEARCH, in_production, user, _has_found, PLAIN_SEARCH
        ),
    }


def _indexing(up: Running, zips: Zips) -> dict[str, Subject]:
    on_s3 = {
        **up.settings,
        "STORAGE": "s3",
        "BUCKETS": S3_BUCKET,
        "AWS_ENDPOINT_URL": up.aws_url,
        "AWS_ALLOW_HTTP": "true",
    }
    return {
        INDEX: Subject(
            zips.index,
            _WEBHOOK,
            up.settings,
            up.webhook_of_new_picture,
            lambda answer: answer["statusCode"] == 200 and up.has_indexed_all(),
            PLAIN_INDEX,
        ),
        INDEX_S3: Subject(
            zips.index_s3,
            _QUEUE,
            on_s3,
            lambda: events.queued(up.notification_of_new_picture()),
            lambda answer: answer == {"batchItemFailures": []} and up.has_indexed_all(),
            PLAIN_INDEX,
        ),
    }


def _scheduled(up: Running, zips: Zips) -> dict[str, Subject]:
    """Both find next to nothing to do."""
    return {
        name: Subject(each, f"functions/{folder}/aws.handler", up.settings, dict, _has_reported)
        for name, each, folder in (
            ("reembed", zips.reembed, "reembed_images"),
            ("audit", zips.audit, "audit_index"),
        )
    }


def _has_found(answer: Any) -> bool:  # noqa: ANN401 -- JSON
    return answer["statusCode"] == 200 and len(json.loads(answer["body"])["results"]) > 0


def _has_reported(answer: Any) -> bool:  # noqa: ANN401 -- JSON
    return isinstance(answer, dict) and len(answer) > 0


def _user_token(up: Running) -> str:
    """As Supabase's sign-in issues it."""
    now = int(time.time())
    claims = {
        "sub": _USER,
        "role": "authenticated",
        "aud": "authenticated",
        "iss": f"{up.project.connection.supabase_url}/auth/v1",
        "iat": now,
        "exp": now + _HOUR_S,
    }
    return jwt.encode(claims, up.home.keys().jwt_secret, algorithm="HS256")
