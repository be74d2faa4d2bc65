"""Decodes damaged copies of one kind of picture, in a process whose memory is limited.

A decoder that crashes or takes what it is told to take then ends this process, not the tests.
"""

import json
import random
import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from shared.errors import PictureError
from shared.images import decode
from tests import picture_files

FLIPS: Final = 200
CUTS: Final = 10
KINDS: Final[dict[str, Callable[[], bytes]]] = {
    **{kind: write for kind, (_, write) in picture_files.KINDS.items()},
    "HEIC on end": picture_files.heic_turned,
    "transparent HEIC": picture_files.heic_transparent,
    "AVIF with metadata": lambda: picture_files.with_metadata("AVIF"),
    "JPEG with metadata": lambda: picture_files.with_metadata("JPEG"),
    "TIFF with metadata": lambda: picture_files.with_metadata("TIFF"),
    "WebP with metadata": lambda: picture_files.with_metadata("WEBP"),
}
_MOST_MEMORY: Final = 3_000_000_000
"""Of addresses; the threads of decoders reserve much more than they use."""
_TELLING: Final = (0, 1, 127, 255)
"""Bytes that break more than others."""
_HEADER_BYTES: Final = 300


def damaged(kind: str) -> Iterator[bytes]:
    """Cut at ten places, and with one to four bytes changed. The same each time."""
    whole = KINDS[kind]()
    for cut in range(CUTS):
        yield whole[: 1 + len(whole) * cut // CUTS]
    dice = random.Random(kind)  # noqa: S311 # no secret
    for _ in range(FLIPS):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(min(len(data), dice.choice((_HEADER_BYTES, len(data)))))
            data[place] = dice.choice((*_TELLING, dice.randrange(256)))
        yield bytes(data)


def _outcome(data: bytes) -> str:
    try:
        picture = decode(data)
    except PictureError:
        return "refused"
    _ = picture.facts, picture.preview(), picture.model_view(32)
    return "decoded"


def main() -> None:
    """Print how many of the damaged pictures had which outcome."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    outcomes = Counter(_outcome(data) for data in damaged(sys.argv[1]))
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main()
