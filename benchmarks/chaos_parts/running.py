"""What is up while chaos lasts: the embedded stack, S3, the model's stand-in, and the proxies that fail."""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from pydantic import BaseModel

from benchmarks import report
from benchmarks.chaos_parts.clip_api import CALM, Answer
from benchmarks.chaos_parts.proxy import Stored
from infra.cli.connection import Project
from infra.local.home import Home
from infra.local.processes import Servers
from infra.local.stack import Stack
from shared.models import Lane
from shared.settings import parse_settings
from shared.wiring import Adapters, build_adapters
from tests.ports import free_base_port

FUNCTION_TIMEOUT_S: Final = 20
WORKERS: Final = 4
AWS: Final = {
    "AWS_ACCESS_KEY_ID": "chaos",
    "AWS_SECRET_ACCESS_KEY": "chaos",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
_MODEL: Final = "openai/clip-vit-base-patch16"
_READY_S: Final = 60.0
_NO_LIMITS: Final = {"calls_per_s": None, "search_calls_per_day": None, "indexing_calls_per_day": None}


class _Answers(BaseModel):
    answers: list[Answer]
    faults: int


class _ProxyReport(BaseModel):
    stored: list[Stored]
    requests: int
    faults: int


@dataclass(frozen=True)
class Running:
    """What is up."""

    home: Home
    stack: Stack
    project: Project
    api_url: str
    s3_url: str
    s3_proxy_url: str
    supabase_proxy_url: str

    def worker_environment(self, storage: str) -> dict[str, str]:
        """Of a function that reaches its storage, and Supabase, through a proxy."""
        return {
            **os.environ,
            **self._settings(storage, self.supabase_proxy_url, self.s3_proxy_url),
            "FUNCTION_TIMEOUT_S": str(FUNCTION_TIMEOUT_S),
            "WEBHOOK_SECRET": self.home.keys().webhook_secret,
            "SUPABASE_TIMEOUT_S": "10",
            "STORAGE_TIMEOUT_S": "5",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }

    def adapters(self, storage: str) -> Adapters:
        """Without faults but the model's own."""
        settings = self._settings(storage, self.project.connection.supabase_url, self.s3_url)
        os.environ.update({name: value for name, value in settings.items() if name.startswith("AWS_")})
        settings["ROBOFLOW_API_URL"] = f"{self.api_url}/{CALM}"
        return build_adapters(parse_settings(settings), Lane.INDEXING)

    def answers(self) -> tuple[list[Answer], int]:
        """Those of the model, and how often it failed."""
        found = _Answers.model_validate_json(httpx.get(f"{self.api_url}/answers", timeout=30).content)
        return found.answers, found.faults

    def stored(self) -> list[Stored]:
        """Vectors that workers have got into the database."""
        return _report(self.supabase_proxy_url).stored

    def storage_faults(self, storage: str) -> tuple[int, int]:
        """Of so many requests."""
        report = _report(self.s3_proxy_url if storage == "s3" else self.supabase_proxy_url)
        return report.faults, report.requests

    def database_errors(self) -> Counter[str]:
        """From Postgres's own log."""
        lines = (self.home.pgdata / "log").read_text(errors="replace").splitlines()
        return Counter(line.partition("ERROR:  ")[2] for line in lines if "ERROR:  " in line)

    def _settings(self, storage: str, supabase_url: str, s3_url: str) -> dict[str, str]:
        connection = self.project.connection
        return {
            **AWS,
            "AWS_ENDPOINT_URL": s3_url,
            "AWS_ENDPOINT_URL_S3": s3_url,
            "STORAGE": storage,
            "EMBEDDER": "roboflow",
            "CLIP_MODEL": _MODEL,
            "ROBOFLOW_API_KEY": "rf_chaos",
            "ROBOFLOW_API_URL": self.api_url,
            "SUPABASE_URL": supabase_url,
            "SUPABASE_ANON_KEY": connection.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
        }


@contextmanager
def running(seed: int) -> Iterator[Running]:
    """Up until the end of the block, the spend limits lifted."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=report.FOLDER) as folder:
        home = Home(Path(folder) / "stack")
        home.prepare()
        helpers = Servers(home.path / "helpers", home.logs)
        try:
            api_url = _start(helpers, "clip-api", "benchmarks.chaos_parts.clip_api", str(seed))
            s3_url = _start(helpers, "s3", "moto.server")
            embedding = {
                "EMBEDDER": "roboflow",
                "CLIP_MODEL": _MODEL,
                "ROBOFLOW_API_URL": f"{api_url}/stack",
                "ROBOFLOW_API_KEY": "rf_chaos",
            }
            with Stack(home.path, free_base_port(), environment=embedding) as stack:
                project = Project(stack.connection)
                project.client.rpc("limit_spending_v1", {"limits": _NO_LIMITS}).execute()
                yield Running(
                    home,
                    stack,
                    project,
                    api_url,
                    s3_url,
                    _start_proxy(helpers, s3_url, "/", f"{seed} s3"),
                    _start_proxy(helpers, stack.connection.supabase_url, "/storage/v1/", f"{seed} supabase"),
                )
        finally:
            helpers.stop()


def _start_proxy(helpers: Servers, url: str, paths: str, seed: str) -> str:
    upstream_port = url.rpartition(":")[2]
    return _start(
        helpers, f"proxy-{upstream_port}", "benchmarks.chaos_parts.proxy", upstream_port, paths, seed
    )


def _start(helpers: Servers, name: str, module: str, *arguments: str) -> str:
    """Its address, once it answers."""
    port = str(free_base_port())
    options = ["-H", "127.0.0.1", "-p", port] if module == "moto.server" else [port, *arguments]
    helpers.start(name, [module, *options], {})
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        helpers.check()
        try:
            httpx.get(url, timeout=_READY_S, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return url
    raise TimeoutError(f"{name} does not answer")


def _report(proxy_url: str) -> _ProxyReport:
    return _ProxyReport.model_validate_json(httpx.get(f"{proxy_url}/chaos", timeout=30).content)
