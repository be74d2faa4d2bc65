"""The stack that both ways go through: gateway, Postgres and a 120 ms API on the same cores."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from benchmarks import report
from benchmarks.ingest_parts.ours import Session
from infra.cli.connection import Project
from infra.local.home import ROOT
from infra.local.stack import Stack
from tests.ports import free_base_port

KEY: Final = "rf_benchmark"
MODEL: Final = "openai/clip-vit-base-patch16"


@dataclass(frozen=True)
class Running:
    """What is up."""

    stack: Stack
    project: Project
    session: Session
    """Of the superuser."""
    api_url: str

    @property
    def environment(self) -> dict[str, str]:
        """What a function of this stack is told."""
        connection = self.project.connection
        return {
            "EMBEDDER": "roboflow",
            "CLIP_MODEL": MODEL,
            "ROBOFLOW_API_URL": self.api_url,
            "ROBOFLOW_API_KEY": KEY,
            "ROBOFLOW_CONCURRENCY": "32",
            "SUPABASE_URL": connection.supabase_url,
            "SUPABASE_ANON_KEY": connection.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
        }

    def bucket(self, name: str) -> str:
        """A new one."""
        self.project.client.storage.create_bucket(name)
        return name

    @contextmanager
    def without_events(self) -> Iterator[None]:
        """The guide has no webhooks: it does not pay for ours."""
        self._triggers("disable")
        yield
        self._triggers("enable")

    def _triggers(self, verb: str) -> None:
        for name in ("post_webhook_of_write", "post_webhook_of_delete"):
            self.session.execute(f"alter table storage.objects {verb} trigger {name}".encode())


@contextmanager
def running() -> Iterator[Running]:
    """Up until the end of the block, the spend limit lifted."""
    with _api() as api_url, tempfile.TemporaryDirectory(dir=report.FOLDER) as home:
        environment = {
            "EMBEDDER": "roboflow",
            "CLIP_MODEL": MODEL,
            "ROBOFLOW_API_URL": api_url,
            "ROBOFLOW_API_KEY": KEY,
            "ROBOFLOW_CONCURRENCY": "32",
        }
        with (
            Stack(Path(home), free_base_port(), environment=environment) as stack,
            psycopg.connect(stack.dsn("supabase_admin"), autocommit=True) as session,
        ):
            project = Project(stack.connection)
            project.client.rpc("limit_spending_v1", {"limits": {"calls_per_s": None}}).execute()
            yield Running(stack, project, session, api_url)


@contextmanager
def _api() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.ingest_parts.api"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 -- ours
        if process.stdout is None:
            raise RuntimeError("no pipe")
        yield process.stdout.readline().strip()
        process.terminate()
