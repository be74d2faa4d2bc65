"""The licences of what a bundle holds: each package's texts, and a list of them all."""

import shutil
from importlib.metadata import Distribution
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

FOLDER: Final = "licences"

_NAMES: Final = ("LICEN", "COPYING", "NOTICE", "AUTHORS")
_LONGEST_NAME: Final = 80
"""Of a licence; some packages put the whole text into the field of its name."""
_HEAD: Final = """\
What this bundle holds of others, and under which licences. Their texts are in the folders beside this file.
pixseek itself is under Apache-2.0: pixseek/LICENSE.
"""


def gather_licences(tree: Path, own: Path) -> None:
    """Move each package's licence texts, and a copy of our own, into one folder with an overview."""
    rows = []
    for folder in sorted(tree.glob("*.dist-info")):
        distribution = Distribution.at(folder)
        name = canonicalize_name(distribution.name)
        count = _move(folder, tree / FOLDER / name)
        texts = f"{name}/" if count else "its wheel brings no text"
        rows.append(f"{name} {distribution.version}: {licence_of(distribution)} ({texts})")
    (tree / FOLDER / "pixseek").mkdir(parents=True)
    shutil.copyfile(own, tree / FOLDER / "pixseek" / "LICENSE")
    (tree / FOLDER / "README.txt").write_text("\n".join([_HEAD, *rows, ""]), encoding="utf-8")


def licence_of(distribution: Distribution) -> str:
    """The SPDX expression, or whatever else the package says of its licence."""
    said = distribution.metadata
    for field in ("License-Expression", "License"):
        text = next(iter(said.get_all(field) or ()), "").strip()
        if text not in ("", "UNKNOWN") and len(text) <= _LONGEST_NAME and "\n" not in text:
            return text
    classes = said.get_all("Classifier") or []
    named = [text.rpartition(" :: ")[2] for text in classes if text.startswith("License :: ")]
    return ", ".join(named) or "not said"


def _move(folder: Path, to: Path) -> int:
    """How many texts there were. A wheel keeps them in `licenses/`, an older one beside its metadata."""
    inside = folder / "licenses"
    texts = [path for path in inside.rglob("*") if path.is_file()]
    beside = [path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(_NAMES)]
    for path in sorted([*texts, *beside]):
        target = to / path.relative_to(inside if path in texts else folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    shutil.rmtree(inside, ignore_errors=True)
    return len(texts) + len(beside)
