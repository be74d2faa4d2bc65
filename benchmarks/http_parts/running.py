"""What the benchmark needs up: a loaded stack, the guide's handler on the same Postgres, a 120 ms API."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import jwt
import numpy as np
from psycopg.conninfo import make_conninfo
from pydantic import TypeAdapter

from benchmarks import report
from benchmarks.http_parts import clip_api, loading
from benchmarks.ingest_parts.running import KEY, MODEL
from benchmarks.search_parts import guide, server
from benchmarks.search_parts.data import DataSet
from infra.cli.connection import Project
from infra.local.home import ROOT, Connection, Home
from infra.local.postgres import SUPERUSER
from infra.local.stack import Stack
from shared.embedding.local import cores
from tests.ports import free_base_port

_OURS: Final = "ours"
_GUIDES: Final = "guide"
_REQUESTS_PER_MINUTE: Final = 1_000_000
"""A caller's: no search here is to be refused."""
_THREADS: Final = 64
_READY_S: Final = 30.0
_HOUR_S: Final = 3600
_ASKED: Final = TypeAdapter(dict[str, dict[str, int]])


@dataclass(frozen=True)
class Running:
    """What is up."""

    connection: Connection
    user_token: str
    """Of the owner of all pictures."""
    api_url: str
    guide_url: str

    def embedder_calls(self) -> Mapping[str, int]:
        """How often the search function has asked the API for a text."""
        asked = httpx.get(self.api_url + clip_api.ASKED)
        return _ASKED.validate_json(asked.content).get(_OURS, {})


@contextmanager
def running(data: DataSet) -> Iterator[Running]:
    """Up until the end of the block, the spend limit lifted."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=report.FOLDER) as folder, ExitStack() as closing:
        home = Home(Path(folder))
        with report.step("load the guide's database"):
            _make_cluster(home, data)
        queries = home.path / "queries.npy"
        np.save(queries, data.queries)
        api_url = closing.enter_context(_api(queries))
        with report.step("start the stack"):
            stack = closing.enter_context(
                Stack(home.path, free_base_port(), environment=_environment(f"{api_url}/{_OURS}"))
            )
        with report.step("load ours, build its index"):
            loading.load(stack, data)
        Project(stack.connection).client.rpc("limit_spending_v1", {"limits": {"calls_per_s": None}}).execute()
        guide_url = closing.enter_context(_guide_handler(stack, home, f"{api_url}/{_GUIDES}", data))
        token = _user_token(home, stack.connection.supabase_url)
        yield Running(stack.connection, token, api_url, guide_url)


def _make_cluster(home: Home, data: DataSet) -> None:
    """The stack will find it there: with the memory of the measurement without HTTP, and with the guide's
    database beside its own."""
    with server.started(home.pgdata, len(data.vectors)) as postgres:
        guide.prepare(postgres, data).close()


def _environment(api_url: str) -> dict[str, str]:
    return {
        "EMBEDDER": "roboflow",
        "CLIP_MODEL": MODEL,
        "ROBOFLOW_API_URL": api_url,
        "ROBOFLOW_API_KEY": KEY,
        "ROBOFLOW_CONCURRENCY": "32",
        "AUTH": "user",
        "REQUESTS_PER_MINUTE": str(_REQUESTS_PER_MINUTE),
    }


def _user_token(home: Home, supabase_url: str) -> str:
    """As Supabase's sign-in issues it."""
    now = int(time.time())
    claims = {
        "sub": loading.OWNER,
        "role": "authenticated",
        "aud": "authenticated",
        "iss": f"{supabase_url}/auth/v1",
        "iat": now,
        "exp": now + _HOUR_S,
    }
    return jwt.encode(claims, home.keys().jwt_secret, algorithm="HS256")


@contextmanager
def _api(queries: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.http_parts.clip_api", str(queries)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 -- ours
        if process.stdout is None:
            raise RuntimeError("no pipe")
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def _guide_handler(stack: Stack, home: Home, api_url: str, data: DataSet) -> Iterator[str]:
    """By the same server as our search function, with as many processes and threads."""
    port = free_base_port()
    environment = {
        "GUIDE_API_URL": api_url,
        "GUIDE_DSN": make_conninfo(stack.dsn(SUPERUSER), dbname=f"guide_{data.name}"),
        "THREADS": str(_THREADS),
        "WORKERS": str(cores()),
        "GUIDE_PUBLIC_URL": f"{stack.connection.supabase_url}/storage/v1/object/public/{loading.BUCKET}",
    }
    source = "--source=benchmarks/http_parts/guide_handler.py"
    command = [sys.executable, "-m", "functions_framework", source, "--target=search", "--host=127.0.0.1"]
    with (
        (home.logs / "guide_handler.log").open("wb") as log,
        subprocess.Popen(  # noqa: S603 -- ours
            [*command, f"--port={port}"], cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_answers(url)
            yield url
        finally:
            process.terminate()


def _wait_until_answers(url: str) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            httpx.get(f"{url}/search", params={"q": "ready"}, timeout=_READY_S).raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
