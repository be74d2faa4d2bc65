"""A bucket of S3, which moto keeps. It sends no events: they are written here as S3 writes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final
from urllib.parse import quote_plus

import boto3
from botocore.config import Config

from benchmarks.chaos_parts.buckets import BucketObject, Message
from benchmarks.chaos_parts.plan import Act, Operation
from benchmarks.chaos_parts.running import AWS, Running
from shared.models import PREVIEWS_SUFFIX

WORDS: Final = ("holiday photo", "a+b", "100% real", "照片", "x&y=z", "café (1)", "it's #1?", "plain")
EVENTS_OF_A_MOVE: Final = 2
_FIRST_SEQUENCER: Final = 0x0055AED6DCD90281E5
_KINDS: Final = {
    Act.PUT: "ObjectCreated:Put",
    Act.COPY: "ObjectCreated:Copy",
    Act.REMOVE: "ObjectRemoved:Delete",
}


class S3Bucket:
    """Made when it is built, together with that of its previews."""

    def __init__(self, running: Running, name: str) -> None:
        self.name = name
        # boto3 has no types; its operations are made when they are called.
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=running.s3_url,
            aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
            region_name=AWS["AWS_REGION"],
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )
        self._numbers = count()
        for bucket in (name, name + PREVIEWS_SUFFIX):
            self._s3.create_bucket(Bucket=bucket)

    def apply(self, operation: Operation) -> Sequence[Message]:
        """A move is a copy and a removal."""
        if operation.act is Act.MOVE:
            return [
                self._done(Operation(Act.COPY, operation.name, operation.content, operation.source)),
                self._done(Operation(Act.REMOVE, operation.source, None)),
            ]
        return [self._done(operation)]

    def objects(self) -> Iterator[BucketObject]:
        """All that are in the bucket."""
        yield from self._all(self.name)

    def previews(self) -> Iterator[BucketObject]:
        """All that are in the bucket of its previews."""
        yield from self._all(self.name + PREVIEWS_SUFFIX)

    def _all(self, bucket: str) -> Iterator[BucketObject]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for listed in page.get("Contents", ()):
                data: bytes = self._s3.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read()
                yield BucketObject(listed["Key"], listed["ETag"].strip('"'), data)

    def _done(self, operation: Operation) -> Message:
        place = {"Bucket": self.name, "Key": operation.name}
        if operation.act is Act.REMOVE:
            self._s3.delete_object(**place)
            return self._message(operation, {})
        if operation.act is Act.COPY:
            source = {"Bucket": self.name, "Key": operation.source}
            etag = self._s3.copy_object(**place, CopySource=source)["CopyObjectResult"]["ETag"]
        else:
            etag = self._s3.put_object(**place, Body=operation.data)["ETag"]
        return self._message(operation, {"size": len(operation.data), "eTag": etag.strip('"')})

    def _message(self, operation: Operation, facts: Mapping[str, object]) -> Message:
        """The sequencer rises; that it does so only for one object nobody can tell."""
        key = quote_plus(operation.name, safe="/")
        sequencer = f"{_FIRST_SEQUENCER + next(self._numbers):018X}"
        record = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": AWS["AWS_REGION"],
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "eventName": _KINDS[operation.act],
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "chaos",
                "bucket": {"name": self.name, "arn": f"arn:aws:s3:::{self.name}"},
                "object": {"key": key, **facts, "sequencer": sequencer},
            },
        }
        return Message(json.dumps({"Records": [record]}), (operation.name,))
