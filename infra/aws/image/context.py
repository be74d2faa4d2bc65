"""The folder that an image is built in: packages, code, weights, and the Dockerfile that copies them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.aws.image.choice import ImageChoice
from infra.aws.image.smoke import smoke
from infra.aws.image.weights import copy_weights
from infra.bundle.compiling import compile_beside
from infra.bundle.locked import read_sbom
from infra.bundle.own_code import LABEL_VECTORS, copy_own_code
from infra.bundle.packages import packages_of
from infra.bundle.sbom import NAME, write_sbom
from infra.bundle.wheels import installed

DOCKERFILE: Final = Path(__file__).with_name("Dockerfile")


def make_context(choice: ImageChoice, folder: Path) -> dict[str, int]:
    """Fill `<arch>/image`, anew; returns the bytes of each part. Raises `BundleError`.

    What is there is replaced by one that passed all checks, and by no other.
    """
    target = folder / choice.arch / "image"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".image-", dir=target.parent) as scratch:
        made = Path(scratch, "image")
        shutil.copytree(packages_of(choice.extras(), choice.arch), made / "packages")
        _copy_code(choice, made / "code")
        (made / "weights").mkdir()
        for weights in choice.weights():
            copy_weights(weights, made / "weights")
        shutil.copyfile(DOCKERFILE, made / "Dockerfile")
        _let_read(made)
        smoke(made, choice)
        if target.exists():
            shutil.rmtree(target)
        made.rename(target)
    return {part: _size_bytes(target / part) for part in ("packages", "code", "weights")}


def _copy_code(choice: ImageChoice, to: Path) -> None:
    but_read = (LABEL_VECTORS,) if choice.is_offline else ()
    copy_own_code(("functions", "shared"), to, but_read=but_read)
    compile_beside(to)
    packages = to.parent / "packages"
    bill = write_sbom(read_sbom(choice.extras()), installed(packages))
    (to / NAME).write_text(bill, encoding="utf-8")


def _let_read(folder: Path) -> None:
    """Lambda runs the functions as a user of its own; modes are copied into the image."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
