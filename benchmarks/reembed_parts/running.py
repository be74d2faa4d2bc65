"""What the benchmark needs up: a stack full of pictures, and a 120 ms API with both models."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from pydantic import TypeAdapter

from benchmarks import report
from benchmarks.reembed_parts import clip_api, loading
from benchmarks.reembed_parts.clip_api import Asked
from benchmarks.reembed_parts.space import Space
from infra.cli.connection import Project
from infra.local.home import ROOT, Home
from infra.local.stack import Stack
from shared.models import Lane
from shared.registered import ModelRegistry
from shared.settings import Settings, parse_settings
from shared.wiring import Adapters, build_adapters, build_registry
from tests.ports import free_base_port

MODEL: Final = "openai/clip-vit-base-patch16"
NEXT_MODEL: Final = "openai/clip-vit-large-patch14"
SPACES: Final = {MODEL: Space("ViT-B-16"), NEXT_MODEL: Space("ViT-L-14")}
VERSIONS: Final = {MODEL: "ViT-B-16", NEXT_MODEL: "ViT-L-14"}
FUNCTIONS: Final = "functions"
"""Who asks the API: the stack's functions."""
_BENCHMARK: Final = "benchmark"
_NO_LIMITS: Final = {"calls_per_s": None, "search_calls_per_day": None, "indexing_calls_per_day": None}
_REQUESTS_PER_MINUTE: Final = 1_000_000
"""A caller's: no search here is to be refused."""
_ASKED: Final = TypeAdapter(list[Asked])


@dataclass(frozen=True)
class Running:
    """What is up."""

    home: Home
    stack: Stack
    api_url: str
    images: int
    settings: Settings
    adapters: Adapters
    """Of this process, which switches."""
    registry: ModelRegistry

    def asked(self) -> list[Asked]:
        """What the API was asked so far."""
        return _ASKED.validate_json(httpx.get(self.api_url + clip_api.ASKED, timeout=30).content)

    def environment(self, who: str, concurrency: int) -> dict[str, str]:
        """Of a process that works on this project, and is known to the API by a name."""
        return {
            **os.environ,
            **_embedding(self.api_url, who),
            **_project(self.stack),
            "ROBOFLOW_CONCURRENCY": str(concurrency),
        }


@contextmanager
def running(images: int) -> Iterator[Running]:
    """Up until the end of the block, the spend limits lifted."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=report.FOLDER) as folder, _api() as api_url:
        home = Home(Path(folder) / "stack")
        functions = {**_embedding(api_url, FUNCTIONS), "REQUESTS_PER_MINUTE": str(_REQUESTS_PER_MINUTE)}
        with ExitStack() as closing:
            with report.step("the stack"):
                stack = closing.enter_context(Stack(home.path, free_base_port(), environment=functions))
            with report.step(f"{images} pictures into the bucket and the index"):
                loading.load(stack, home, images, SPACES[MODEL])
            Project(stack.connection).client.rpc("limit_spending_v1", {"limits": _NO_LIMITS}).execute()
            settings = parse_settings({**_embedding(api_url, _BENCHMARK), **_project(stack)})
            yield Running(
                home,
                stack,
                api_url,
                images,
                settings,
                build_adapters(settings, Lane.INDEXING),
                build_registry(settings, Lane.INDEXING),
            )


def _embedding(api_url: str, who: str) -> dict[str, str]:
    return {
        "EMBEDDER": "roboflow",
        "CLIP_MODEL": MODEL,
        "NEXT_CLIP_MODEL": NEXT_MODEL,
        "ROBOFLOW_API_URL": f"{api_url}/{who}",
        "ROBOFLOW_API_KEY": "rf_benchmark",
    }


def _project(stack: Stack) -> dict[str, str]:
    connection = stack.connection
    return {
        "SUPABASE_URL": connection.supabase_url,
        "SEARCH_URL": connection.search_url,
        "SUPABASE_ANON_KEY": connection.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": connection.service_role_key,
    }


@contextmanager
def _api() -> Iterator[str]:
    with module("benchmarks.reembed_parts.clip_api", []) as process:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        yield process.stdout.readline().strip()


@contextmanager
def module(name: str, arguments: Sequence[str], **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """One of ours as a process that ends with its input: at the end of the block, or with this process."""
    process = subprocess.Popen(  # noqa: S603 -- ours
        [sys.executable, "-m", name, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
