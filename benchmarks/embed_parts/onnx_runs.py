"""Our towers, asked by `local.py` as torch is: in a process of their own, so that its memory is theirs."""

import json
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np

from shared.embedding.onnx_file import OnnxFile


def main() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        tower = _load(request["file"], request["threads"])
        given = np.load(request["inputs"])
        [name] = tower.inputs
        times_ms = []
        for _ in range(request["runs"]):
            started = time.perf_counter()
            found = tower.run({name: given}, output=request["output"])
            times_ms.append(1000 * (time.perf_counter() - started))
        np.save(request["outputs"], found)
        sys.stdout.write(json.dumps({"times_ms": times_ms}) + "\n")
        sys.stdout.flush()


@lru_cache(maxsize=1)  # one at a time: the memory of a process is that of a tower
def _load(file: str, threads: int) -> OnnxFile:
    return OnnxFile(Path(file), threads)


if __name__ == "__main__":
    main()
