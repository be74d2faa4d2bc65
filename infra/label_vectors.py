"""Builds the offline embedder's label vectors: `python -m infra.label_vectors`.

A class's vector is the normalised mean of three: what WordNet says of it, the words that people search such a
picture with in English, and those in Chinese (`imagenet_words.tsv`). WordNet says three things: the name; the
name and the next two wider terms, which tells the crane that lifts from the crane that flies; all names with
the definition. The ids of the classes are synset offsets of WordNet 3.0 (Princeton University), which the
Debian package wordnet-base holds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer
from rich.console import Console

from infra import debian
from shared.embedding.offline import LABEL_VECTORS
from shared.embedding.use3 import Use3

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLERANCE: Final = 2e-3
"""Of one float16 component: numpy's sums differ between machines in the last bits."""

_CLASSES: Final = Path(__file__).with_name("imagenet_words.tsv")
_PACKAGE: Final = "wordnet-base"
_HYPERNYMS: Final = {"@", "@i"}


class WordNetError(Exception):
    """These are not WordNet 3.0's nouns."""


@dataclass(frozen=True, slots=True)
class ImageClass:
    """A class of ImageNet."""

    offset: int
    """Of its synset in WordNet's file of nouns."""
    english: tuple[str, ...]
    chinese: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Synset:
    """A meaning and the words for it."""

    names: tuple[str, ...]
    definition: str
    wider: int | None
    """Offset of its first hypernym."""


def main(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if the file differs.")
    ] = False,
) -> None:
    """Rebuild shared/embedding/label_vectors.npy: 1000 x 512 float16, a row a class, in ImageNet's order.

    Needs apt-get and dpkg (no root): WordNet comes from the Debian package wordnet-base.

    Run it after changing what a label's text is. The vectors in the index were made with the old ones: give
    the model a new name in shared/embedding/offline.py.
    """
    import numpy as np

    console = Console()
    try:
        vectors = build(nouns())
    except (debian.NotAtHandError, WordNetError) as exc:
        console.print(f"[red]{exc}[/]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from exc
    if not check:
        np.save(LABEL_VECTORS, vectors)
        console.print(f"wrote {LABEL_VECTORS}", highlight=False, soft_wrap=True)
        return
    furthest = float(np.abs(vectors.astype(np.float32) - np.load(LABEL_VECTORS)).max())
    console.print(f"largest difference {furthest:.1e}, at most {TOLERANCE:.0e}", highlight=False)
    if furthest > TOLERANCE:
        raise typer.Exit(1)


def nouns(cache: Path = debian.CACHE) -> Path:
    """WordNet's file of nouns, fetched once. Raises `debian.NotAtHandError`."""
    folder = debian.filled_once(cache / _PACKAGE, lambda folder: debian.unpack(_PACKAGE, folder))
    return folder / "usr/share/wordnet/data.noun"


def build(noun_file: Path) -> "NDArray[np.float16]":
    """The label vectors, (1000, 512), from WordNet's file of nouns. Raises `WordNetError`."""
    import numpy as np

    encoder = Use3(threads=1)
    with noun_file.open("rb") as file:
        texts = [(label_texts(file, known.offset), known.english, known.chinese) for known in classes()]
    means = np.stack(
        [np.mean([encoder.encode(group).mean(axis=0) for group in each], axis=0) for each in texts]
    )
    vectors: NDArray[np.float16] = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float16)
    return vectors


def classes() -> list[ImageClass]:
    """The 1000 classes, in the order of the network's outputs."""
    lines = [line.split("\t") for line in _CLASSES.read_text(encoding="utf-8").splitlines()]
    return [
        ImageClass(int(wnid[1:]), tuple(english.split("; ")), tuple(chinese.split("、")))
        for wnid, english, chinese in lines
    ]


def label_texts(file: BinaryIO, offset: int) -> list[str]:
    """The three texts in which WordNet stands for a class."""
    synset = read_synset(file, offset)
    name = synset.names[0]
    line = [name]
    above = synset
    while above.wider is not None and len(line) < 3:
        above = read_synset(file, above.wider)
        line.append(above.names[0])
    return [name, ", ".join(line), f"{', '.join(synset.names)}: {synset.definition}"]


def read_synset(file: BinaryIO, offset: int) -> Synset:
    """The noun at a byte offset, which is its id (format: wndb(5WN)). Raises `WordNetError`."""
    file.seek(offset)
    data, _, gloss = file.readline().decode("ascii").partition(" | ")
    fields = data.split()
    if not fields or fields[0] != f"{offset:08d}":
        raise WordNetError(f"no noun at {offset:08d}: this is not WordNet 3.0")
    words = int(fields[3], 16)
    names = fields[4 : 4 + 2 * words : 2]
    pointers = fields[4 + 2 * words + 1 :]
    wider = [int(pointers[at + 1]) for at in range(0, len(pointers), 4) if pointers[at] in _HYPERNYMS]
    definition = gloss.partition('; "')[0].strip()
    return Synset(tuple(name.replace("_", " ") for name in names), definition, wider[0] if wider else None)


if __name__ == "__main__":
    typer.run(main)
