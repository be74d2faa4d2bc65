"""What Lambda hands to a function: requests of the HTTP API, changes of storage, notifications of S3."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from shared.events.supabase import SECRET_HEADER

_SEQUENCER: Final = 0x0055AED6DCD90281E5


def search_request(text: str, token: str | None = None) -> dict[str, Any]:
    """`GET /search`, payload format 2.0."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    parameters = {"q": text}
    return {
        **_request("GET", "/search", headers),
        "rawQueryString": urlencode(parameters),
        "queryStringParameters": parameters,
    }


def webhook(row: Mapping[str, object], secret: str) -> dict[str, Any]:
    """An insert into `storage.objects`, as the database posts it."""
    change = {"type": "INSERT", "schema": "storage", "table": "objects", "record": row, "old_record": None}
    headers = {"content-type": "application/json", SECRET_HEADER.lower(): secret}
    return {**_request("POST", "/webhooks/supabase", headers), "body": json.dumps(change)}


def s3_notification(bucket: str, key: str, etag: str, size_bytes: int, number: int) -> dict[str, Any]:
    """A new object. `key` needs no quoting."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventTime": "2026-01-02T03:04:05.000Z",
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
                    "object": {
                        "key": key,
                        "size": size_bytes,
                        "eTag": etag,
                        "sequencer": f"{_SEQUENCER + number:018X}",
                    },
                },
            }
        ]
    }


def queued(notification: Mapping[str, object]) -> dict[str, Any]:
    """The same as one message of SQS."""
    message = {"messageId": "1", "body": json.dumps(notification), "eventSource": "aws:sqs"}
    return {"Records": [message]}


def _request(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "api.example.com", **headers},
        "requestContext": {
            "requestId": "1",
            "stage": "$default",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "benchmark",
            },
        },
        "isBase64Encoded": False,
    }
