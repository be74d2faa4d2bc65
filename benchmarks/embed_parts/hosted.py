"""Roboflow's API, a stand-in on a socket: throughput, how well a rate is kept, the size of a request."""

import base64
import io
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import requests
from PIL import Image
from pydantic import BaseModel

from benchmarks import report
from benchmarks.embed_parts.sheet import Findings
from benchmarks.peer import our_own
from infra.cli.connection import Project
from infra.local.stack import Stack
from shared.embedding.manifest import manifest_named
from shared.embedding.roboflow import RoboflowEmbedder
from shared.images import Picture
from shared.permits import Unlimited
from tests.ports import free_base_port

MODEL: Final = "openai/clip-vit-base-patch16"
KEY: Final = "rf_benchmark"

_ROOT: Final = Path(__file__).parents[2]
_DELAY_MS: Final = 120
_CONCURRENCY: Final = 16
_ROUNDS: Final = 3
_PICTURES: Final = 256
_PICTURES_OF_GUIDE: Final = 24
_RATE: Final = 20
_SECONDS: Final = 30
_PROCESSES: Final = 4


class _Counts(BaseModel):
    """What the stand-in saw: when each request came, counted from the first, and when one was refused."""

    arrivals_s: list[float]
    refused_s: list[float]
    largest_bytes: int


class _Calls(BaseModel):
    calls: int


def measure(findings: Findings) -> None:
    """Three questions, each with a stand-in of its own."""
    with report.step("hosted: throughput"):
        _measure_throughput(findings)
    with report.step("hosted: size of a request"):
        _measure_request(findings)
    with report.step(f"hosted: {_PROCESSES} processes keep a rate"):
        _measure_rate(findings)


def _measure_throughput(findings: Findings) -> None:
    """Pictures a second, the limit lifted, against one call at a time."""
    photographs = [_photograph(seed, (800, 600)) for seed in range(_PICTURES_OF_GUIDE)]
    files = [_jpeg(photograph) for photograph in photographs]
    pictures = [
        Picture(photographs[n % len(photographs)], content_type="image/jpeg") for n in range(_PICTURES)
    ]
    ours, guides = [], []
    with _stand_in(delay_ms=_DELAY_MS) as url:
        embedder = RoboflowEmbedder(
            manifest_named(MODEL), guard=Unlimited(), url=url, api_key=KEY, concurrency=_CONCURRENCY
        )
        embedder.embed_pictures(pictures[:_CONCURRENCY])
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            for file in files:
                _guides_call(url, file)
            guides.append(len(files) / (time.perf_counter() - started))
            started = time.perf_counter()
            embedder.embed_pictures(pictures)
            ours.append(len(pictures) / (time.perf_counter() - started))
    ratio = median(ours) / median(guides)
    findings.add(
        "hosted, one call at a time", "guide", 1000 / median(guides), note=f"{median(guides):.1f} a second"
    )
    findings.add(
        f"hosted, {_CONCURRENCY} at once",
        "pixseek",
        1000 / median(ours),
        ratio=ratio,
        note=f"{median(ours):.0f} a second",
    )
    findings.at_least("roboflow.throughput_ratio_to_guide", ratio, 12)


def _measure_request(findings: Findings) -> None:
    """What a photograph of 12 megapixels sends."""
    with _stand_in() as url:
        embedder = RoboflowEmbedder(manifest_named(MODEL), guard=Unlimited(), url=url, api_key=KEY)
        embedder.embed_pictures([Picture(_photograph(0, (4000, 3000)), content_type="image/jpeg")])
        size_kb = _counts(url).largest_bytes / 1e3
    findings.add("hosted, a request for 12 megapixels", "pixseek", None, note=f"{size_kb:.0f} kB")
    findings.at_most("roboflow.request_kb", size_kb, 200)


def _measure_rate(findings: Findings) -> None:
    """How much of a limit four processes use together, and what they are refused."""
    with ExitStack() as closing:
        home = closing.enter_context(tempfile.TemporaryDirectory(dir=report.FOLDER))
        stack = closing.enter_context(Stack(Path(home), free_base_port(), environment={}))
        url = closing.enter_context(_stand_in(limit_per_s=_RATE))
        Project(stack.connection).client.rpc(
            "limit_spending_v1", {"limits": {"calls_per_s": _RATE}}
        ).execute()
        workers = [
            closing.enter_context(our_own("benchmarks.embed_parts.rate_worker", url))
            for _ in range(_PROCESSES)
        ]
        for worker in workers:
            worker.send(
                supabase_url=stack.connection.supabase_url,
                service_key=stack.connection.service_role_key,
                model=MODEL,
                key=KEY,
                # Beyond the window, so that it holds no end.
                seconds=_SECONDS + 3,
            )
        calls = [worker.receive(_Calls).calls for worker in workers]
        seen = _counts(url)
    window = [moment for moment in seen.arrivals_s if 1 <= moment < _SECONDS]
    refused = [moment for moment in seen.refused_s if moment >= 1]
    used = (len(window) - len(refused)) / (_RATE * (_SECONDS - 1))
    note = f"{sum(calls)} calls, by process {calls}; most in one second {_most_in_a_second(seen.arrivals_s)}"
    findings.add(f"hosted, {_PROCESSES} processes at {_RATE} a second", "pixseek", None, note=note)
    findings.at_least("roboflow.rate_used", used, 0.9)
    findings.at_most("roboflow.wasted_429", len(refused), 0)


@contextmanager
def _stand_in(*, delay_ms: float = 0, limit_per_s: float = math.inf) -> Iterator[str]:
    """Its address, until the end of the block."""
    command = [sys.executable, "-m", "tests.roboflow_api", "0", str(delay_ms), str(limit_per_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:  # noqa: S603 # ours
        if process.stdout is None:
            raise RuntimeError("no pipe")
        yield process.stdout.readline().strip()
        process.terminate()


def _counts(url: str) -> _Counts:
    return _Counts.model_validate_json(requests.get(f"{url}/counts", timeout=30).content)


def _guides_call(url: str, jpeg: bytes) -> None:
    """The file as it is, by a connection of its own."""
    image = {"type": "base64", "value": base64.b64encode(jpeg).decode("ascii")}
    body = {"api_key": KEY, "clip_version_id": "ViT-B-16", "image": image}
    requests.post(f"{url}/clip/embed_image", json=body, timeout=30).raise_for_status()


def _most_in_a_second(moments_s: Sequence[float]) -> int:
    times = np.sort(np.asarray(moments_s))
    return int((np.searchsorted(times, times + 1) - np.arange(len(times))).max())


def _photograph(seed: int, size: tuple[int, int]) -> Image.Image:
    """Clouds of all sizes with a grain, as photographs have; no two alike."""
    drawn = np.random.default_rng(seed)
    width, height = size
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 9):
        coarse = drawn.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8)
        total += (
            np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.float32) / 2**octave
        )
    total += drawn.normal(0, 8, total.shape).astype(np.float32)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def _jpeg(photograph: Image.Image) -> bytes:
    buffer = io.BytesIO()
    photograph.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
