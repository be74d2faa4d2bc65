"""Which files of our own are deployed."""

import shutil
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from infra.local.home import ROOT

LABEL_VECTORS: Final = "shared/embedding/label_vectors.npy"
OWN_UNREAD: Final = {
    "functions/*/gcp.py": "Google's entry: it needs functions-framework",
    LABEL_VECTORS: "the offline embedder's words: no other reads them",
}
"""Patterns of paths (`*` also matches a slash), each with its reason."""

_KINDS: Final = {
    ".css",
    ".html",
    ".ico",
    ".js",
    ".json",
    ".npy",
    ".py",
    ".svg",
    ".txt",
    ".webp",
    ".woff2",
}
"""What our own folders may bring; anything else that lies there stays out."""


def copy_own_code(
    places: Iterable[str], to: Path, *, but_read: Collection[str] = (), root: Path = ROOT
) -> None:
    """Copy files and folders, named from the root, as far as a function on AWS reads them.

    `but_read` are rows of `OWN_UNREAD` that do not apply.
    """
    unread = OWN_UNREAD.keys() - set(but_read)
    for path in _files(root / place for place in places):
        name = path.relative_to(root)
        if _is_ours(name) and not any(fnmatchcase(name.as_posix(), pattern) for pattern in unread):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / name)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        yield from (path for path in (place, *sorted(place.rglob("*"))) if path.is_file())


def _is_ours(name: Path) -> bool:
    return name.suffix in _KINDS and not any(part.startswith(".") for part in name.parts)
