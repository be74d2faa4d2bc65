"""What the functions find up: the embedded stack with a few pictures, moto, an API that takes 120 ms."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import boto3
import psycopg

from benchmarks import report
from benchmarks.coldstart_parts import events
from benchmarks.ingest_parts.running import KEY, MODEL
from infra import photographs
from infra.cli.connection import Project
from infra.local.home import ROOT, Home
from infra.local.postgres import SUPERUSER
from infra.local.stack import Stack
from shared.models import PREVIEWS_SUFFIX
from tests.bucket_servers import s3_server
from tests.ports import free_base_port

BUCKET: Final = "photos"
S3_BUCKET: Final = "photos-on-s3"
REGION: Final = "us-east-1"
STAGE: Final = "benchmark"
SECRETS: Final = ("SUPABASE_SERVICE_ROLE_KEY", "ROBOFLOW_API_KEY", "SUPABASE_JWT_SECRET")
_DELAY_MS: Final = "120"
_NO_LIMITS: Final = {"calls_per_s": None, "search_calls_per_day": None, "indexing_calls_per_day": None}
_ALL_INDEXED: Final = "select bool_and(state = 'indexed') from pixseek.images"
_ROW: Final = "select to_jsonb(o) from storage.objects o where bucket_id = %s and name = %s"
# Our events are made here, one at a time: the stack's own functions are not to be faster.
_NO_EVENTS: Final = """
alter table storage.objects disable trigger post_webhook_of_write;
alter table storage.objects disable trigger post_webhook_of_delete;
update pixseek.models set similarity_floor = -1;
"""


@dataclass(frozen=True)
class Running:
    """What is up."""

    home: Home
    stack: Stack
    project: Project
    session: psycopg.Connection
    """Of the superuser."""
    aws_url: str
    api_url: str
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def settings(self) -> dict[str, str]:
        """Of each of our functions."""
        keys = self.home.keys()
        return {
            "SUPABASE_URL": self.project.connection.supabase_url,
            "SUPABASE_ANON_KEY": keys.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_key,
            "SUPABASE_JWT_SECRET": keys.jwt_secret,
            "WEBHOOK_SECRET": keys.webhook_secret,
            "EMBEDDER": "roboflow",
            "CLIP_MODEL": MODEL,
            "ROBOFLOW_API_URL": self.api_url,
            "ROBOFLOW_API_KEY": KEY,
            "REQUESTS_PER_MINUTE": "1000000",
        }

    @property
    def plain_settings(self) -> dict[str, str]:
        """Of a plain handler."""
        names = ("SUPABASE_URL", "ROBOFLOW_API_URL", "ROBOFLOW_API_KEY")
        ours = self.settings
        return {
            **{name: ours[name] for name in names},
            "SUPABASE_KEY": ours["SUPABASE_SERVICE_ROLE_KEY"],
            "AWS_ENDPOINT_URL": self.aws_url,
        }

    def text(self) -> str:
        """That nobody has asked for."""
        return f"a photograph of house number {next(self._numbers)}"

    def webhook_of_new_picture(self) -> dict[str, Any]:
        """Of one that lies in Supabase Storage."""
        name, content = self._picture()
        self.project.client.storage.from_(BUCKET).upload(name, content, {"content-type": "image/jpeg"})
        [(row,)] = self.session.execute(_ROW, (BUCKET, name)).fetchall()
        return events.webhook(row, self.home.keys().webhook_secret)

    def notification_of_new_picture(self) -> dict[str, Any]:
        """Of one that lies in S3."""
        name, content = self._picture()
        etag = aws("s3", self.aws_url).put_object(Bucket=S3_BUCKET, Key=name, Body=content)["ETag"].strip('"')
        return events.s3_notification(S3_BUCKET, name, etag, len(content), next(self._numbers))

    def has_indexed_all(self) -> bool:
        """Every picture of which a function was told."""
        [(indexed,)] = self.session.execute(_ALL_INDEXED).fetchall()
        return bool(indexed)

    def _picture(self) -> tuple[str, bytes]:
        """640 by 427 pixels, no two of equal bytes: what follows the picture in the file is not looked at."""
        [path] = [photo.path for photo in photographs.packaged() if photo.path.name == "china.jpg"]
        number = next(self._numbers)
        return f"china-{number}.jpg", path.read_bytes() + str(number).encode()


@contextmanager
def running() -> Iterator[Running]:
    """Up until the end of the block, the spend limits lifted."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    with _api() as api_url, s3_server() as (aws_url, _), tempfile.TemporaryDirectory() as folder:
        environment = {
            "EMBEDDER": "roboflow",
            "CLIP_MODEL": MODEL,
            "ROBOFLOW_API_URL": api_url,
            "ROBOFLOW_API_KEY": KEY,
        }
        with (
            Stack(Path(folder), free_base_port(), environment=environment) as stack,
            psycopg.connect(stack.dsn(SUPERUSER), autocommit=True) as session,
        ):
            project = Project(stack.connection)
            up = Running(Home(Path(folder)), stack, project, session, aws_url, api_url)
            _prepare(up)
            yield up


def aws(service: str, url: str) -> Any:  # noqa: ANN401 -- boto3 makes its clients when they are called
    """A client of moto's."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106 -- moto's
    )


def _prepare(up: Running) -> None:
    up.session.execute(_NO_EVENTS)
    up.project.client.rpc("limit_spending_v1", {"limits": _NO_LIMITS}).execute()
    up.project.client.storage.create_bucket(BUCKET)
    up.project.client.rpc("put_bucket_v1", {"bucket_name": BUCKET, "is_public": True}).execute()
    for name in (S3_BUCKET, S3_BUCKET + PREVIEWS_SUFFIX):
        aws("s3", up.aws_url).create_bucket(Bucket=name)
    parameters = aws("ssm", up.aws_url)
    for secret in SECRETS:
        name = parameter_name(secret)
        parameters.put_parameter(Name=name, Value=up.settings[secret], Type="SecureString")


def parameter_name(secret: str) -> str:
    """Where a deployment keeps it."""
    return f"/pixseek/{STAGE}/{secret}"


@contextmanager
def _api() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.roboflow_api", "0", _DELAY_MS, "inf"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 -- ours
        if process.stdout is None:
            raise RuntimeError("no pipe")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
