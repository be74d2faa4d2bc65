"""How fast pictures become searchable, and what that takes: `make bench-ingest`."""

import sys
import time
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Final

from benchmarks import report
from benchmarks.ingest_parts import decoding, guide, memory, ours, photographs, stages
from benchmarks.ingest_parts.running import KEY, Running, running
from benchmarks.report import Target
from shared.indexing import BATCH

_ROUNDS: Final = 3
_SINGLES: Final = 40
_STAGED: Final = 4 * BATCH

Row = dict[str, object]


def main() -> int:
    """Measure, print, write build/bench/ingest.json. 1 when a target is missed."""
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    targets: list[Target] = []
    with report.step("decoding 12 megapixels"):
        draft = decoding.draft_ratio()
    rows += draft.rows
    targets.append(Target("ingest.draft_ratio_to_full_decode", draft.ratio, 3, "min"))
    with report.step("photographs"):
        small, large = photographs.small(), list(photographs.large())
    sizes = {"small": small, "large": large}
    rows += [_size_row(name, files) for name, files in sizes.items()]
    with running() as up:
        with report.step("the functions get warm"):
            ours.ingest(up.project.client, up.session, up.bucket("warm"), [file + b"warm" for file in small])
        _throughput(up, "small", small, rows, targets, Target("ingest.ratio_to_guide", 0, 8, "min"))
        _throughput(up, "large", large, rows, targets, Target("ingest.large_ratio_to_guide", 0, 2.5, "min"))
        with report.step("one at a time: upload to searchable"):
            rows.append(_latency(up, small[:_SINGLES]))
        with report.step("by stage"):
            by_stage, calls = stages.batches(up, up.bucket("stages"), small[:_STAGED])
        rows.append(
            _row("ms a picture, batches of 32", " · ".join(f"{k} {v:.1f}" for k, v in by_stage.items()))
        )
        targets.append(Target("ingest.rpcs_per_32", calls, 2, "max"))
        with report.step("the worst legal inputs"):
            worst = memory.of_worst_inputs(up)
        many = _many(up)
    rows += [_row(f"memory: {kind}", f"{peak_mb:.0f} MB") for kind, peak_mb in worst.items()]
    targets.append(Target("ingest.peak_rss_mb", max(worst.values()), 512, "max"))
    return report.publish("ingest", rows, targets, details=[many])


def _throughput(
    up: Running, name: str, files: Sequence[bytes], rows: list[Row], targets: list[Target], bar: Target
) -> None:
    """Pictures a second of both ways in turn; the guide's on a part of them, its pace is even."""
    part = files[: len(files) // 3]
    guides, own = [], []
    for turn in range(_ROUNDS):
        with report.step(f"{name}: the guide's way, {turn + 1} of {_ROUNDS}"), up.without_events():
            bucket = up.bucket(f"guide-{name}-{turn}")
            started = time.perf_counter()
            guide.ingest(up.project.client, bucket, part, api_url=up.api_url, key=KEY)
            guides.append(len(part) / (time.perf_counter() - started))
        with report.step(f"{name}: ours, {turn + 1} of {_ROUNDS}"):
            bucket = up.bucket(f"ours-{name}-{turn}")
            # Not the bytes of the turn before: they would cost no model call.
            fresh = [file + turn.to_bytes(2) for file in files]
            started = time.perf_counter()
            ours.ingest(up.project.client, up.session, bucket, fresh)
            own.append(len(fresh) / (time.perf_counter() - started))
    ratio = median(own) / median(guides)
    rows.append(_row(f"{name}, the guide's way", f"{median(guides):.1f} pictures a second"))
    rows.append(_row(f"{name}, ours", f"{median(own):.1f} pictures a second: {ratio:.2f} times as many"))
    targets.append(Target(bar.id, ratio, bar.target, bar.direction))


def _latency(up: Running, files: Sequence[bytes]) -> Row:
    bucket = up.bucket("single")
    storage = up.project.client.storage.from_(bucket)
    took_ms = []
    for number, file in enumerate(files):
        started = time.perf_counter()
        storage.upload(f"{number}.jpg", file + b"single", {"content-type": "image/jpeg"})
        ours.wait_until_searchable(up.session, bucket, number + 1)
        took_ms.append(1000 * (time.perf_counter() - started))
    p95 = quantiles(took_ms, n=20)[-1]
    return _row("upload to searchable, one at a time", f"p50 {median(took_ms):.0f} ms, p95 {p95:.0f} ms")


def _many(up: Running) -> Row:
    case = f"{memory.MANY} in one event, {memory.WORST_OF_MANY}"
    with report.step(case):
        return _row(f"memory: {case}", f"{memory.of_many(up):.0f} MB")


def _size_row(name: str, files: Sequence[bytes]) -> Row:
    sizes_kb = [len(file) / 1000 for file in files]
    return _row(f"{name} photographs", f"{len(files)}, median {median(sizes_kb):.0f} kB")


def _row(case: str, finding: str) -> Row:
    return {"case": case, "finding": finding}


if __name__ == "__main__":
    sys.exit(main())
