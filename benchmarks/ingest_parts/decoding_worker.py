"""Decodes one picture, for `decoding.py`: in a process of its own, so that the memory is the picture's."""

import sys
import time
from pathlib import Path

from shared import images


def main() -> None:
    """Print a `decoding.Worst` as JSON."""
    kind, path = sys.argv[1:]
    at_start = _peak_mb()
    data = Path(path).read_bytes()
    started = time.perf_counter()
    picture = images.decode(data)
    _, preview, view = picture.facts, picture.preview(), picture.model_view_png(224)
    seconds, peak = time.perf_counter() - started, _peak_mb()
    from benchmarks.ingest_parts.decoding import Worst  # only now: it needs memory

    print_out = Worst(
        kind=kind,
        megapixels=picture.width * picture.height / 1e6,
        file_mb=len(data) / 1e6,
        seconds=seconds,
        peak_mb=peak,
        peak_over_start_mb=peak - at_start,
    )
    sys.stdout.write(print_out.model_dump_json())
    _ = preview, view


def _peak_mb() -> float:
    """The most so far. Not `getrusage`'s, which begins with that of the process that started this one."""
    [line] = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
    ]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
