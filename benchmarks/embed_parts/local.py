"""CLIP on this machine: onnxruntime with fp32 and int8 weights, beside transformers on torch."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from pydantic import BaseModel

from benchmarks import report
from benchmarks.embed_parts import towers
from benchmarks.embed_parts.sheet import Findings
from benchmarks.peer import Peer, other_peoples, our_own
from shared.embedding.tokens import clip_tokens

_ROUNDS: Final = {1: 7, 8: 7, 32: 2}
"""By size of the batch: 32 pictures take many seconds."""
_RUNS: Final = {1: 4, 8: 1, 32: 1}
"""How often a batch is run in a row."""
_TEXTS: Final = (
    "a dog on a beach",
    "two workers with yellow hard hats",
    "an old castle by the water",
    "winter",
)
_MODULE: Final = "benchmarks.embed_parts.onnx_runs"


class _Reply(BaseModel):
    times_ms: list[float]


@dataclass(frozen=True, slots=True)
class _Contender:
    name: str
    process: Peer
    files: dict[str, Path]
    """By tower; torch has none."""

    def run(self, tower: str, inputs: Path, runs: int, threads: int) -> tuple[_Reply, NDArray[np.float32]]:
        outputs = inputs.with_name(f"{self.name}-{inputs.name}")
        file, output = self.files.get(tower, ""), {"vision": "image_embeds", "text": "text_embeds"}[tower]
        reply = self.process.ask(
            _Reply,
            tower=tower,
            file=str(file),
            output=output,
            inputs=str(inputs),
            outputs=str(outputs),
            runs=runs,
            threads=threads,
        )
        return reply, np.load(outputs)


def measure(findings: Findings, folder: Path) -> None:
    """Contenders take turns; medians of their rounds are compared."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = towers.random_weights(towers.VIT_B_16)
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type] # mistakes them for its option
    with _contenders(folder, weights) as contenders:
        for threads in (2, 1):
            for batch in _ROUNDS:
                step = f"local: pictures by {batch}, {threads} threads"
                pixels = np.random.default_rng(batch).normal(size=(batch, 3, 224, 224)).astype(np.float32)
                with report.step(step):
                    times = _compare(findings, contenders, "vision", folder, pixels, threads)
                if (threads, batch) == (2, 8):
                    torch, fp32, int8 = times
                    findings.at_least("fp32.batch8_ratio_to_torch", torch / fp32, 1.2)
                    findings.at_least("int8.batch8_ratio_to_torch", torch / int8, 2.5)
            ids = clip_tokens(context_tokens=77).ids(_TEXTS[:1])
            _compare(findings, contenders, "text", folder, np.asarray(ids, np.int64), threads)


@contextmanager
def _contenders(folder: Path, weights: towers.Weights) -> Iterator[list[_Contender]]:
    whole = {tower: folder / f"{tower}_model.onnx" for tower in ("vision", "text")}
    towers.write_vision(whole["vision"], towers.VIT_B_16, weights)
    towers.write_text(whole["text"], towers.VIT_B_16, weights)
    logging.getLogger().setLevel(logging.ERROR)  # its advice is for graphs that frameworks export
    small = {tower: folder / f"{tower}_model_quantized.onnx" for tower in whole}
    for tower, file in whole.items():
        quantize_dynamic(file, small[tower], per_channel=True, weight_type=QuantType.QInt8)
    with ExitStack() as running:
        yield [
            _Contender("torch", running.enter_context(other_peoples("torch", folder / "weights.npz")), {}),
            _Contender("fp32", running.enter_context(our_own(_MODULE)), whole),
            _Contender("int8", running.enter_context(our_own(_MODULE)), small),
        ]


def _compare(
    findings: Findings,
    contenders: list[_Contender],
    tower: str,
    folder: Path,
    given: NDArray[np.generic],
    threads: int,
) -> list[float]:
    """Each contender's median time a batch, in ms."""
    inputs = folder / "inputs.npy"
    np.save(inputs, given)
    runs = _RUNS[len(given)]
    times_ms: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    vectors: dict[str, NDArray[np.float32]] = {}
    for contender in contenders:
        contender.run(tower, inputs, 1, threads)  # warm
    for _ in range(_ROUNDS[len(given)]):
        for contender in contenders:
            reply, vectors[contender.name] = contender.run(tower, inputs, runs, threads)
            times_ms[contender.name] += reply.times_ms
    medians = {name: median(times) for name, times in times_ms.items()}
    for contender in contenders:
        name = contender.name
        findings.add(
            f"{tower}, batch {len(given)}, {threads} threads",
            name,
            medians[name],
            ratio=medians["torch"] / medians[name],
            peak_mb=contender.process.peak_mb(),
            cosine=_least_cosine(vectors["torch"], vectors[name]),
        )
    return list(medians.values())


def _least_cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Of vectors in the same order."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / lengths).min())
